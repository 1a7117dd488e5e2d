"""Measures real models on real hardware and writes profiles."""
