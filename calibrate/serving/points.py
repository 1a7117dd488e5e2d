"""Measured points as experiments of a fit, and those that cannot be what they say they are."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from planner.latency.footprint import weight_bytes
from planner.validation.points.case import Case, case_of
from planner.validation.points.deployment import UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from planner.catalog.profile import Profile
    from planner.validation.points.table import Point

#: Share of its peak that no device was measured to reach in a matrix product: rows whose own
#: latencies imply more arithmetic than this contradict themselves and are not fitted to.
IMPOSSIBLE = 0.75
#: Share of the TPOT under half the load below which a row contradicts the other.
FASTER = 0.8


@dataclass(frozen=True)
class PointExperiment:
    """A measured point as an experiment, each number once.

    Parameters
    ----------
    case : Case
        What is simulated.
    """

    case: Case

    @property
    def name(self) -> str:
        """The row's id."""
        return self.case.name

    @property
    def groups(self) -> Mapping[str, str]:
        """What it can be sorted by."""
        return self.case.groups

    @property
    def measured(self) -> Mapping[str, float]:
        """Latencies; throughput only without them, since it follows from them.

        Where all requests come at once, latencies tell how many there were: throughput only.
        """
        found = dict(self.case.measured)
        if self.case.load == "all at once" and "throughput" in found:
            return {"throughput": found["throughput"]}
        if {"ttft", "tpot"} <= found.keys():
            found.pop("e2e", None)
        if len(found) > 1:
            found.pop("throughput", None)
        return found

    @property
    def spread(self) -> Mapping[str, float]:
        """No row is repeated."""
        return {}

    def predict(self, profile: Profile) -> Mapping[str, float]:
        """Return every metric as `profile` has it."""
        return self.case.predict(profile)


def experiments_of(points: Iterable[Point]) -> list[PointExperiment]:
    """Return the points that can be simulated and measured something."""
    found = []
    for point in points:
        try:
            each = PointExperiment(case_of(point))
        except UnsupportedError:
            continue
        if each.measured:
            found.append(each)
    return found


def faster_under_more(experiments: Sequence[PointExperiment]) -> set[str]:
    """Return the rows whose tokens took less time than under half the load or less, by name.

    Of one replica and lengths, from one source; by :data:`FASTER` of the time or less. Such a row
    was served by an engine with other limits than its neighbours, which the table does not show.
    """
    groups: dict[tuple[str, ...], list[tuple[float, float, str]]] = {}
    for each in experiments:
        case, tpot = each.case, each.measured.get("tpot")
        if tpot is not None and case.load == "concurrency":
            kinds = ("dataset", "device", "engine", "deployment", "dtype", "lengths")
            key = tuple(case.groups[kind] for kind in kinds)
            groups.setdefault(key, []).append((case.point.numbers["load"], tpot, each.name))
    return {
        name
        for rows in groups.values()
        for load, tpot, name in rows
        if any(less <= load / 2 and tpot <= FASTER * time for less, time, _ in rows)
    }


def implied_share(case: Case) -> float:
    """Return the share of the device's peak that a closed loop's own latencies imply.

    By Little's law ``clients / (ttft + (osl - 1) tpot)`` requests finish per second, each of
    which is multiplied with all active parameters once per token; 0 where that is not known.
    """
    measured, requests = case.measured, case.requests
    if not requests.closed or not {"ttft", "tpot"} <= measured.keys():
        return 0.0
    made = case.deployment
    output = float(requests.output_tokens.mean())
    tokens = float(requests.prompt_tokens.mean()) + output
    rate = requests.closed[0].clients / (measured["ttft"] + (output - 1) * measured["tpot"])
    work = 2 * made.shape.active_linear_parameters * tokens * rate
    peak = made.device.peaks[made.service.settings.compute_dtype]
    return work / (peak * made.fleet.tensor_parallel)


def implied_reading(case: Case) -> float:
    """Return the share of the peak bandwidth that reading the weights would take alone.

    Every token of a sequence waits for one reading of them; 0 with experts, few of which a small
    batch reads, and where no time per token is known.
    """
    measured, made = case.measured, case.deployment
    output = float(case.requests.output_tokens.max())
    time = measured["e2e"] / output if "e2e" in measured and case.load == "batch" else math.inf
    time = measured.get("tpot", time)
    if made.shape.n_experts or not math.isfinite(time):
        return 0.0
    read = weight_bytes(made.shape, made.service.settings)
    return read / (made.fleet.tensor_parallel * made.device.bandwidth * time)
