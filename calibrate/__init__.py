"""Measures real models on real hardware and writes profiles."""

import os

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # nothing is ever fetched, whatever a model names
# kernels that oneDNN keeps: of a handful of layers, for every number of tokens that a step has
os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "8192")
