"""Stations of a queueing network, in SimPy.

A station is plain callbacks on SimPy timeouts: one event per service, where a process with a
``simpy.Resource`` takes four. Requests are known by their row in arrays of all requests.
"""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import numpy as np
    import numpy.typing as npt
    from simpy import Environment, Event

    from planner.traffic.requests import ClosedLoop


class Station:
    """A queue served first come, first served, by one or more servers.

    Parameters
    ----------
    env : Environment
        The clock.
    servers : int
        Requests served at a time.
    service_s : list of float
        Service time of each request. [s]

    Attributes
    ----------
    start_s : list of float
        Start of each request's service; NaN until then. [s]
    leave : callable
        Takes the row of a request that has been served; set before the clock runs.
    """

    leave: Callable[[int], None]

    def __init__(self, env: Environment, servers: int, service_s: list[float]) -> None:
        self.start_s = [math.nan] * len(service_s)
        self._env = env
        self._idle = servers
        self._service_s = service_s
        self._queue: deque[int] = deque()

    def join(self, row: int) -> None:
        """Begin to serve the request `row`, or queue it."""
        if self._idle:
            self._idle -= 1
            self._begin(row)
        else:
            self._queue.append(row)

    def _begin(self, row: int) -> None:
        self.start_s[row] = self._env.now
        _after(self._env, self._service_s[row], row, self._finish)

    def _finish(self, event: Event) -> None:
        if self._queue:
            self._begin(self._queue.popleft())
        else:
            self._idle += 1
        self.leave(_row(event))


class Delay:
    """A time that every request spends and for which none waits.

    Parameters
    ----------
    env : Environment
        The clock.
    delay_s : float
        The time. [s]

    Attributes
    ----------
    leave : callable
        Takes the row of a request whose time is over; set before the clock runs.
    """

    leave: Callable[[int], None]

    def __init__(self, env: Environment, delay_s: float) -> None:
        self._env = env
        self._delay_s = delay_s

    def join(self, row: int) -> None:
        """Let the request `row` spend the time."""
        _after(self._env, self._delay_s, row, self._finish)

    def _finish(self, event: Event) -> None:
        self.leave(_row(event))


class Clients:
    """The closed loops: each departure is followed by the next request of the same loop.

    Parameters
    ----------
    env : Environment
        The clock.
    closed : sequence of ClosedLoop
        The loops.
    think_s : list of float
        Pause before each request. [s]
    arrival_s : array, shape (n,)
        Filled in when a request is issued. [s]
    enter : callable
        Takes the row of a request that is issued.
    """

    def __init__(
        self,
        env: Environment,
        closed: Sequence[ClosedLoop],
        think_s: list[float],
        arrival_s: npt.NDArray[np.float64],
        enter: Callable[[int], None],
    ) -> None:
        self._env = env
        self._think_s = think_s
        self._arrival_s = arrival_s
        self._enter = enter
        self._unissued: dict[int, Iterator[int]] = {}  # of the loop that a row belongs to
        for loop in closed:
            unissued = iter(range(loop.start + loop.clients, loop.stop))
            self._unissued.update(dict.fromkeys(range(loop.start, loop.stop), unissued))

    def departed(self, row: int) -> None:
        """Issue the next request of the loop that `row` belongs to, if there is one."""
        following = next(self._unissued.get(row, iter(())), None)
        if following is not None:
            _after(self._env, self._think_s[following], following, self._issue)

    def _issue(self, event: Event) -> None:
        row = _row(event)
        self._arrival_s[row] = self._env.now
        self._enter(row)


def _after(env: Environment, delay_s: float, row: int, callback: Callable[[Event], None]) -> None:
    """Call `callback` with an event of value `row` once `delay_s` has passed."""
    env.timeout(delay_s, row).callbacks.append(callback)


def _row(event: Event) -> int:
    """Return the row of the request that :func:`_after` was called for."""
    return cast("int", event.value)
