"""The report of several simulations, side by side."""

from __future__ import annotations

from collections import defaultdict
from functools import partial
from typing import TYPE_CHECKING

from planner.report.charts import tradeoff as charts
from planner.report.document import Answer, Cell, Chart, Column, Document, Listing, Section, Table
from planner.report.numbers import NOTHING, UNBOUNDED, only_milliseconds, percent, rate
from planner.report.pages.curves import LEAST_POINTS, STATISTICS, load_chart
from planner.report.pages.latency import latency_section
from planner.report.pages.objectives import bounds_of
from planner.report.pages.simulate import served_by
from planner.report.pages.sources import scenario_listing, sources_section

if TYPE_CHECKING:
    from collections.abc import Sequence

    from planner.report.inputs.simulated import Simulated

#: Latency that choices are compared by.
METRIC, STATISTIC = "ttft", "p95"

Runs = list[tuple[str, "Simulated"]]


def compare_document(runs: Sequence[tuple[str, Simulated]]) -> Document:
    """Return the report of several simulations.

    Parameters
    ----------
    runs : sequence of (str, Simulated)
        Each with its label.
    """
    named = _named(runs)
    blocks: list[Table | Chart] = [runs_table(named)]
    blocks += [chart for chart in (_choices(named), *_loads(named)) if chart is not None]
    outcomes = list({(name, each.objective): (name, each)
                     for _, run in named for name, each in run.outcomes()}.values())  # fmt: skip
    whole = [(name, each) for name, each in outcomes if not name]
    repeat: list[Listing] = []
    for name, run in named:
        repeat.append(Listing(f"{name}: command", run.command or "not recorded"))
        repeat.append(scenario_listing(run.scenario, f"{name}: scenario, resolved"))
    return Document(
        title=f"{len(named)} runs compared",
        subtitle=", ".join(name for name, _ in named),
        answer=_answer(named),
        sections=(
            Section("runs", "The runs", tuple(blocks)),
            latency_section(named, whole, {}, judged=False),
            sources_section(named),
            Section("repeat", "Repeat them", tuple(repeat)),
        ),
        tool_version=named[0][1].tool_version,
    )


def _named(runs: Sequence[tuple[str, Simulated]]) -> Runs:
    """Return the runs, labels that are given twice told apart by a number."""
    seen: dict[str, int] = defaultdict(int)
    named = []
    for label, run in runs:
        seen[label] += 1
        named.append((label if seen[label] == 1 else f"{label} ({seen[label]})", run))
    return named


def _answer(runs: Runs) -> Answer:
    good = [(name, run) for name, run in runs if run.steady and run.objectives and run.met]
    if not any(run.outcomes() for _, run in runs):
        return Answer("No objective was set", "")
    if not good:
        return Answer("No run meets its objectives", "bad")
    said = f"{len(good)} of {len(runs)} runs meet every objective"
    priced = [
        (round(cost, 2), -(run.offered_requests_per_s or 0.0), name)
        for name, run in good
        if (cost := run.cost.get("usd_per_hour")) is not None
    ]
    sentences: tuple[str, ...] = ()
    if priced:
        cost, _, name = min(priced)  # of equally cheap ones that with the highest rate
        sentences = (f"The cheapest of them: {name}, ${cost:,.2f} per hour.",)
        if len(priced) > 1 and len({each for each, *_ in priced}) == 1:
            sentences = (f"Each of them costs ${cost:,.2f} per hour; most requests: {name}.",)
    return Answer(said, "good" if len(good) == len(runs) else "unsure", sentences)


def runs_table(runs: Runs) -> Table:
    """Return one row a run: whether it meets its objectives, latencies, load, cost."""
    columns = (
        Column("run", "run", numeric=False),
        Column("objectives", "met", numeric=False),
        *(Column(f"{metric} p95, ms", f"{metric}_p95_s") for metric in ("ttft", "tpot", "e2e")),
        Column("req/s", "offered_requests_per_s"),
        Column("load", "load"),
        Column("$/h", "usd_per_hour"),
        Column("served by", "served_by", numeric=False),
    )
    return Table("runs", "Runs", columns, tuple(_row(name, run) for name, run in runs))


def _row(name: str, run: Simulated) -> tuple[Cell, ...]:
    outcomes = [each for _, each in run.outcomes()]
    missed = sum(not each.met for each in outcomes)
    if not run.steady:
        verdict = Cell("no steady state", "no steady state", "bad")
    elif not outcomes:
        verdict = Cell("none set", "none set")
    elif missed:
        verdict = Cell(f"{missed} of {len(outcomes)} missed", f"{missed} missed", "bad")
    else:
        sure = all(each.sure for each in outcomes)
        verdict = Cell("met" if sure else "met, not sure", "met", "good" if sure else "unsure")
    values = [run.value(metric, "p95") for metric in ("ttft", "tpot", "e2e")]
    offered, saturation = run.offered_requests_per_s, run.saturation_requests_per_s
    share = offered / saturation if offered is not None and saturation else None
    cost = run.cost.get("usd_per_hour")
    return (
        Cell(name),
        verdict,
        *(Cell(UNBOUNDED if v is None else only_milliseconds(v), v) for v in values),
        Cell(rate(offered), offered),
        Cell(percent(share), share),
        Cell(NOTHING if cost is None else f"{cost:,.2f}", cost),
        Cell(served_by(run)),
    )


def _choices(runs: Runs) -> Chart | None:
    """Return cost against latency; None unless costs differ."""
    found = [
        (name, run, run.cost.get("usd_per_hour"), run.value(METRIC, STATISTIC))
        for name, run in runs
    ]
    known = [(name, run, cost, v) for name, run, cost, v in found if cost is not None and v]
    if len({round(cost, 2) for _, _, cost, _ in known}) < 2:  # to the cent, as readers see it
        return None
    front = charts.front_of([(cost, v) for _, _, cost, v in known])
    points = [
        charts.Choice(cost, v, run.steady and run.met, on)
        for (_, run, cost, v), on in zip(known, front, strict=True)
    ]
    names = [name for (name, *_), on in zip(known, front, strict=True) if on]
    return Chart(
        name="cost_latency",
        title=f"Cost and {METRIC} {STATISTIC}",
        description=f"Each run by cost per hour and latency. On the front: {', '.join(names)}.",
        draw=partial(charts.choices, points=points, latency=f"{METRIC} {STATISTIC}"),
    )


def _loads(runs: Runs) -> list[Chart]:
    """Return latency against load for the runs of one fleet at three rates or more."""
    by_fleet: dict[str, Runs] = defaultdict(list)
    for name, run in runs:
        by_fleet[served_by(run)].append((name, run))
    fleets = {fleet: group for fleet, group in by_fleet.items() if len(group) >= LEAST_POINTS}
    return [
        chart
        for k, (fleet, group) in enumerate(fleets.items())
        for metric in ("ttft", "tpot")
        if (chart := _load(metric, fleet, group, f"load_{metric}_{k + 1}")) is not None
    ]


def _load(metric: str, fleet: str, runs: Runs, name: str) -> Chart | None:
    """Return p95 and p99 of a metric against the rate; None with fewer than three rates."""
    curves = []
    for statistic in STATISTICS:
        pairs = [(run.offered_requests_per_s, run.value(metric, statistic)) for _, run in runs]
        known = {x: y for x, y in pairs if x is not None and y is not None and y > 0}
        if len(known) >= LEAST_POINTS:
            curves.append(charts.LoadCurve(f"{metric} {statistic}", sorted(known.items())))
    if not curves:
        return None
    saturation = {run.saturation_requests_per_s for _, run in runs}
    at = charts.At(saturation=saturation.pop() if len(saturation) == 1 else None)
    bounds = bounds_of([each for _, run in runs for _, each in run.outcomes()], metric)
    return load_chart(name, f"{metric} against load: {fleet}", curves, bounds=bounds, at=at)
