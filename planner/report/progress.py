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
