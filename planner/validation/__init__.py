"""Predicted against measured: comparisons of records with records."""
