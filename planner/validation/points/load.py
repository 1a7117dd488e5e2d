"""The load that a point was measured under, as requests."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from planner.streams import stream
from planner.traffic.requests import ClosedLoop, Requests
from planner.validation.points.deployment import UnsupportedError, family
from planner.validation.points.inferencex import of_inferencex

if TYPE_CHECKING:
    import numpy.typing as npt

    from planner.validation.points.table import Point

    Ints = npt.NDArray[np.int32]

#: Requests per client of a closed loop where the source does not say; InferenceX sends as many.
PER_CLIENT = 10
#: Requests of a run of SGLang's own benchmark, ``bench_serving --num-prompts``, by default. That
#: its rows outside InferenceX are of so many is read off them: with ten for each of 512 clients no
#: coefficients give both their TTFT, most of it the first burst, and their TPOT.
SGLANG_SENDS = 1000
#: Requests of an open loop or a backlog where the source does not say.
OPEN, LEAST_BACKLOG, MOST_BACKLOG = 500, 400, 4000
#: Half the width of lengths that are called mean or nominal: clients with requests of one length
#: would go through prefill in step for ever, which no engine shows.
WIDTH = 0.1
#: Least length, as a share of the nominal one, where a benchmark draws below it.
DRAWN_FROM = 0.8


def longest_request(point: Point) -> int:
    """Return the tokens of a request that an engine reserves if it admits only what will fit."""
    isl, osl = lengths(point)
    return math.ceil((isl + osl) * (0.5 + 0.5 * _low(point)) if _low(point) < 1 else isl + osl)


def lengths(point: Point) -> tuple[float, float]:
    """Return prompt and output tokens as the row has them.

    Raises
    ------
    UnsupportedError
        If it does not.
    """
    isl, osl = point.number("isl"), point.number("osl")
    if isl is None or osl is None:
        raise UnsupportedError("the source gives no lengths")
    if isl < 1 or osl < 1:
        raise UnsupportedError("a length below one token")
    return isl, osl


def _low(point: Point) -> float:
    return DRAWN_FROM if of_inferencex(point) else 1.0


def requests_of(point: Point, room: int) -> Requests:
    """Return the requests of a point.

    Parameters
    ----------
    point : Point
        A row.
    room : int
        Requests that the replica holds at once; a backlog is several times that.

    Raises
    ------
    UnsupportedError
        If the row does not say enough.
    """
    kind, load = point.texts["load_type"], point.numbers["load"]
    if math.isnan(load) or load <= 0:
        raise UnsupportedError("the source gives no load")
    rng = stream(0, 0, "points")
    if kind == "batch":
        return _at_once(point, int(load), rng)
    if kind == "concurrency":
        return _closed(point, int(load), rng)
    if math.isinf(load):
        known = point.number("n_requests")
        n = int(known or np.clip(4 * room, LEAST_BACKLOG, MOST_BACKLOG))
        return _at_once(point, n, rng)
    n = int(point.number("n_requests") or OPEN)
    prompt, output = _drawn(point, n, rng)
    return _requests(np.cumsum(rng.exponential(1 / load, n)), prompt, output)


def _closed(point: Point, clients: int, rng: np.random.Generator) -> Requests:
    n = int(point.number("n_requests") or _sent(point, clients))
    prompt, output = _drawn(point, n, rng)
    arrival = np.where(np.arange(n) < clients, 0.0, np.inf)
    loop = ClosedLoop(0, 0, n, clients)
    return _requests(arrival, prompt, output, loop)


def _sent(point: Point, clients: int) -> int:
    """Return the requests of a closed loop where the source does not say."""
    own = family(point.texts["engine"]) == "sglang" and _low(point) == 1
    return max(clients, SGLANG_SENDS) if own else PER_CLIENT * clients


def _at_once(point: Point, n: int, rng: np.random.Generator) -> Requests:
    return _requests(np.zeros(n), *_drawn(point, n, rng))


def _drawn(point: Point, n: int, rng: np.random.Generator) -> tuple[Ints, Ints]:
    """Return prompt and output lengths: of a static batch as they are, else spread."""
    isl, osl = lengths(point)
    low = _low(point)
    if point.texts["load_type"] == "batch" or osl < 1.5:
        spread: tuple[float, float] = (1.0, 1.0)
    elif low < 1:
        spread = (low, 1.0)
    else:
        spread = (1 - WIDTH, 1 + WIDTH)
    factors = rng.uniform(*spread, size=(2, n))
    prompt = np.maximum(np.rint(isl * factors[0]), 1).astype(np.int32)
    output = np.maximum(np.rint(osl * factors[1]), 1).astype(np.int32)
    return prompt, output


def _requests(
    arrival: npt.NDArray[np.float64], prompt: Ints, output: Ints, loop: ClosedLoop | None = None
) -> Requests:
    n = len(arrival)
    return Requests(
        arrival,
        prompt,
        output,
        np.zeros(n, np.int16),
        np.arange(n),
        np.zeros(n),
        ("all",),
        () if loop is None else (loop,),
        math.inf if loop is not None else float(arrival[-1]) + 1,
    )
