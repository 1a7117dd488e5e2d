"""Arrivals and lengths of requests, drawn or read from traces."""
