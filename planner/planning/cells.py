"""A cell of a sweep: the numbers that a table of simulations shows, and their columns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from planner.results.result import ClassResult, Result

#: Parts of a cell that a flat row has as they are.
PLAIN = (
    "steady",
    "objectives_met",
    "offered_requests_per_s",
    "saturation_requests_per_s",
    "load",
)


def cell_of(result: Result | None, error: str | None = None) -> dict[str, Any]:
    """Return what a sweep keeps of a simulation, as JSON values; all null beside an `error`.

    Parameters
    ----------
    result : Result or None
        Of the simulation; None if it could not be.
    error : str, optional
        Why it could not.
    """
    if result is None:
        return {"error": error, **dict.fromkeys((*PLAIN, "objectives", *GROUPS))}
    whole = result.whole.to_json()
    offered, saturation = result.context.offered_per_s, result.context.saturation_per_s
    known = offered is not None and saturation is not None and saturation > 0
    groups: list[tuple[str | None, ClassResult]] = [(None, result.whole), *result.classes.items()]
    objectives = [
        {"class": name, **each, "bound": outcome.bound}
        for name, group in groups
        for each, outcome in zip(group.to_json()["objectives"], group.objectives, strict=True)
    ]
    return {
        "error": None,
        "steady": result.steady,
        "objectives_met": result.met if objectives else None,
        "offered_requests_per_s": offered,
        "saturation_requests_per_s": saturation,
        "load": offered / saturation if known and offered is not None and saturation else None,
        "objectives": objectives,
        "metrics": whole["metrics"],
        "throughput": whole["throughput"],
        "utilisation": dict(result.utilisation),
        "cost": dict(result.cost),
        "requests": whole["requests"],
        "more": {
            "preemptions": result.preemptions,
            "watts_at_design_power": result.watts,
            "replications": result.replications,
        },
    }


#: Parts of a cell that are mappings.
GROUPS = ("metrics", "throughput", "utilisation", "cost", "requests", "more")
#: What a flat row puts before the names in a group.
PREFIX = {"utilisation": "utilisation_", "requests": "requests_"}


def flat(cell: dict[str, Any]) -> dict[str, Any]:
    """Return a cell as one row of a table: no nesting, units in the names.

    A latency is ``ttft_p95_s`` with its interval ``ttft_p95_low_s`` and ``ttft_p95_high_s``.
    Objectives are counted: ``objectives_held`` of ``objectives_total``.

    Parameters
    ----------
    cell : dict
        As in the JSON of a sweep: ``values`` and what :func:`cell_of` returns.
    """
    row = {**cell["values"], "error": cell["error"]}
    row |= {name: cell[name] for name in PLAIN}
    objectives = cell["objectives"]
    if objectives is not None:
        row["objectives_held"] = sum(each["met"] for each in objectives)
        row["objectives_total"] = len(objectives)
    for metric, statistics in (cell["metrics"] or {}).items():
        name = metric.removesuffix("_s")
        for statistic, each in statistics.items():
            row[f"{name}_{statistic}_s"] = each["value"]
            row[f"{name}_{statistic}_low_s"] = each["low"]
            row[f"{name}_{statistic}_high_s"] = each["high"]
    for group in GROUPS[1:]:
        for name, value in (cell[group] or {}).items():
            row[f"{PREFIX.get(group, '')}{name}"] = value
    return row
