"""From measured steps to a profile: coefficients, speedups, report, plots."""
