"""Measured serving points: loads that somebody measured, held against a profile."""
