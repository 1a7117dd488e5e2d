"""Latency simulator and capacity planner for real-time LLM services."""

__version__ = "0.1.0"
