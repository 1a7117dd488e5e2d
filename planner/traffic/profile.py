"""Arrivals whose rate follows a table over time, such as the hours of a day."""

from __future__ import annotations

import math
from itertools import pairwise
from pathlib import Path  # noqa: TC003 - a parameter of public methods
from typing import Annotated, Literal, Self

import numpy as np
from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from planner.errors import InputError, Notice, Problem
from planner.spec import Spec
from planner.traffic.intensity import FloatArray, Intensity
from planner.traffic.rates import read_rates
from planner.traffic.renewal import first_points, points_before
from planner.units import Duration, PositiveDuration, RateOrZero


class RatePoint(Spec):
    """One row of a table of rates.

    Parameters
    ----------
    at : float
        Time, >= 0. [s]
    rate : float
        Arrivals per second at (linear) or from (step) that time, >= 0. [1/s]
    """

    at: Duration
    rate: RateOrZero


class ProfileArrivals(Spec):
    """Arrivals whose mean rate follows a table over time: a day, a campaign, a load test.

    Gaps are gamma in operational time (the integral of the rate), so that the mean number of
    arrivals in any interval is exactly the integral of the table when ``cv`` is 1.

    Parameters
    ----------
    points : tuple of RatePoint
        The table, times increasing from 0. Either this or `path`.
    path : str
        CSV file with columns ``t_s`` and ``rate_rps`` and, where it holds several tables, a
        column ``model`` that names them. Times are shifted to begin at 0.
    series : str
        Which table of the file: a value of its column ``model``.
    shape : {"linear", "step"}
        Whether the rate moves in straight lines between the points or keeps each value until the
        next point. After the last point it stays, unless there is a `period`.
    period : float
        Repeats the table; not before its last point. A linear table returns to its first rate at
        the end of the period. [s]
    cv : float
        Coefficient of variation of the gaps, 0.01 to 100; 1 is Poisson. [-]
    """

    kind: Literal["profile"] = "profile"
    points: Annotated[tuple[RatePoint, ...], Field(min_length=1)] | None = None
    path: Annotated[str, Field(min_length=1)] | None = None
    series: str | None = None
    shape: Literal["linear", "step"] = "linear"
    period: PositiveDuration | None = None
    cv: Annotated[float, Field(ge=0.01, le=100)] = 1.0

    @model_validator(mode="after")
    def _has_a_table(self) -> Self:
        if (self.points is None) == (self.path is None):
            raise PydanticCustomError(
                "profile", "must have either 'points' or 'path'; write the table or name its file"
            )
        if self.series is not None and self.path is None:
            raise PydanticCustomError("profile", "must have a 'path' where it has a 'series'")
        if self.points is not None:
            problem = self._table_problem(self.points)
            if problem:
                raise PydanticCustomError("profile", "{problem}", {"problem": problem})
        return self

    def _table_problem(self, points: tuple[RatePoint, ...]) -> str:
        at = [point.at for point in points]
        if at[0] != 0:
            return f"must begin at 0 s, got {at[0]:g} s; add a point {{at: 0 s, rate: ...}}"
        for before, after in pairwise(at):
            if after <= before:
                return f"must have increasing times, got {after:g} s after {before:g} s"
        if self.period is not None and (
            self.period < at[-1] or (self.shape == "step" and self.period == at[-1] > 0)
        ):
            return (
                f"must have a period beyond its last point at {at[-1]:g} s, "
                f"got {self.period:g} s; lengthen the period or leave out points"
            )
        if not any(point.rate > 0 for point in points):
            return "must have a rate > 0 somewhere; otherwise nothing arrives"
        return ""

    @property
    def random(self) -> bool:
        """Whether arrivals are drawn at random."""
        return True

    def loaded(self, base: Path) -> tuple[Self, list[Notice]]:
        """Return the profile with its file's table inline, and what was changed in reading.

        Parameters
        ----------
        base : pathlib.Path
            Folder that a relative `path` starts from.

        Raises
        ------
        InputError
            If the file cannot be used.
        """
        if self.path is None:
            return self, []
        times, rates, notices = read_rates(base, self.path, self.series)
        points = tuple(
            RatePoint(at=at, rate=rate)
            for at, rate in zip(times.tolist(), rates.tolist(), strict=True)
        )
        problem = self._table_problem(points)
        if problem:
            raise InputError(Problem(problem, file=self.path))
        return self.model_copy(update={"points": points, "path": None, "series": None}), notices

    def intensity(self) -> Intensity:
        """Return the rate over time of an inline table (see :meth:`loaded`)."""
        points = self.points or ()
        at = np.array([point.at for point in points])
        rate = np.array([point.rate for point in points])
        if self.period is not None:
            end = self.period
        else:  # the last row of a step table lasts as long as the one before
            end = at[-1] + (at[-1] - at[-2] if len(at) > 1 else 1.0)
        if self.shape == "step":
            return Intensity(np.append(at, end), rate, rate, self.period is not None)
        if self.period is None and len(at) > 1:
            return Intensity(at, rate[:-1], rate[1:])
        if end > at[-1]:
            at, rate = np.append(at, end), np.append(rate, rate[0])
        return Intensity(at, rate[:-1], rate[1:], self.period is not None)

    def mean_rate(self, end_s: float | None = None) -> float:
        """Return the mean rate until `end_s`, or else of the table or its period [1/s]."""
        curve = self.intensity()
        span = end_s or float(curve.knots[-1])
        return curve.expected(span) / span

    def scaled(self, factor: float) -> Self:
        """Return the inline table with all rates times `factor`, at the same times."""
        points = tuple(
            point.model_copy(update={"rate": point.rate * factor}) for point in self.points or ()
        )
        return self.model_copy(update={"points": points})

    def times(self, n: int, rng: np.random.Generator) -> FloatArray:
        """Return the first `n` arrival times, non-decreasing, shape ``(n,)`` [s].

        Raises
        ------
        InputError
            If the table ends at a rate of 0 before `n` requests have come.
        """
        curve = self.intensity()
        points = first_points(n, self.cv, rng)
        if n and points[-1] > curve.supply:
            message = (
                f"ends with a rate of 0 after about {curve.supply:.0f} requests, got {n:,} to "
                "bring; add a period, or give traffic.duration instead of traffic.requests"
            )
            raise InputError(Problem(message, path="arrivals"))
        return curve.invert(points)

    def times_before(self, end_s: float, rng: np.random.Generator) -> FloatArray:
        """Return the arrival times before `end_s`, non-decreasing [s]."""
        curve = self.intensity()
        mass = curve.expected(end_s) if math.isfinite(end_s) else curve.supply
        times = curve.invert(points_before(mass, self.cv, rng))
        return times[: np.searchsorted(times, end_s, side="left")]
