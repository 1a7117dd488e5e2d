"""The clock: a compiled data plane under a SimPy control plane."""
