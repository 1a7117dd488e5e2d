"""Latencies in a report: their distributions with the objectives drawn in, and their parts."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from planner.report.charts import latency as charts
from planner.report.document import Cell, Chart, Column, Section, Table
from planner.report.numbers import NOTHING, UNBOUNDED, duration, interval, milliseconds, percent
from planner.report.pages.objectives import ends_columns, marks
from planner.results.intervals import Estimate
from planner.results.metrics import PARTS_METRICS, PARTS_STATISTICS, STATISTICS
from planner.results.records import PARTS
from planner.results.samples import METRICS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from planner.report.inputs.simulated import Group, Objective, Simulated

#: What each metric is, for those who do not know.
MEANINGS = {
    "ttft": "time to the first token",
    "tpot": "time per output token after the first",
    "itl": "gap between two tokens",
    "e2e": "time to the last token",
    "wait": "time until admitted to a batch",
}
#: Metrics that get a chart of their distribution.
DRAWN = ("ttft", "tpot", "itl", "e2e")
#: Most curves in one chart: more cannot be told apart.
MOST_CURVES = 6
#: Most groups whose percentiles are open at first: more are longer than all the rest.
MOST_OPEN = 3


def latency_section(
    groups: Sequence[tuple[str, Group]],
    outcomes: Sequence[tuple[str, Objective]],
    classes: Mapping[str, Group],
    *,
    judged: bool = True,
    title: str = "Latency",
) -> Section:
    """Return distributions and percentiles.

    Parameters
    ----------
    groups : sequence of (str, Group)
        What to draw, each with its label; the first also as a table.
    outcomes : sequence of (str, Objective)
        Objectives to draw in, each with its class.
    classes : mapping of str to Group
        Classes to draw beside the first group.
    judged : bool
        Whether to say which objectives are met.
    title : str
        Above the section.
    """
    drawn = [*groups, *classes.items()] if len(classes) > 1 else list(groups)
    blocks: list[Chart | Table] = []
    for metric in DRAWN:
        chart = cdf_chart(metric, drawn, outcomes, judged=judged)
        if chart is not None:
            blocks.append(chart)
    blocks += [latency_table(drawn)]
    return Section("latency", title, tuple(blocks))


def cdf_chart(
    metric: str,
    groups: Sequence[tuple[str, Group]],
    outcomes: Sequence[tuple[str, Objective]],
    *,
    judged: bool = True,
) -> Chart | None:
    """Return the distribution of a metric; None where none is known.

    Parameters
    ----------
    metric : str
        Which.
    groups : sequence of (str, Group)
        Whose, each with its label.
    outcomes : sequence of (str, Objective)
        Objectives to draw in, each with its class.
    judged : bool
        Whether to say which of them are met.
    """
    curves = []
    for label, group in groups[:MOST_CURVES]:
        found = group.distributions
        if found is not None:
            curve = charts.Curve(label, found.shares, getattr(found, f"{metric}_s"))
            curves += [curve] if curve.points() else []
    if not curves:
        return None
    asked = []
    for name, outcome in outcomes:
        asked += [(name, each) for each in marks([outcome], metric)]
    lines = [
        charts.Mark(_labelled(name, m), m.share, m.seconds, m.met if judged else None)
        for name, m in asked
    ]
    values = [(label, [group.value(metric, p) for p in ("p50", "p95", "p99")])
              for label, group in groups[:MOST_CURVES]]  # fmt: skip
    said = "; ".join(
        f"{label}: p50 {_words(p50)}, p95 {_words(p95)}, p99 {_words(p99)}"
        for label, (p50, p95, p99) in values
    )
    bounds = "".join(
        f" {m.text} is {'met' if m.met else 'missed'}." for m in lines if m.met is not None
    )
    return Chart(
        name=f"{metric}_distribution",
        title=f"{metric}: {MEANINGS[metric]}",
        description=f"Share of requests below each latency. {said}.{bounds}",
        draw=partial(charts.cdf, curves=curves, marks=lines),
    )


def _words(seconds: float | None) -> str:
    """Return a latency with its unit."""
    return "not known" if seconds is None else duration(seconds)


def _labelled(name: str, mark: charts.Mark) -> str:
    return f"{name} {mark.text}" if name else mark.text


def latency_table(groups: Sequence[tuple[str, Group]]) -> Table:
    """Return every percentile with its interval."""
    several = len(groups) > 1
    columns = [Column("metric", "metric", numeric=False)]
    if several:
        columns.insert(0, Column("of", "of", numeric=False))
    for name in STATISTICS:
        columns += [Column(name, f"{name}_s"), *ends_columns(f"{name}_", "_s")]
    rows = []
    for label, group in groups:
        for metric in METRICS:
            cells = [cell for name in STATISTICS for cell in _estimate(group, metric, name)]
            head = [Cell(label), Cell(metric)] if several else [Cell(metric)]
            rows.append((*head, *cells))
    note = "In milliseconds, intervals below. *: the sample cannot bound it, or it is not known."
    folded = len(groups) > MOST_OPEN
    return Table("latency", "Percentiles, ms", tuple(columns), tuple(rows), note, folded)


def _estimate(group: Group, metric: str, statistic: str) -> tuple[Cell, Cell, Cell]:
    """Return an estimate with its interval below it, and the ends of that for files of numbers."""
    found = group.metrics.get(f"{metric}_s", {}).get(statistic)
    if found is None or found.value is None:
        return Cell(UNBOUNDED if found is not None else NOTHING), Cell(NOTHING), Cell(NOTHING)
    ends = interval(Estimate(found.value, found.low, found.high))
    shown = Cell(f"{milliseconds(found.value)}\n{ends}", found.value)
    return shown, Cell(NOTHING, found.low), Cell(NOTHING, found.high)


def parts_section(found: Simulated) -> Section | None:
    """Return what ttft and e2e are made of; None where it is not known."""
    blocks: list[Chart | Table] = []
    rows = []
    for metric in PARTS_METRICS:
        by = found.parts.get(f"{metric}_s", {})
        bars = {
            statistic: [by.get(statistic, {}).get(name) for name in PARTS]
            for statistic in PARTS_STATISTICS
            if by.get(statistic, {}).get(PARTS[0]) is not None
        }
        if not bars:
            continue
        blocks.append(_parts_chart(metric, bars))
        for statistic, parts in bars.items():
            total = sum(each or 0.0 for each in parts)
            cells = [Cell(_part(each, total), each) for each in parts]
            rows.append((Cell(f"{metric} {statistic}"), *cells))
    if not rows:
        return None
    columns = (
        Column("latency", "latency", numeric=False),
        *(Column(name, f"{name}_s") for name in PARTS),
    )
    note = "Parts of a percentile are those of the requests around it; they add up to it."
    blocks.append(Table("parts", "Parts, ms and share", columns, tuple(rows), note))
    return Section("parts", "Where the time goes", tuple(blocks))


def _parts_chart(metric: str, bars: Mapping[str, Sequence[float | None]]) -> Chart:
    said = []
    for statistic, parts in bars.items():
        largest = max(range(len(PARTS)), key=lambda k: parts[k] or 0.0)
        total = sum(each or 0.0 for each in parts)
        share = percent((parts[largest] or 0.0) / total) if total else NOTHING
        said.append(f"{statistic}: mostly {PARTS[largest]}, {share}")
    return Chart(
        name=f"{metric}_parts",
        title=f"{metric}: what it is made of",
        description=f"Stacked parts of {metric} in milliseconds. {'; '.join(said)}.",
        draw=partial(charts.parts, names=PARTS, rows=bars),
        height=0.52,
    )


def _part(part: float | None, total: float) -> str:
    if part is None:
        return UNBOUNDED
    return f"{milliseconds(part)}\n{percent(part / total if total else 0.0)}"
