"""The equation as written, for a service whose stage times are known.

A stage is one use of ``T = T_c/(a_c P_c) + T_s/(a_s P_s) + T_t/(a_t P_t) + T_overhead``. It says
how long the work takes when nobody is in the way; the waiting comes from the simulation, where
each of compute, storage and transfer is a queueing station.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Literal, Self

import numpy as np
from pydantic import Field, PositiveFloat, model_validator
from pydantic_core import PydanticCustomError

from planner.spec import Spec
from planner.units import Count, Duration

if TYPE_CHECKING:
    from planner.latency.step import FloatArray

#: Parts of a stage that are queueing stations, in the order in which a request visits them.
STATIONS = ("compute", "storage", "transfer")


class StagePart(Spec):
    """One of compute, storage and transfer: ``T / (a P)``.

    Parameters
    ----------
    time : float
        T, the mean time of the work on one unit without optimisation, >= 0. [s]
    degree : int
        P, the units that share the work, >= 1. [-]
    speedup : float
        a, the factor by which an optimisation divides the time, > 0; 2 halves it. [-]
    """

    time: Duration
    degree: Count = 1
    speedup: PositiveFloat = 1.0


class Constant(Spec):
    """Every request takes exactly the mean time."""

    kind: Literal["constant"] = "constant"

    def factors(self, n: int, rng: np.random.Generator) -> FloatArray:  # noqa: ARG002 - as its siblings
        """Return the factors on the mean times, shape ``(n, 3)``: ones."""
        return np.ones((n, len(STATIONS)))


class Exponential(Spec):
    """Times are exponential, independent between requests and stations (cv = 1)."""

    kind: Literal["exponential"] = "exponential"

    def factors(self, n: int, rng: np.random.Generator) -> FloatArray:
        """Return the factors on the mean times, mean 1, shape ``(n, 3)``, drawn row by row."""
        return rng.standard_exponential((n, len(STATIONS)))


class Gamma(Spec):
    """Times are gamma, independent between requests and stations.

    Parameters
    ----------
    cv : float
        Coefficient of variation, > 0; below 1 steadier than exponential, above 1 wilder. [-]
    """

    kind: Literal["gamma"] = "gamma"
    cv: Annotated[float, Field(ge=0.01, le=100)]

    def factors(self, n: int, rng: np.random.Generator) -> FloatArray:
        """Return the factors on the mean times, mean 1, shape ``(n, 3)``, drawn row by row."""
        shape = self.cv**-2
        return rng.standard_gamma(shape, (n, len(STATIONS))) / shape


Variability = Annotated[Constant | Exponential | Gamma, Field(discriminator="kind")]


class Stage(Spec):
    """One use of the equation as written.

    A request visits compute, storage and transfer in this order, each a station with one FCFS
    queue, then spends the overhead, for which it waits for nobody. A part without time is no
    station.

    Parameters
    ----------
    name : str
        What the stage does, e.g. ``speech to text``.
    compute, storage, transfer : StagePart
        The three parts.
    overhead : float
        Constant delay after the three parts. [s]
    parallel : {"split", "pool"}
        ``split``: all P units of a part work on one request at a time, which takes T/(a P).
        ``pool``: each of P units serves a request of its own, which takes T/a.
    variability : Constant or Exponential or Gamma
        How the times of the stations vary around their means.
    """

    name: Annotated[str, Field(min_length=1)]
    compute: StagePart = StagePart(time=0.0)
    storage: StagePart = StagePart(time=0.0)
    transfer: StagePart = StagePart(time=0.0)
    overhead: Duration = 0.0
    parallel: Literal["split", "pool"] = "split"
    variability: Variability = Constant()

    @model_validator(mode="after")
    def _takes_time(self) -> Self:
        if not 0 < self.total() < math.inf:
            raise PydanticCustomError(
                "stage",
                "must take a finite time > 0, got {total} s in all; give 'time' to at least one "
                "of compute, storage and transfer, or an overhead",
                {"total": repr(self.total())},
            )
        return self

    def station_times(self) -> tuple[float, float, float]:
        """Return the mean service times of the compute, storage and transfer stations [s].

        They are T/(a P) where P units split one request and T/a where they form a pool.
        """
        split = self.parallel == "split"
        compute, storage, transfer = (
            part.time / (part.speedup * (part.degree if split else 1))
            for part in (self.compute, self.storage, self.transfer)
        )
        return compute, storage, transfer

    def servers(self) -> tuple[int, int, int]:
        """Return how many requests each of the three stations serves at a time."""
        if self.parallel == "split":
            return 1, 1, 1
        return self.compute.degree, self.storage.degree, self.transfer.degree

    def parts(self) -> tuple[float, float, float, float]:
        """Return mean seconds of compute, storage, transfer, overhead of a lone request."""
        return (*self.station_times(), self.overhead)

    def total(self) -> float:
        """Return the mean time of a request that meets no other: the sum of its parts [s]."""
        return sum(self.parts())

    def saturation_rate(self) -> float:
        """Return the highest rate that the stage sustains: min of a P / T over stations [1/s].

        It is the same for ``split`` and ``pool``, and inf where there is no station.
        """
        return min(
            (
                servers / time
                for servers, time in zip(self.servers(), self.station_times(), strict=True)
                if time > 0
            ),
            default=math.inf,
        )
