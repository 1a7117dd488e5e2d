"""Requests as arrays: what the traffic brings, before anything happened to it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from planner.errors import Notice


@dataclass(frozen=True)
class ClosedLoop:
    """Rows ``[start, stop)`` of the requests that `clients` issue one at a time.

    Parameters
    ----------
    class_id : int
        Their class.
    start, stop : int
        Rows in order of issue; the first ``min(clients, stop - start)`` have arrival times, each
        later one arrives ``think_s`` of its row after a request of this loop finished.
    clients : int
        Clients, >= 1.
    """

    class_id: int
    start: int
    stop: int
    clients: int


@dataclass(frozen=True)
class Requests:
    """Arrays of shape ``(n,)``, one row per request: open-loop rows by arrival, then closed loops.

    Parameters
    ----------
    arrival_s : array
        Arrival, >= 0; +inf for a closed-loop request not issued yet. [s]
    prompt_tokens, output_tokens : array
        Lengths, >= 1.
    class_id : array
        Index into ``class_names``.
    session_id : array
        Conversation it belongs to, for session affinity; for closed loops the client.
    think_s : array
        Pause between the answer before and this request; 0 for open-loop rows. [s]
    class_names : tuple of str
        Names of the classes.
    closed : tuple of ClosedLoop
        The closed loops among the rows.
    end_s : float
        End of the offered traffic: the window that was asked for, or the last arrival. A closed
        loop issues nothing at or after it, and has more rows than it can use before; +inf where
        only the number of their rows ends the closed loops. [s]
    random : bool
        Whether anything in it was drawn.
    notices : list of Notice
        What was left out or changed.
    """

    arrival_s: npt.NDArray[np.float64]
    prompt_tokens: npt.NDArray[np.int32]
    output_tokens: npt.NDArray[np.int32]
    class_id: npt.NDArray[np.int16]
    session_id: npt.NDArray[np.int64]
    think_s: npt.NDArray[np.float64]
    class_names: tuple[str, ...]
    closed: tuple[ClosedLoop, ...] = ()
    end_s: float = 0.0
    random: bool = True
    notices: list[Notice] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.arrival_s)
