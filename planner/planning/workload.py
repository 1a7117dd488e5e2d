"""The traffic of a search: drawn once, the same for every candidate, cut to shorter windows."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from planner.scenario.dump import scenario_json

if TYPE_CHECKING:
    from planner.scenario.model import Scenario
    from planner.scenario.objectives import Objective
    from planner.traffic.requests import Requests

#: Requests that are measured in a window of the levels before the last, and replications.
SCOUT_REQUESTS, RACE_REQUESTS, RACE_REPLICATIONS = 3_000, 20_000, 2
#: Least replications of the last level, where anything is drawn.
LEAST_REPLICATIONS = 5
#: Counts per stretch that vary more than this times those of a Poisson process are bursts.
BURSTY = 10.0
#: Stretches that are compared.
STRETCHES = 30


class Window(NamedTuple):
    """A part of the traffic.

    Parameters
    ----------
    start_s, end_s : float
        From when to when. [s]
    warmup_s : float
        At its beginning, not measured. [s]
    """

    start_s: float
    end_s: float
    warmup_s: float


class Level(NamedTuple):
    """How much of the traffic an evaluation simulates.

    Parameters
    ----------
    name : str
        ``scout``, ``race`` or ``full``.
    window : Window or None
        None for all of it.
    replications : int
        Independent ones.
    """

    name: str
    window: Window | None
    replications: int


@dataclass(frozen=True)
class Workload:
    """A scenario's traffic and objectives, as a search uses them.

    Parameters
    ----------
    scenario : Scenario
        Whose traffic.
    objectives : tuple of (int or None, Objective)
        Class of requests, or None for all, and what they have to keep to.
    """

    scenario: Scenario
    objectives: tuple[tuple[int | None, Objective], ...]

    def draw(self, replication: int) -> Requests:
        """Return the requests of one replication; the last few are kept in memory."""
        key = (self.digest, replication)
        if key not in _DRAWN:
            for old in list(_DRAWN)[: max(0, len(_DRAWN) - LEAST_REPLICATIONS)]:
                del _DRAWN[old]
            _DRAWN[key] = self._draw(replication)
        return _DRAWN[key]

    def _draw(self, replication: int) -> Requests:
        scenario = self.scenario
        return scenario.traffic.draw(scenario.simulation.seed, replication, scenario.base_dir)

    @cached_property
    def digest(self) -> str:
        """Identifies the traffic: what is written about it, and what it amounts to."""
        written = scenario_json(self.scenario)
        requests = self._draw(0)
        text = hashlib.sha256(repr((written["traffic"], self.scenario.simulation.seed)).encode())
        for column in (requests.arrival_s, requests.prompt_tokens, requests.output_tokens):
            text.update(column.tobytes())
        _DRAWN[text.hexdigest(), 0] = requests
        return text.hexdigest()

    @property
    def random(self) -> bool:
        """Whether anything is drawn, so that replications differ."""
        return self.scenario.traffic.random or self._random_stages

    @property
    def _random_stages(self) -> bool:
        service = self.scenario.service
        around = (*service.before, *service.after) if service.kind == "llm" else ()
        return any(stage.variability.kind != "constant" for stage in around)

    @cached_property
    def offered_per_s(self) -> float | None:
        """Mean rate of arrivals after the warm-up [1/s]; None where clients set it."""
        requests = self.draw(0)
        if requests.closed:
            return None
        start = min(self.scenario.simulation.warmup, requests.end_s)
        if not requests.end_s > start:
            return None
        inside = (requests.arrival_s >= start) & (requests.arrival_s <= requests.end_s)
        return float(inside.sum() / (requests.end_s - start))

    @cached_property
    def levels(self) -> tuple[Level, Level, Level]:
        """The levels of the race, from the shortest window to all of the traffic."""
        least = max(LEAST_REPLICATIONS, self.scenario.simulation.replications)
        last = Level("full", None, least if self.random else 1)
        race = None if self._bursts else self._window(RACE_REQUESTS)
        several = RACE_REPLICATIONS if self.random and race else 1
        return (
            Level("scout", self._window(SCOUT_REQUESTS), 1),
            Level("race", race, several),
            last,
        )

    def _window(self, count: int) -> Window | None:
        """Return a window with about `count` requests after its warm-up; None for all of them."""
        requests, rate = self.draw(0), self.offered_per_s
        if requests.closed or rate is None or not 0 < requests.end_s < math.inf:
            return None
        warmup = min(self.scenario.simulation.warmup, requests.end_s / 4)
        length = warmup + max(count / rate, warmup / 2)
        if length >= 0.7 * requests.end_s:
            return None
        start = _busiest(requests, length) if self._bursts else 0.0
        return Window(start, start + length, warmup)

    @cached_property
    def _bursts(self) -> bool:
        """Whether the rate changes more than by chance, so that no stretch is like another."""
        requests = self.draw(0)
        if requests.closed or not 0 < requests.end_s < math.inf:
            return False
        counts = np.histogram(requests.arrival_s, STRETCHES, (0.0, requests.end_s))[0]
        return bool(counts.var() > BURSTY * counts.mean())


def _busiest(requests: Requests, length: float) -> float:
    """Return where the stretch of `length` with the most tokens starts [s]."""
    starts = np.arange(0.0, requests.end_s - length, length / 4)
    total = np.concatenate(
        ([0.0], np.cumsum(requests.prompt_tokens.astype(np.float64) + requests.output_tokens))
    )
    first, last = np.searchsorted(requests.arrival_s, [starts, starts + length])
    return float(starts[(total[last] - total[first]).argmax()])


#: Requests drawn in this process.
_DRAWN: dict[tuple[str, int], Requests] = {}


def cut(requests: Requests, window: Window | None) -> Requests:
    """Return the requests that arrive in a window, from its start on; all for None."""
    if window is None:
        return requests
    first, last = np.searchsorted(requests.arrival_s, [window.start_s, window.end_s])
    rows = slice(int(first), int(last))
    return replace(
        requests,
        arrival_s=requests.arrival_s[rows] - window.start_s,
        prompt_tokens=requests.prompt_tokens[rows],
        output_tokens=requests.output_tokens[rows],
        class_id=requests.class_id[rows],
        session_id=requests.session_id[rows],
        think_s=requests.think_s[rows],
        end_s=window.end_s - window.start_s,
    )


def scaled(requests: Requests, rate: float, prompt: float, output: float) -> Requests:
    """Return the same requests coming `rate` times as fast, with lengths multiplied."""
    if (rate, prompt, output) == (1.0, 1.0, 1.0):
        return requests
    return replace(
        requests,
        arrival_s=requests.arrival_s / rate,
        think_s=requests.think_s / rate,
        prompt_tokens=_longer(requests.prompt_tokens, prompt),
        output_tokens=_longer(requests.output_tokens, output),
        end_s=requests.end_s / rate,
    )


def _longer(
    tokens: np.ndarray[tuple[int], np.dtype[np.int32]], factor: float
) -> np.ndarray[tuple[int], np.dtype[np.int32]]:
    longer: np.ndarray[tuple[int], np.dtype[np.int32]]
    longer = np.maximum(1, np.rint(tokens * factor)).astype(np.int32)
    return longer
