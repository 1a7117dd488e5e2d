"""The command line: parses, calls, prints, exits; nothing else prints or exits."""

from __future__ import annotations

import sys

__all__ = ["main"]


def main() -> None:
    """Run the command line; an interrupt while it is still imported is one like any other."""
    try:
        from planner.cli.entry import main as run  # noqa: PLC0415 - an interrupt may fall into it

        run()
    except KeyboardInterrupt:
        sys.stderr.write("planner: interrupted\n")
        sys.exit(130)
