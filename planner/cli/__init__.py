"""The command line: parses, calls, prints, exits; nothing else prints or exits."""

from planner.cli.entry import main

__all__ = ["main"]
