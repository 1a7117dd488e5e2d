"""Measures a live OpenAI-compatible server."""
