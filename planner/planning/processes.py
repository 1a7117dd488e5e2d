"""Processes that a search starts: no more than memory holds, and none that outlives it."""

from __future__ import annotations

import os
import threading
import time
from typing import TYPE_CHECKING, Literal

from planner.resources import require_processes

if TYPE_CHECKING:
    from joblib import Parallel

#: How often a process looks whether the one that started it is still there. [s]
LOOK_S = 1.0


def processes(number: int, order: Literal["generator", "generator_unordered"]) -> Parallel:
    """Return what runs work in `number` processes of this machine.

    Parameters
    ----------
    number : int
        Processes, > 1.
    order : {"generator", "generator_unordered"}
        Whether results come in the order of the work.

    Raises
    ------
    InputError
        If memory does not hold so many.
    """
    import joblib  # noqa: PLC0415 - not needed in one process

    require_processes(number)
    return joblib.Parallel(
        n_jobs=number,
        backend="loky",
        return_as=order,
        initializer=end_with,
        initargs=(os.getpid(),),
    )


def end_with(parent: int) -> None:
    """End this process when `parent` has: one that was killed tells nobody to stop."""

    def look() -> None:
        while os.getppid() == parent:
            time.sleep(LOOK_S)
        os._exit(1)

    threading.Thread(target=look, daemon=True).start()
