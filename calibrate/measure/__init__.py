"""Measurements of steps, memory, peaks and links on the device at hand, kept line by line."""
