"""A progress bar that shows only where someone waits for it."""

from __future__ import annotations

import contextlib
import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import TextIO

#: A run shorter than this shows nothing [s].
PATIENCE_S = 2.0


@contextlib.contextmanager
def progress(
    label: str,
    stream: TextIO | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[Callable[[float], None]]:
    """Give a function to call with the share done; draws a bar that vanishes at the end.

    On a terminal, once :data:`PATIENCE_S` have passed; elsewhere calls do nothing.

    Parameters
    ----------
    label : str
        What is being done.
    stream : TextIO, optional
        Where to draw; standard error by default.
    clock : callable
        Seconds since some moment.

    Examples
    --------
    >>> with progress("simulating") as advance:
    ...     advance(0.5)
    """
    stream = sys.stderr if stream is None else stream
    if not stream.isatty():
        yield lambda _share: None
        return
    started = clock()
    with contextlib.ExitStack() as stack:
        draw: Callable[[float], None] | None = None

        def advance(share: float) -> None:
            nonlocal draw
            if draw is None:
                if clock() - started < PATIENCE_S:
                    return
                draw = _bar(label, stream, stack)
            draw(share)

        yield advance


def silent(share: float) -> None:
    """Show nothing of a share that is done."""


def part(advance: Callable[[float], None], begin: float, end: float) -> Callable[[float], None]:
    """Return what to call with the share done of a part of the work.

    Parameters
    ----------
    advance : callable
        Called with the share of the whole.
    begin, end : float
        Where in the whole the part is. [-]

    Examples
    --------
    >>> half = part(print, 0.5, 1.0)
    >>> half(0.5)
    0.75
    """
    return lambda share: advance(begin + share * (end - begin))


def countdown(total: int, clock: Callable[[], float] = time.monotonic) -> Callable[[str], str]:
    """Return what tells, in a line, which of `total` pieces of work begins and what is left.

    For work that has a line for each piece, on a terminal or not. How long the rest takes is told
    by those that are done.

    Parameters
    ----------
    total : int
        Pieces of work.
    clock : callable
        Seconds since some moment.
    """
    began, begun = clock(), 0

    def line(what: str) -> str:
        nonlocal begun
        done, begun = begun, begun + 1
        said = f"{what}, {begun} of {total}"
        passed = clock() - began
        return f"{said}, about {span(passed / done * (total - done))} left" if done else said

    return line


def span(seconds: float) -> str:
    """Return a time in words: seconds up to two minutes, else minutes.

    Examples
    --------
    >>> span(90), span(400), span(8000)
    ('90 s', '7 min', '2.2 h')
    """
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _bar(label: str, stream: TextIO, stack: contextlib.ExitStack) -> Callable[[float], None]:
    """Draw a bar until `stack` closes and return what moves it."""
    from rich.console import Console  # noqa: PLC0415 - most runs are too short to need it
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn  # noqa: PLC0415

    bar = stack.enter_context(
        Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f} %"),
            TimeRemainingColumn(),
            console=Console(file=stream),
            transient=True,
        )
    )
    task = bar.add_task(label, total=1.0)
    return lambda share: bar.update(task, completed=share)
