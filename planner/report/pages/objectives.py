"""Objectives in a report: the table, margins, and where to mark them in a chart."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from planner.errors import InputError
from planner.report.charts.latency import Mark
from planner.report.document import Cell, Column, Table
from planner.report.numbers import NOTHING, UNBOUNDED, duration, interval, percent
from planner.results.intervals import Estimate
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
    columns = (
        Column("class", "class", numeric=False, filed=True),
        Column("objective", "objective", numeric=False),
        Column("outcome", "met", numeric=False),
        Column("value", "value"),
        *ends_columns(),
        Column("margin", "margin"),
        Column("sure", "sure", numeric=False, filed=True),
    )
    rows = tuple(_row(name, each, steady=found.steady) for name, each in outcomes)
    note = "Not sure: the interval, below the value, reaches over the bound or has no end (*)."
    return Table("objectives", "Objectives", columns, rows, note)


def ends_columns(before: str = "", after: str = "") -> tuple[Column, Column]:
    """Return the columns of the ends of an interval, which a reader sees below the value."""
    low, high = (f"{before}{end}{after}" for end in ("low", "high"))
    return Column(low, low, filed=True), Column(high, high, filed=True)


def named_objective(objective: str, name: str | None) -> Cell:
    """Return an objective with its class below it, where it is not of all requests."""
    return Cell(f"{objective}\n{name}" if name else objective, objective)


def with_interval(objective: str, ends: tuple[float | None, float | None, float | None]) -> str:
    """Return the value of an objective as a reader sees it, with its interval below.

    Parameters
    ----------
    objective : str
        Its text: a goodput has shares, any other seconds.
    ends : (float or None, float or None, float or None)
        Value, low and high end of its interval.
    """
    share = objective.startswith("goodput")
    value = percent(ends[0], 2) if share and ends[0] is not None else duration(ends[0])
    if ends[1] is None and ends[2] is None:
        return value
    if not share:
        return f"{value}\n{interval(Estimate(*ends))}"
    low, high = (UNBOUNDED if end is None else f"{100 * end:.2f}" for end in ends[1:])
    return f"{value}\n{low}–{high}"  # noqa: RUF001 - a range


def _row(name: str, outcome: Objective, *, steady: bool) -> tuple[Cell, ...]:
    gap = margin(outcome)
    state: State = "bad" if not outcome.met else "good" if outcome.sure else "unsure"
    said = f"{'met' if outcome.met else 'missed'}{'' if outcome.sure else ', not sure'}"
    ends = (outcome.value, outcome.low, outcome.high)
    return (
        Cell(name or "all"),
        named_objective(outcome.objective, name),
        Cell(said, outcome.met, state),
        Cell(with_interval(outcome.objective, ends), outcome.value),
        Cell(NOTHING, outcome.low),
        Cell(NOTHING, outcome.high),
        Cell(gap.text, gap.share) if gap else Cell(NOTHING if steady else "no steady state"),
        Cell(NOTHING, outcome.sure),
    )
