"""Replay of a trace: its own arrival times, cut, sped up, and with ties spread."""

from __future__ import annotations

import dataclasses
from pathlib import Path  # noqa: TC003 - a parameter of public methods
from typing import TYPE_CHECKING, Annotated, Literal, Self

import numpy as np
from pydantic import Field, PositiveFloat, StrictBool, model_validator
from pydantic_core import PydanticCustomError

from planner.errors import InputError, Notice, Problem
from planner.spec import Spec
from planner.traffic.traces import MAX_SIZE, Columns, Trace, read_trace
from planner.units import Duration, PositiveDuration, Size

if TYPE_CHECKING:
    from planner.traffic.intensity import FloatArray


class TraceArrivals(Spec):
    """Requests replayed from a file; see :mod:`planner.traffic.traces` for its formats.

    Parameters
    ----------
    path : str
        CSV or JSON Lines file, may be gzipped; relative to the scenario.
    columns : Columns
        Names of the columns, where they are not recognised.
    window : tuple of float
        Only requests from the first to before the second time, in the trace's own time (since
        its first request where the clock is absolute); the first becomes time 0. [s]
    speedup : float
        Divides all times; 2 doubles the rate. [-]
    spread_ties : float or bool
        Spreads requests of equal time evenly over this time, for traces whose clock is coarse;
        ``true`` takes the median gap between distinct times. Never beyond the next request. [s]
    max_size : float
        Most bytes of text to read. [B]
    """

    kind: Literal["trace"] = "trace"
    path: Annotated[str, Field(min_length=1)]
    columns: Columns = Columns()
    window: tuple[Duration, Duration] | None = None
    speedup: PositiveFloat = 1.0
    spread_ties: StrictBool | PositiveDuration = False
    max_size: Size = MAX_SIZE

    @model_validator(mode="after")
    def _window_has_a_length(self) -> Self:
        if self.window is not None and self.window[0] >= self.window[1]:
            raise PydanticCustomError(
                "window",
                "must have a window that ends after it begins, got {start} s to {stop} s",
                {"start": f"{self.window[0]:g}", "stop": f"{self.window[1]:g}"},
            )
        return self

    @property
    def random(self) -> bool:
        """Whether arrivals are drawn at random: no."""
        return False

    def load(self, base: Path, *, lengths: bool = True) -> Trace:
        """Return the trace as it is replayed.

        Parameters
        ----------
        base : pathlib.Path
            Folder that a relative `path` starts from.
        lengths : bool
            Whether the trace's own lengths are wanted; if not, its rows need none.

        Raises
        ------
        InputError
            If the file cannot be used or no request lies in the window.
        """
        trace = read_trace(
            base, self.path, self.columns, "requests" if lengths else "arrivals", self.max_size
        )
        times = self._spread(trace.arrival_s)
        keep, end = slice(None), float(times[-1])
        notices = list(trace.notices)
        if self.window is not None:
            first, end = self.window
            keep = slice(*np.searchsorted(times, self.window, side="left").tolist())
            times = times[keep] - first
            if len(times) == 0:
                message = (
                    f"must hold requests in the window {first:g} s to {end:g} s, got none; "
                    f"the trace runs from {trace.arrival_s[0]:g} s to {trace.arrival_s[-1]:g} s"
                )
                raise InputError(Problem(message, path="arrivals.window", file=self.path))
            if len(times) < len(trace):
                outside = len(trace) - len(times)
                notices.append(Notice(f"requests of {self.path} outside the window", outside))
            end -= first
        return dataclasses.replace(
            trace,
            arrival_s=times / self.speedup,
            prompt_tokens=trace.prompt_tokens[keep],
            output_tokens=trace.output_tokens[keep],
            end_s=end / self.speedup,
            notices=notices,
        )

    def _spread(self, times: FloatArray) -> FloatArray:
        """Return sorted `times` with equal ones spread evenly."""
        distinct, first, members = np.unique(times, return_index=True, return_counts=True)
        if self.spread_ties is False or len(distinct) == len(times):
            return times
        gaps = np.diff(distinct)
        if self.spread_ties is True:
            if len(gaps) == 0:
                message = (
                    "must be a duration where all requests have the same time, got true; "
                    "write for instance '3 s'"
                )
                raise InputError(Problem(message, path="arrivals.spread_ties", file=self.path))
            quantum = float(np.median(gaps))
        else:
            quantum = self.spread_ties
        room = np.minimum(np.append(gaps, np.inf), quantum)
        rank = np.arange(len(times)) - np.repeat(first, members)
        spread: FloatArray = times + rank * np.repeat(room / members, members)
        return spread
