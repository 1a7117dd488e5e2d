"""From the classes of a traffic spec to arrays of requests."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from planner.errors import InputError, Notice, Problem
from planner.streams import stream
from planner.traffic.classes import of_class
from planner.traffic.closed import ClosedLoopArrivals
from planner.traffic.lengths import Drawn, LengthsFromArrivals
from planner.traffic.open_loop import load_sources, merge, scale
from planner.traffic.renewal import check_count
from planner.traffic.requests import ClosedLoop, Requests
from planner.traffic.sessions import session_ids
from planner.traffic.traces import Trace

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from planner.traffic.classes import RequestClass
    from planner.traffic.intensity import FloatArray, IntArray
    from planner.traffic.open_loop import Merged, Source


class _Rows(NamedTuple):
    """Columns of some of the requests, as in :class:`Requests`."""

    arrival_s: FloatArray
    prompt_tokens: IntArray
    output_tokens: IntArray
    class_id: npt.NDArray[np.int16]
    session_id: npt.NDArray[np.int64]
    think_s: FloatArray


class Offer(NamedTuple):
    """What arrives, as a traffic spec says it.

    Parameters
    ----------
    classes : tuple of RequestClass
        The classes.
    duration : float or None
        Requests arrive before it. [s]
    requests : int or None
        How many.
    rate : float or None
        Total mean rate of the open-loop arrivals. [1/s]
    random : bool
        Whether anything is drawn.
    """

    classes: tuple[RequestClass, ...]
    duration: float | None
    requests: int | None
    rate: float | None
    random: bool


class Assembler:
    """Draws one replication, class by class, each use of random numbers from its own stream.

    Parameters
    ----------
    offer : Offer
        What to draw.
    seed, replication : int
        As of :func:`planner.streams.stream`.
    base : pathlib.Path
        Folder that relative paths start from.
    """

    def __init__(self, offer: Offer, seed: int, replication: int, base: Path) -> None:
        self._offer, self._seed, self._replication, self._base = offer, seed, replication, base
        self._classes = offer.classes
        self._notices: list[Notice] = []

    def requests(self) -> Requests:
        """Return the requests.

        Raises
        ------
        InputError
            If a file cannot be used, nothing arrives, or too much would.
        """
        offer = self._offer
        if offer.requests is not None:
            check_count(offer.requests, "traffic.requests")
        sources, notices = load_sources(self._classes, self._base)
        sources = scale(sources, offer.rate, offer.duration)
        merged = merge(
            sources, lambda k: self._stream("arrivals", k), offer.duration, offer.requests
        )
        self._notices += notices + merged.notices
        parts = [self._open_rows(sources, merged)]
        loops: list[ClosedLoop] = []
        row = len(merged.times)
        for class_id, n in self._closed_counts(merged.end_s, open_loop=bool(sources)).items():
            clients = self._clients_before(merged.end_s, class_id)
            parts.append(self._closed_rows(class_id, n, clients, len(merged.times)))
            loops.append(ClosedLoop(class_id, row, row + n, clients))
            row += n
        if row == 0:
            message = f"must bring at least one request, got none before {merged.end_s:g} s"
            raise InputError(Problem(message, path="traffic"))
        columns = _Rows(*map(np.concatenate, zip(*parts, strict=True))) if loops else parts[0]
        return Requests(
            *columns,
            class_names=tuple(each.name for each in self._classes),
            closed=tuple(loops),
            end_s=merged.end_s,
            random=offer.random,
            notices=list(dict.fromkeys(self._notices)),
        )

    def _stream(self, use: str, class_id: int) -> np.random.Generator:
        return stream(self._seed, self._replication, use, self._classes[class_id].name)

    def _lengths(self, class_id: int, n: int, source: Source | None) -> Drawn:
        lengths = self._classes[class_id].lengths
        if isinstance(lengths, LengthsFromArrivals):
            assert isinstance(source, Trace)  # noqa: S101 - RequestClass checks it
            return Drawn(source.prompt_tokens[:n], source.output_tokens[:n], [])
        drawn = lengths.draw(n, self._stream("lengths", class_id), self._base)
        name = f" (class {self._classes[class_id].name})" if len(self._classes) > 1 else ""
        self._notices += [Notice(each.message + name, each.count) for each in drawn.notices]
        return drawn

    def _open_rows(self, sources: Mapping[int, Source], merged: Merged) -> _Rows:
        """Return the open-loop rows: each class's lengths and conversations put at its arrivals."""
        n = len(merged.times)
        prompt, output = np.empty(n, np.int32), np.empty(n, np.int32)
        session = np.arange(n, dtype=np.int64)
        for class_id, source in sources.items():
            rows = np.flatnonzero(merged.class_id == class_id) if len(sources) > 1 else slice(None)
            count = n if isinstance(rows, slice) else len(rows)
            prompt[rows], output[rows], _ = self._lengths(class_id, count, source)
            mean = self._classes[class_id].sessions
            if mean is not None:
                # a conversation is named after its first request, so that no two classes share one
                ids = session_ids(count, mean, self._stream("sessions", class_id))
                first = np.unique(ids, return_index=True)[1]
                session[rows] = session[rows][first][ids]
        return _Rows(merged.times, prompt, output, merged.class_id, session, np.zeros(n))

    def _loop(self, class_id: int) -> ClosedLoopArrivals:
        arrivals = self._classes[class_id].arrivals
        assert isinstance(arrivals, ClosedLoopArrivals)  # noqa: S101 - callers choose closed loops
        return arrivals

    def _closed_counts(self, end_s: float, *, open_loop: bool) -> dict[int, int]:
        """Return how many rows each closed loop gets.

        Those that a duration ends get as many as they could ever need; those that a number of
        requests ends share it in the proportion of their clients.
        """
        loops = [k for k, each in enumerate(self._classes) if each.arrivals.kind == "closed_loop"]
        total = self._offer.requests
        if total is None or open_loop:
            most = {}
            for k in loops:
                with of_class(k):
                    most[k] = self._loop(k).most_requests(end_s)
            check_count(sum(most.values()))
            return most
        clients = np.array([self._loop(k).clients for k in loops])
        bounds = np.rint(total * np.cumsum(clients) / clients.sum())
        return dict(zip(loops, np.diff(bounds, prepend=0).astype(int).tolist(), strict=True))

    def _clients_before(self, end_s: float, class_id: int) -> int:
        """Return how many clients of a closed loop start before the end; at least one does."""
        loop = self._loop(class_id)
        clients = int(np.count_nonzero(loop.starts(loop.clients) < end_s)) or 1
        if clients < loop.clients:
            name = self._classes[class_id].name
            text = f"clients of class {name} never start: the ramp outlasts the run"
            self._notices.append(Notice(text, loop.clients - clients))
        return clients

    def _closed_rows(self, class_id: int, n: int, clients: int, first_session: int) -> _Rows:
        loop = self._loop(class_id)
        arrival = np.full(n, math.inf)
        begun = min(clients, n)
        arrival[:begun] = loop.starts(begun)
        prompt, output, _ = self._lengths(class_id, n, None)
        think = loop.think.pauses(n, self._stream("think", class_id))
        think[:begun] = 0.0
        before: Sequence[RequestClass] = self._classes[:class_id]
        offset = first_session + sum(
            each.arrivals.clients for each in before if each.arrivals.kind == "closed_loop"
        )
        session = offset + np.arange(n, dtype=np.int64) % clients
        return _Rows(arrival, prompt, output, np.full(n, class_id, np.int16), session, think)
