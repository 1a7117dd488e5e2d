"""Compression of real models: pruning, quantisation, compilation, each a setting with a name."""
