"""Objectives in a report: the table, margins, and where to mark them in a chart."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from planner.errors import InputError
from planner.report.charts.latency import Mark
from planner.report.document import Cell, Column, Table
from planner.report.numbers import NOTHING, UNBOUNDED, duration, percent
from planner.scenario.objectives import GoodputObjective, LatencyObjective, parse_objectives

if TYPE_CHECKING:
    from collections.abc import Iterable

    from planner.report.document import State
    from planner.report.inputs.simulated import Objective, Simulated


def parsed(outcome: Objective) -> LatencyObjective | GoodputObjective | None:
    """Return an objective, read; None if its text is none, as in a file of a stranger."""
    try:
        (objective,) = parse_objectives(outcome.objective)
    except (InputError, ValueError):
        return None
    return objective


class Margin(NamedTuple):
    """How far an objective is from its bound.

    Parameters
    ----------
    share : float
        Of a latency's bound, or of the requests that may miss a goodput's; positive where the
        objective is met.
    text : str
        In words.
    """

    share: float
    text: str


def margin(outcome: Objective) -> Margin | None:
    """Return how far an objective is from its bound; None where value or bound is not known."""
    objective = parsed(outcome)
    if objective is None or outcome.value is None:
        return None
    if isinstance(objective, GoodputObjective):
        gap = outcome.value - objective.share
        allowed = max(1 - objective.share, 1e-9)
        return Margin(
            gap / allowed, f"{100 * abs(gap):.2f} points {'above' if gap >= 0 else 'below'}"
        )
    gap = 1 - outcome.value / objective.seconds
    return Margin(gap, f"{percent(abs(gap))} {'below' if gap >= 0 else 'above'}")


def marks(outcomes: Iterable[Objective], metric: str) -> list[Mark]:
    """Return the objectives on a latency, to be drawn on its distribution."""
    found = [(parsed(each), each) for each in outcomes]
    return [
        Mark(objective.text, objective.quantile, objective.seconds, outcome.met)
        for objective, outcome in found
        if isinstance(objective, LatencyObjective) and objective.metric == metric
    ]


def bounds_of(outcomes: Iterable[Objective], metric: str) -> list[tuple[str, float]]:
    """Return the objectives on a latency with their bounds, each once [s]."""
    return list({mark.text: mark.seconds for mark in marks(outcomes, metric)}.items())


def objectives_table(found: Simulated) -> Table | None:
    """Return every objective with its value, interval and margin; None if there is none."""
    outcomes = found.outcomes()
    if not outcomes:
        return None
    classes = any(name for name, _ in outcomes)
    columns = [
        Column("objective", "objective", numeric=False),
        Column("", "met", numeric=False),
        Column("value", "value"),
        Column("interval", "interval", numeric=False),
        Column("margin", "margin"),
        Column("the interval agrees", "sure", numeric=False),
    ]
    rows = []
    for name, each in outcomes:
        row = _row(each, steady=found.steady)
        rows.append((Cell(name or "all"), *row) if classes else row)
    if classes:
        columns.insert(0, Column("class", "class", numeric=False))
    note = "Latencies are in seconds in files of numbers, in milliseconds here."
    return Table("objectives", "Objectives", tuple(columns), tuple(rows), note)


def _row(outcome: Objective, *, steady: bool) -> tuple[Cell, ...]:
    share = outcome.objective.startswith("goodput")

    def shown(value: float | None) -> str:
        if value is None:
            return UNBOUNDED
        if share:
            return percent(value, 2)
        return duration(value)

    interval = NOTHING
    if outcome.low is not None or outcome.high is not None:
        interval = f"{shown(outcome.low)} to {shown(outcome.high)}"
    gap = margin(outcome)
    state: State = "bad" if not outcome.met else "good" if outcome.sure else "unsure"
    return (
        Cell(outcome.objective),
        Cell("met" if outcome.met else "missed", outcome.met, state),
        Cell(shown(outcome.value), outcome.value),
        Cell(interval),
        Cell(gap.text, gap.share) if gap else Cell(NOTHING if steady else "no steady state"),
        Cell("yes" if outcome.sure else "no", outcome.sure),
    )
