"""Coefficients of the step time from what a serving engine did, end to end."""
