"""Latency against load: a fleet simulated at several rates of the same traffic."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

from planner import evaluate
from planner.planning.cells import cell_of
from planner.planning.knobs import knob_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from planner.planning.candidate import Candidate
    from planner.planning.evaluation import Evaluator
    from planner.planning.search import Search
    from planner.planning.verify import Verified
    from planner.results.result import Result

#: Rates at which a recommended fleet is simulated, as shares of what it sustains: closer together
#: where latencies turn up.
SHARES = (0.2, 0.4, 0.55, 0.7, 0.8, 0.88, 0.94, 0.98)


class LoadPoint(NamedTuple):
    """What came of a scenario at one load.

    Parameters
    ----------
    value : float
        The load: a rate [1/s], or a number of clients.
    cell : mapping of str to JSON values
        As :func:`planner.planning.cells.cell_of` returns it.
    """

    value: float
    cell: Mapping[str, Any]

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {"value": self.value, "at": dict(self.cell)}


def load_points(search: Search, best: Verified, result: Result) -> tuple[LoadPoint, ...]:
    """Return what a fleet does at the rate of its traffic and at others, by increasing rate.

    One replication each, the same requests closer together or further apart.

    Parameters
    ----------
    search : Search
        Whose processes to use.
    best : Verified
        The fleet; its spares serve too.
    result : Result
        Of its simulation. Without a rate of arrivals, or one that it sustains, there are no points.
    """
    offered, saturation = result.context.offered_per_s, result.context.saturation_per_s
    if not offered or saturation is None or not math.isfinite(saturation):
        return ()
    total = best.replicas + search.constraints.spares_for(best.replicas)
    rates = sorted({*(share * saturation for share in SHARES), offered})
    rows: list[tuple[Candidate | None, tuple[object, ...]]]
    rows = [(None, (best.entry.candidate, total, rate)) for rate in rates]
    return tuple(map(LoadPoint, rates, search.runner.map(_at_rate, rows)))


def _at_rate(
    evaluator: Evaluator, candidate: Candidate, replicas: int, rate: float
) -> dict[str, Any]:
    """Return the cell of a fleet at a rate [1/s]."""
    scenario = knob_of(candidate.scenario(evaluator.workload.scenario, replicas)).at(rate)
    simulation = scenario.simulation.model_copy(update={"replications": 1})
    scenario = scenario.model_copy(update={"simulation": simulation})
    return cell_of(evaluate.simulate(scenario).result)
