"""Arrival processes: when requests come.

Open-loop processes do not care how long answers take. Each has ``times(n, rng)`` (the first `n`),
``times_before(end_s, rng)`` (those before a time), ``mean_rate(end_s)`` and ``scaled(factor)``.
A replayed trace (:mod:`planner.traffic.replay`) is open loop too; a closed loop
(:mod:`planner.traffic.closed`) is a number of clients that wait for their answers.
"""

from __future__ import annotations

import math
from typing import Annotated, Literal, Self

import numpy as np
from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from planner.errors import InputError, Problem
from planner.spec import Spec
from planner.traffic.closed import ClosedLoopArrivals
from planner.traffic.intensity import FloatArray, Intensity
from planner.traffic.profile import ProfileArrivals
from planner.traffic.renewal import check_count, first_points, points_before
from planner.traffic.replay import TraceArrivals
from planner.units import PositiveDuration, Rate, RateOrZero

#: Most changes of state in one draw of a Markov-modulated process.
MAX_PERIODS = 50_000_000


class _ConstantRate(Spec):
    """What arrivals of one constant mean rate share."""

    rate: Rate

    @property
    def random(self) -> bool:
        """Whether arrivals are drawn at random."""
        return True

    def mean_rate(self, end_s: float | None = None) -> float:  # noqa: ARG002 - as its siblings
        """Return the mean rate [1/s]."""
        return self.rate

    def scaled(self, factor: float) -> Self:
        """Return the same process, `factor` times as fast."""
        return self.model_copy(update={"rate": self.rate * factor})


class PoissonArrivals(_ConstantRate):
    """A Poisson process: many independent users, gaps exponential (cv = 1).

    Parameters
    ----------
    rate : float
        Mean arrivals per second, > 0. [1/s]
    """

    kind: Literal["poisson"] = "poisson"

    def times(self, n: int, rng: np.random.Generator) -> FloatArray:
        """Return the first `n` arrival times, non-decreasing, shape ``(n,)`` [s]."""
        return first_points(n, 1.0, rng) / self.rate

    def times_before(self, end_s: float, rng: np.random.Generator) -> FloatArray:
        """Return the arrival times before `end_s`, non-decreasing [s]."""
        return _before(end_s, points_before(self.rate * end_s, 1.0, rng) / self.rate)


class GammaArrivals(_ConstantRate):
    """Renewal arrivals with gamma gaps; ``cv = 1`` is Poisson, ``cv > 1`` is bursty [1]_.

    Parameters
    ----------
    rate : float
        Mean arrivals per second, > 0. [1/s]
    cv : float
        Coefficient of variation of the gaps, 0.01 to 100. [-]

    Notes
    -----
    The first gap begins at time 0 (an ordinary renewal process), so that over a duration D the
    mean count is ``rate D + (cv**2 - 1) / 2`` for large D.

    References
    ----------
    .. [1] W. Whitt, "Approximating a point process by a renewal process, I: two basic methods,"
       Oper. Res. 30(1), 1982. doi:10.1287/opre.30.1.125
    """

    kind: Literal["gamma"] = "gamma"
    cv: Annotated[float, Field(ge=0.01, le=100)] = 1.0

    def times(self, n: int, rng: np.random.Generator) -> FloatArray:
        """Return the first `n` arrival times, non-decreasing, shape ``(n,)`` [s]."""
        return first_points(n, self.cv, rng) / self.rate

    def times_before(self, end_s: float, rng: np.random.Generator) -> FloatArray:
        """Return the arrival times before `end_s`, non-decreasing [s]."""
        return _before(end_s, points_before(self.rate * end_s, self.cv, rng) / self.rate)


class DeterministicArrivals(_ConstantRate):
    """Arrivals at 0, 1/rate, 2/rate, ...: evenly spaced, nothing random.

    Parameters
    ----------
    rate : float
        Arrivals per second, > 0. [1/s]
    """

    kind: Literal["deterministic"] = "deterministic"

    @property
    def random(self) -> bool:
        """Whether arrivals are drawn at random: no."""
        return False

    def times(self, n: int, rng: np.random.Generator) -> FloatArray:  # noqa: ARG002 - as its siblings
        """Return the first `n` arrival times, shape ``(n,)`` [s]."""
        return np.arange(n) / self.rate

    def times_before(self, end_s: float, rng: np.random.Generator) -> FloatArray:
        """Return the arrival times before `end_s` [s]."""
        check_count(self.rate * end_s)
        return _before(end_s, self.times(math.ceil(self.rate * end_s) + 1, rng))


class MmppState(Spec):
    """One state of a Markov-modulated Poisson process.

    Parameters
    ----------
    rate : float
        Arrivals per second while in it, >= 0. [1/s]
    dwell : float
        Mean time of one stay, > 0; stays are exponential. [s]
    """

    rate: RateOrZero
    dwell: PositiveDuration


class MmppArrivals(Spec):
    """Markov-modulated Poisson arrivals: calm, then busy, then calm again [1]_.

    The process stays in a state for an exponential time, then moves to one of the others, each
    equally likely, so that the share of time in a state is its ``dwell`` over the sum of dwells.
    The state at time 0 is drawn from these shares.

    Parameters
    ----------
    states : tuple of MmppState
        At least two, at least one with a rate above 0.

    References
    ----------
    .. [1] W. Fischer, K. Meier-Hellstern, "The Markov-modulated Poisson process (MMPP)
       cookbook," Perform. Eval. 18(2), 1993. doi:10.1016/0166-5316(93)90035-S
    """

    kind: Literal["mmpp"] = "mmpp"
    states: Annotated[tuple[MmppState, ...], Field(min_length=2)]

    @model_validator(mode="after")
    def _brings_requests(self) -> Self:
        if not any(state.rate > 0 for state in self.states):
            raise PydanticCustomError(
                "mmpp", "must have at least one state with a rate > 0; otherwise nothing arrives"
            )
        return self

    @property
    def random(self) -> bool:
        """Whether arrivals are drawn at random."""
        return True

    def mean_rate(self, end_s: float | None = None) -> float:  # noqa: ARG002 - as its siblings
        """Return the mean rate: the states' rates weighted by their dwells [1/s]."""
        arrivals = math.fsum(state.rate * state.dwell for state in self.states)
        return arrivals / math.fsum(state.dwell for state in self.states)

    def scaled(self, factor: float) -> Self:
        """Return the process with all rates times `factor`; stays last as long as before."""
        states = tuple(
            state.model_copy(update={"rate": state.rate * factor}) for state in self.states
        )
        return self.model_copy(update={"states": states})

    def times(self, n: int, rng: np.random.Generator) -> FloatArray:
        """Return the first `n` arrival times, non-decreasing, shape ``(n,)`` [s]."""
        points_rng, path_rng = rng.spawn(2)
        points = first_points(n, 1.0, points_rng)
        if n == 0:
            return points
        return self._path(math.inf, float(points[-1]), path_rng).invert(points)

    def times_before(self, end_s: float, rng: np.random.Generator) -> FloatArray:
        """Return the arrival times before `end_s`, non-decreasing [s]."""
        points_rng, path_rng = rng.spawn(2)
        path = self._path(end_s, math.inf, path_rng)
        points = points_before(path.expected(end_s), 1.0, points_rng)
        return _before(end_s, path.invert(points))

    def _path(self, end_s: float, mass: float, rng: np.random.Generator) -> Intensity:
        """Return the rate over time, drawn until `end_s` or an integral of `mass` is reached."""
        dwell = np.array([state.dwell for state in self.states])
        rate = np.array([state.rate for state in self.states])
        jump_rng, stay_rng = rng.spawn(2)
        share = np.cumsum(dwell)
        state = int(np.searchsorted(share, rng.random() * share[-1], side="right"))
        seconds = min(end_s, mass / self.mean_rate())
        expected = seconds / dwell.mean()
        if expected > MAX_PERIODS:
            message = (
                f"must change state at most {MAX_PERIODS:,} times in a run, got about "
                f"{expected:.3g}; give the states longer dwells"
            )
            raise InputError(Problem(message, path="arrivals.states"))
        chunk = int(expected) + 64
        stays, rates, time, area = [np.empty(0)], [np.empty(0)], 0.0, 0.0
        while time < end_s and area < mass:
            jumps = jump_rng.integers(1, len(dwell), size=chunk)
            visits = (state + np.concatenate(([0], np.cumsum(jumps)))) % len(dwell)
            state = int(visits[-1])
            stays.append(stay_rng.standard_exponential(chunk) * dwell[visits[:-1]])
            rates.append(rate[visits[:-1]])
            time += float(stays[-1].sum())
            area += float(stays[-1] @ rates[-1])
        stay, level = np.concatenate(stays), np.concatenate(rates)
        knots = np.concatenate(([0.0], np.cumsum(stay)))
        kept = np.diff(knots) > 0  # a stay may be too short to move the clock
        # one more, busy segment, which only rounding can reach: the last drawn may be silent
        knots = np.concatenate(([0.0], knots[1:][kept], [knots[-1] + dwell.max()]))
        level = np.concatenate((level[kept], [rate.max()]))
        return Intensity(knots, level, level)


def _before(end_s: float, times: FloatArray) -> FloatArray:
    """Return the sorted `times` below `end_s`; a rounded division may have reached it."""
    return times[: np.searchsorted(times, end_s, side="left")]


#: Processes that know their times without a file or an answer.
DrawnArrivals = (
    PoissonArrivals | GammaArrivals | DeterministicArrivals | MmppArrivals | ProfileArrivals
)

#: Every arrival process, told apart by ``kind``.
Arrivals = Annotated[
    PoissonArrivals
    | GammaArrivals
    | DeterministicArrivals
    | MmppArrivals
    | ProfileArrivals
    | TraceArrivals
    | ClosedLoopArrivals,
    Field(discriminator="kind"),
]
