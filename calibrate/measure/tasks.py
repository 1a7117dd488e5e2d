"""Work through what is to be measured: keep each result, go on after what does not fit, stop."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from calibrate.measure.records import LeftOut
from planner.errors import PlannerError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from calibrate.measure.journal import Journal
    from calibrate.measure.records import Measured


@dataclass(frozen=True)
class Task:
    """Something to measure.

    Parameters
    ----------
    keys : tuple of str
        Of the records that it yields; it is done when all are there.
    run : callable
        Measures and yields the records, those that are there already included or not.
    """

    keys: tuple[str, ...]
    run: Callable[[], Iterable[Measured]]

    @classmethod
    def one(cls, key: str, run: Callable[[], Measured]) -> Task:
        """Return the task of measuring one record, which has `key`, by `run`."""
        return cls((key,), lambda: [run()])


def work_through(
    tasks: Sequence[Task],
    journal: Journal,
    advance: Callable[[float], None],
    deadline: float,
    clock: Callable[[], float] = time.monotonic,
) -> int:
    """Measure what is not in `journal` yet; return how many tasks are left for lack of time.

    What does not fit into memory or cannot be measured is noted as left out.

    Parameters
    ----------
    tasks : sequence of Task
        In the order in which to do them.
    journal : Journal
        Where results go.
    advance : callable
        Told the share of the tasks that is done.
    deadline : float
        No task is begun after it, on `clock`. [s]
    clock : callable
        Seconds since some moment.

    Raises
    ------
    InputError
        If the results cannot be written.
    """
    late = 0
    for index, task in enumerate(tasks):
        missing = [key for key in task.keys if key not in journal]
        if missing and clock() > deadline:
            late += 1
        elif missing:
            _do(task, journal)
        advance((index + 1) / len(tasks))
    if not tasks:
        advance(1.0)
    return late


def _do(task: Task, journal: Journal) -> None:
    """Measure one task; whatever it yielded before it failed is kept."""
    records = _records(task)
    while True:
        try:
            record = next(records, None)
        except Exception as error:
            reason = why_left_out(error)
            if reason is None:
                raise
            for key in task.keys:
                if key not in journal:
                    journal.append(LeftOut(what=key, reason=reason))
            return
        if record is None:
            return
        journal.append(record)


def _records(task: Task) -> Iterator[Measured]:
    """Yield what `task` measures; unlike its ``run``, nothing happens before the first is asked."""
    yield from task.run()


def why_left_out(error: Exception) -> str | None:
    """Return why something could not be measured, or None if the error is a fault of ours."""
    first = (str(error).strip() or type(error).__name__).splitlines()[0][:300]
    allocation = isinstance(error, RuntimeError) and (
        "alloc" in str(error) or "out of memory" in str(error)
    )
    if isinstance(error, MemoryError) or allocation:
        return f"out of memory: {first}"
    if isinstance(error, OSError):  # of what is measured, as a file to read from a full disk
        return error.strerror or first
    return first if isinstance(error, PlannerError) else None
