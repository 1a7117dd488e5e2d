"""Measures real models on real hardware and writes profiles."""

import os

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # nothing is ever fetched, whatever a model names
