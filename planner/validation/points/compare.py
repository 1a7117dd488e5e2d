"""All points of a table held against what profiles say of them, and how far off they are."""

from __future__ import annotations

import collections
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from planner.catalog.profile import PACKAGED, load_profile
from planner.errors import InputError
from planner.validation.points.case import Case, case_of
from planner.validation.points.deployment import UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from planner.catalog.profile import Profile
    from planner.validation.points.table import Point

#: What errors can be sorted by.
GROUPS = (
    "device",
    "engine",
    "model",
    "dtype",
    "tp",
    "dataset",
    "lengths",
    "kernels",
    "load",
    "profile",
)


@dataclass(frozen=True)
class Row:
    """One metric of one point.

    Parameters
    ----------
    id, metric : str
        Which.
    measured, predicted : float
        Seconds, or output tokens per second.
    groups : dict of str to str
        Group by kind, see :data:`GROUPS`.
    """

    id: str
    metric: str
    measured: float
    predicted: float
    groups: Mapping[str, str]

    @property
    def error(self) -> float:
        """``predicted / measured - 1``."""
        return self.predicted / self.measured - 1


@dataclass(frozen=True)
class Errors:
    """How far off predictions are.

    Parameters
    ----------
    n : int
        Predictions.
    mape, median_ape : float
        Mean and median of the absolute relative errors. [-]
    bias : float
        Mean of the relative errors; below 0 where predictions are too low. [-]
    """

    n: int
    mape: float
    median_ape: float
    bias: float


@dataclass(frozen=True)
class Outcome:
    """A table of points, predicted.

    Parameters
    ----------
    points : int
        Rows of the table.
    predicted : int
        Rows that were simulated.
    unsupported : dict of str to int
        Rows that were not, by reason.
    rows : tuple of Row
        Every metric of every row simulated.
    """

    points: int
    predicted: int
    unsupported: Mapping[str, int]
    rows: tuple[Row, ...]

    def errors(self) -> dict[str, Errors]:
        """Return the errors by metric."""
        return errors_of(self.rows)

    def by(self, kind: str) -> dict[str, dict[str, Errors]]:
        """Return the errors by group of `kind`, and by metric."""
        groups: dict[str, list[Row]] = {}
        for row in self.rows:
            groups.setdefault(row.groups[kind], []).append(row)
        return {group: errors_of(rows) for group, rows in sorted(groups.items())}

    def worst(self, n: int) -> list[Row]:
        """Return the `n` rows that are off by the largest factor, the worst first."""
        return sorted(self.rows, key=lambda row: -abs(math.log(row.predicted / row.measured)))[:n]


class Judged(Protocol):
    """A metric, and how far off a prediction of it was."""

    @property
    def metric(self) -> str:
        """Its name."""

    @property
    def error(self) -> float:
        """``predicted / measured - 1``."""


def errors_of(rows: Sequence[Judged]) -> dict[str, Errors]:
    """Return the errors of `rows` by metric."""
    found: dict[str, list[float]] = {}
    for row in rows:
        found.setdefault(row.metric, []).append(row.error)
    return {
        metric: Errors(
            len(values),
            float(np.mean(np.abs(values))),
            float(np.median(np.abs(values))),
            float(np.mean(values)),
        )
        for metric, values in sorted(found.items())
    }


def profile_of(case: Case) -> Profile:
    """Return the packaged profile of the case's device and engine, or the assumed one.

    Of several, one fitted to the same kind of model, of these one fitted to the case's data set,
    and of these one fitted to the very model, come first.
    """
    device, engine = case.groups["device"], case.groups["engine"]
    fitting = [
        each
        for each in map(load_profile, PACKAGED)
        if each.device == device and each.engine == engine and each.evidence is not None
    ]

    def nearness(profile: Profile) -> tuple[bool, bool, bool]:
        evidence = profile.evidence
        assert evidence is not None  # noqa: S101 - chosen so above
        return (
            case.kernels in evidence.kernels,
            case.groups["dataset"] in evidence.datasets,
            case.deployment.shape.name in evidence.models,
        )

    return max(fitting, key=nearness, default=load_profile("assumed"))


def compare(
    points: Sequence[Point],
    choose: Callable[[Case], Profile] = profile_of,
    progress: Callable[[float], None] = lambda share: None,  # noqa: ARG005 - shows nothing
) -> Outcome:
    """Simulate every point that says enough, each under its own load.

    Parameters
    ----------
    points : sequence of Point
        The table.
    choose : callable
        Which profile a case is predicted by.
    progress : callable
        Called now and then with the share of the points that is done.
    """
    unsupported: collections.Counter[str] = collections.Counter()
    rows: list[Row] = []
    for k, point in enumerate(points):
        progress(k / len(points))
        try:
            rows += _rows(case_of(point), choose)
        except UnsupportedError as reason:
            unsupported[str(reason)] += 1
    progress(1.0)
    refused = sum(unsupported.values())
    return Outcome(len(points), len(points) - refused, dict(unsupported.most_common()), tuple(rows))


def _rows(case: Case, choose: Callable[[Case], Profile]) -> list[Row]:
    """Return every metric of a case.

    Raises
    ------
    UnsupportedError
        If it measured none, or its profile cannot predict it.
    """
    measured = case.measured
    if not measured:
        raise UnsupportedError("the source measured no latency and no throughput")
    profile = choose(case)
    try:
        found = case.predict(profile)
    except InputError as error:
        raise UnsupportedError(str(error).split(";")[0]) from None
    groups = {**case.groups, "profile": profile.name}
    return [
        Row(case.name, metric, value, found[metric], groups)
        for metric, value in measured.items()
        if found[metric] > 0
    ]
