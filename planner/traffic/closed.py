"""Closed loops: clients that send a request, wait for its answer, think, and send the next."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from pydantic import BeforeValidator, Field

from planner.errors import InputError, Problem
from planner.spec import Spec
from planner.units import Duration

if TYPE_CHECKING:
    from planner.traffic.intensity import FloatArray

#: Most rows prepared for a closed loop whose number of requests only a duration bounds.
MAX_ROWS = 20_000_000
#: Most clients of one closed loop.
MAX_CLIENTS = 10_000_000


class ConstantThink(Spec):
    """Clients pause for the same time before each request.

    Parameters
    ----------
    mean : float
        The pause, >= 0. [s]
    """

    kind: Literal["constant"] = "constant"
    mean: Duration = 0.0

    def pauses(self, n: int, rng: np.random.Generator) -> FloatArray:  # noqa: ARG002 - as its sibling
        """Return `n` pauses, shape ``(n,)`` [s]."""
        return np.full(n, self.mean)


class ExponentialThink(Spec):
    """Clients pause for independent exponential times.

    Parameters
    ----------
    mean : float
        Mean pause, >= 0. [s]
    """

    kind: Literal["exponential"] = "exponential"
    mean: Duration

    def pauses(self, n: int, rng: np.random.Generator) -> FloatArray:
        """Return `n` pauses, shape ``(n,)`` [s]."""
        return rng.standard_exponential(n) * self.mean


def _shorthand(value: Any) -> Any:  # noqa: ANN401 - a validator sees anything
    """Let ``think: 10 s`` stand for ``think: {kind: constant, mean: 10 s}``."""
    if isinstance(value, str | int | float) and not isinstance(value, bool):
        return {"kind": "constant", "mean": value}
    return value


Think = Annotated[
    Annotated[ConstantThink | ExponentialThink, Field(discriminator="kind")],
    BeforeValidator(_shorthand, json_schema_input_type=str | ConstantThink | ExponentialThink),
]


class ClosedLoopArrivals(Spec):
    """A fixed number of clients, each with at most one request under way.

    Parameters
    ----------
    clients : int
        Clients, 1 to 10,000,000.
    think : ConstantThink or ExponentialThink
        Pause between an answer and the client's next request; a plain duration is constant.
    ramp : float
        Clients start evenly over this time instead of all at 0. [s]
    """

    kind: Literal["closed_loop"] = "closed_loop"
    clients: Annotated[int, Field(ge=1, le=MAX_CLIENTS, strict=True)]
    think: Think = ConstantThink()
    ramp: Duration = 0.0

    @property
    def random(self) -> bool:
        """Whether pauses are drawn at random."""
        return self.think.kind == "exponential"

    def starts(self, n: int) -> FloatArray:
        """Return when the first `n` clients send their first request, shape ``(n,)`` [s]."""
        return np.arange(n, dtype=np.float64) * (self.ramp / self.clients)

    def most_requests(self, end_s: float) -> int:
        """Return a number of requests that the clients cannot exceed before `end_s`.

        Answers cost no time in it. For exponential pauses the clients' requests are then a
        Poisson process, of which it is the mean and eight standard deviations.

        Raises
        ------
        InputError
            If pauses are so short that the number is beyond :data:`MAX_ROWS`.
        """
        mean = self.think.mean
        if self.think.kind == "constant":
            most = self.clients * (math.floor(end_s / mean) + 1) if mean else math.inf
        else:
            later = self.clients * end_s / mean if mean else math.inf
            most = self.clients + later + 8 * math.sqrt(later) + 8
        if not most <= MAX_ROWS:
            message = (
                f"pauses of {mean:g} s leave open how many requests {self.clients:,} clients send "
                f"in {end_s:g} s (more than {MAX_ROWS:,} where answers are fast); "
                "give traffic.requests, without open-loop classes beside it, or longer pauses"
            )
            raise InputError(Problem(message, path="arrivals.think"))
        return math.ceil(most)
