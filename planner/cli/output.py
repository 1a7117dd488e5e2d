"""Standard output: the only place that writes to it."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from planner.cli.options import NO_READER
from planner.errors import InputError, PlannerError

if TYPE_CHECKING:
    from collections.abc import Iterator


#: What separates lines of output.
LINE_END = "\n"


class NoReaderError(PlannerError):
    """Whoever read our output has gone, as ``head`` does."""

    exit_code = NO_READER


def print_text(text: str) -> None:
    """Write text to standard output."""
    with stdout():
        sys.stdout.write(text)


@contextmanager
def stdout() -> Iterator[None]:
    """Turn failures of standard output into errors of ours, at once and not at exit."""
    try:
        yield
        sys.stdout.flush()
    except OSError as error:
        # what is still buffered must not fail again when Python exits
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):
            raise NoReaderError("") from error
        message = f"standard output: must be writable, got: {error.strerror or error}"
        raise InputError(message) from error
