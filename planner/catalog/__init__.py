"""Devices, models, settings and profiles as data files, each number with its source."""
