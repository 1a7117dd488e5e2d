"""Open-loop arrivals of several classes: loaded, scaled to one total rate, merged, cut."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from planner.errors import InputError, Notice, Problem
from planner.traffic.classes import of_class
from planner.traffic.closed import ClosedLoopArrivals
from planner.traffic.profile import ProfileArrivals
from planner.traffic.replay import TraceArrivals
from planner.traffic.traces import Trace

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from planner.traffic.arrivals import DrawnArrivals
    from planner.traffic.classes import RequestClass
    from planner.traffic.intensity import FloatArray

    #: What gives one class its times, with files already read.
    Source = DrawnArrivals | Trace
    #: Returns the generator of the arrivals of a class, from its beginning.
    Streams = Callable[[int], np.random.Generator]

#: Beyond this no more arrivals are looked for. [s]
FOREVER_S = 1e12


def load_sources(
    classes: Sequence[RequestClass], base: Path
) -> tuple[dict[int, Source], list[Notice]]:
    """Return the source of each open-loop class by its number, and what reading them left out.

    Raises
    ------
    InputError
        If a file cannot be used.
    """
    sources: dict[int, Source] = {}
    notices: list[Notice] = []
    for number, each in enumerate(classes):
        arrivals = each.arrivals
        if isinstance(arrivals, TraceArrivals):
            with of_class(number):
                trace = arrivals.load(base, lengths=each.lengths.kind == "from_arrivals")
            sources[number] = trace
            notices += trace.notices
        elif isinstance(arrivals, ProfileArrivals):
            with of_class(number):
                sources[number], more = arrivals.loaded(base)
            notices += more
        elif not isinstance(arrivals, ClosedLoopArrivals):
            sources[number] = arrivals
    return sources, notices


def scale(
    sources: Mapping[int, Source], rate: float | None, duration: float | None
) -> dict[int, Source]:
    """Return the sources, all sped up by one factor so that their mean rates add up to `rate`.

    Raises
    ------
    InputError
        If a mean rate is 0 or unbounded, so that no factor exists.
    """
    if rate is None:
        return dict(sources)
    total = math.fsum(source.mean_rate(duration) for source in sources.values())
    if not 0 < total < math.inf:
        message = f"must scale arrivals with a mean rate > 0, got {total:g} req/s; leave it out"
        raise InputError(Problem(message, path="traffic.rate"))
    return {number: source.scaled(rate / total) for number, source in sources.items()}


@dataclass(frozen=True)
class Merged:
    """Open-loop arrivals of all classes.

    Parameters
    ----------
    times : array
        Arrivals, non-decreasing, shape ``(n,)``. [s]
    class_id : array
        Class of each, shape ``(n,)``.
    end_s : float
        End of the offered traffic; inf where nothing open-loop ends it. [s]
    notices : list of Notice
        What was left out.
    """

    times: FloatArray
    class_id: npt.NDArray[np.int16]
    end_s: float
    notices: list[Notice]


def merge(
    sources: Mapping[int, Source], streams: Streams, duration: float | None, n: int | None
) -> Merged:
    """Return the arrivals of all sources in order of time.

    Parameters
    ----------
    sources : mapping of int to Source
        By class number.
    streams : callable
        Gives the random numbers of a class, from their beginning each time.
    duration : float or None
        Only times before it. [s]
    n : int or None
        Only the first `n`. With neither, until the end of the longest trace.

    Raises
    ------
    InputError
        If `n` requests never come, or too many would.
    """
    limit = math.inf if duration is None else duration
    traces = [source for source in sources.values() if isinstance(source, Trace)]
    longest = max((trace.end_s for trace in traces), default=math.inf)
    with np.errstate(over="ignore"):  # checked below
        if n is not None:
            parts = _first(sources, streams, limit, n)
        else:
            horizon = min(limit, longest) if duration is None else limit
            parts = _before(sources, streams, limit, horizon)
    times = np.concatenate([np.empty(0), *parts.values()])
    class_id = np.repeat(np.array(list(parts), np.int16), [len(part) for part in parts.values()])
    if len(parts) > 1:
        order = np.argsort(times, kind="stable")
        times, class_id = times[order], class_id[order]
    times, class_id = times[:n], class_id[:n]
    if len(times) and not times[-1] <= FOREVER_S:
        message = f"must bring its requests within {FOREVER_S:g} s, got one at {times[-1]:.3g} s"
        raise InputError(Problem(f"{message}; raise the rate, or give a duration", path="traffic"))
    if len(times) and len(times) == n:
        end = float(times[-1])
    elif traces and len(traces) == len(sources):
        end = min(limit, longest)
    else:
        end = longest if duration is None and n is None else limit
    return Merged(times, class_id, end, _cut_notices(sources, class_id, duration, n))


def _before(
    sources: Mapping[int, Source], streams: Streams, limit: float, horizon: float
) -> dict[int, FloatArray]:
    """Return each source's times: traces before `limit`, the others before `horizon`."""
    times = {}
    for number, source in sources.items():
        with of_class(number):
            until = limit if isinstance(source, Trace) else horizon
            times[number] = source.times_before(until, streams(number))
    return times


def _first(
    sources: Mapping[int, Source], streams: Streams, limit: float, n: int
) -> dict[int, FloatArray]:
    """Return each source's times, in all at least `n` unless `limit` comes first."""
    drawn = [source for source in sources.values() if not isinstance(source, Trace)]
    if not drawn:
        return _before(sources, streams, limit, limit)
    if len(sources) == 1 and limit == math.inf:
        number = next(iter(sources))
        with of_class(number):
            return {number: drawn[0].times(n, streams(number))}
    rate = math.fsum(source.mean_rate() for source in drawn)
    horizon = (n + 6 * math.sqrt(n) + 10) / rate
    while True:
        parts = _before(sources, streams, limit, min(horizon, limit))
        if horizon >= limit or sum(map(len, parts.values())) >= n:
            return parts
        if horizon > FOREVER_S:
            message = f"must be a number that the arrivals reach, got {n:,}; give a duration"
            raise InputError(Problem(message, path="traffic.requests"))
        horizon *= 2


def _cut_notices(
    sources: Mapping[int, Source],
    class_id: npt.NDArray[np.int16],
    duration: float | None,
    n: int | None,
) -> list[Notice]:
    """Return notices that count requests of traces beyond the end, or say that a trace is short."""
    notices = []
    for number, source in sources.items():
        if not isinstance(source, Trace):
            continue
        left_out = len(source) - int(np.count_nonzero(class_id == number))
        if left_out:
            notices.append(Notice(f"requests of {source.name} after the end of the run", left_out))
        elif duration is not None and n is None and source.end_s < duration:
            notices.append(
                Notice(
                    f"{source.name} ends after {source.end_s:g} s, before the duration of "
                    f"{duration:g} s"
                )
            )
    return notices
