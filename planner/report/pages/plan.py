"""The report of a plan: what to buy, how sure it is, why, what else there is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from planner.report.charts.tradeoff import At
from planner.report.document import (
    Answer,
    Cell,
    Column,
    Document,
    Facts,
    Listing,
    Section,
    Table,
    Words,
)
from planner.report.numbers import NOTHING, UNBOUNDED, left, only_milliseconds, percent, sure
from planner.report.pages.curves import point_charts, points_table
from planner.report.pages.fleet import fleet_section
from planner.report.pages.latency import latency_section, parts_section
from planner.report.pages.objectives import ends_columns, named_objective, with_interval
from planner.report.pages.options import cost, fleet, front_chart, options_table, settings
from planner.report.pages.searched import search_section
from planner.report.pages.sources import scenario_listing, sources_section

if TYPE_CHECKING:
    from collections.abc import Sequence

    from planner.report.document import Block, State
    from planner.report.inputs.planned import Planned, Predicted, Recommendation

#: What becomes of a line of today's fleet.
SIGNS = {"+": "added", "-": "removed", "~": "changed"}


def plan_document(found: Planned) -> Document:
    """Return the report of a plan."""
    sections = [Section("plan", "The plan", tuple(_first(found)))]
    run = found.simulation
    if run is not None:
        title = f"Latency{_with_spares(found)}"
        groups = [("the plan", run)]
        sections.append(latency_section(groups, run.outcomes(), run.classes or {}, title=title))
        parts = parts_section(run)
        sections += [parts] if parts is not None else []
    if found.loads:
        sections.append(Section("load", "With less or more traffic", tuple(_loads(found))))
    others = _others(found)
    if others:
        sections.append(Section("choices", "What else there is", tuple(others)))
    if run is not None:
        time = fleet_section(run)
        sections += [time] if time is not None else []
    sections.append(search_section(found))
    sections += [sources_section([("", run)])] if run is not None else []
    sections.append(Section("repeat", "Repeat it", tuple(_repeat(found))))
    asked = [*found.target, *(f"{key} {value}" for key, value in found.constraints.items())]
    return Document(
        title=f"{found.scenario.get('name', 'scenario')}: plan",
        subtitle=f"asked for: {'; '.join(asked)}; probability {found.confidence:g} or more",
        answer=answer(found),
        sections=tuple(sections),
        tool_version=found.tool_version,
    )


def answer(found: Planned) -> Answer:
    """Return the fleet to buy, its cost and its probability; or what stands in the way."""
    best = found.recommendation
    if best is None:
        why = found.infeasible
        if why is None:
            return Answer("No plan", "bad")
        nearest = [
            f"What would do: {each.change} buys {fleet(each)}, {cost(each)}."
            for each in why.nearest[:3]
        ]
        stands = f"What stands in the way: {why.why}."
        return Answer("No plan meets what was asked", "bad", (stands, *nearest))
    sentences = [
        f"Every objective is met with probability {sure(best.probability)}; {best.because}.",
    ]
    if best.headroom is not None:
        down = ", spares being down" if _fleet_size(best)[1] else ""
        sentences.append(f"Traffic may grow by {percent(best.headroom)} until one is missed{down}.")
    state: State = "good" if best.probability >= found.confidence else "unsure"
    return Answer(f"{fleet(best)}, {cost(best)}", state, tuple(sentences))


def _repeat(found: Planned) -> list[Block]:
    """Return what gives the same plan again, and the scenario of its simulation."""
    blocks: list[Block] = [
        Listing("Command", found.command or "not recorded"),
        Facts((("seed", str(found.seed)), ("planner", found.tool_version))),
        scenario_listing(found.scenario),
    ]
    if found.simulation is not None:
        title = "Scenario of the plan, resolved, for planner simulate"
        blocks.append(scenario_listing(found.simulation.scenario, title))
    return blocks


def _loads(found: Planned) -> list[Block]:
    """Return what the plan does at other rates of the same traffic."""
    run = found.simulation
    at = At()
    if run is not None:
        at = At(today=run.offered_requests_per_s, saturation=run.saturation_requests_per_s)
    said = "The same requests closer together or further apart, on the fleet of the plan"
    said += f"{_with_spares(found)}."
    table = points_table(found.loads, "req/s")
    return [Words(said), *point_charts(found.loads, at), table]


def _first(found: Planned) -> list[Block]:
    """Return the recommendation with its objectives, or the nearest that could be had."""
    best = found.recommendation
    if best is None:
        nearest = found.infeasible.nearest if found.infeasible else []
        return [options_table("nearest", "What could be had", nearest, "by changing")]
    blocks: list[Block] = [Facts(tuple(_cards(best)), large=True)]
    binds = [f"{each.limit}: {each.why}" if each.why else each.limit for each in best.binds]
    rows = [("settings", settings(best))]
    rows += [
        ("what binds" if not k else "", each) for k, each in enumerate(binds or [best.binding])
    ]
    blocks.append(Facts(tuple(rows)))
    replicas, spares = _fleet_size(best)
    title = f"Objectives with {replicas - spares} of the {replicas} replicas, spares being down"
    title = title if spares else "Objectives"
    blocks.append(predicted_table("objectives", title, best.objectives))
    if best.outage is not None:
        title = f"Objectives with all {replicas} at first, from when {best.outage.lost} fails on"
        blocks.append(predicted_table("outage", title, best.outage.objectives))
    if found.difference:
        blocks.append(_difference(found))
    if found.simulation is None:  # one of an earlier version
        blocks.append(_metrics(best))
    return blocks


def _fleet_size(best: Recommendation) -> tuple[int, int]:
    """Return how many replicas a fleet has, and how many of them are spares."""
    return sum(pool.replicas for pool in best.pools), sum(pool.spares for pool in best.pools)


def _with_spares(found: Planned) -> str:
    """Return in words that a simulation has the spares too; empty where there are none."""
    best = found.recommendation
    replicas, spares = (0, 0) if best is None else _fleet_size(best)
    return f" with all {replicas} replicas" if spares else ""


def _cards(best: Recommendation) -> list[tuple[str, str]]:
    """Return what is seen first of a recommendation."""
    rows = [("devices", f"{best.devices:,}"), ("cost", cost(best))]
    if best.usd_per_million_output_tokens is not None:
        rows.append(("per million output tokens", f"${best.usd_per_million_output_tokens:,.2f}"))
    rows.append(("probability", sure(best.probability)))
    if best.headroom is not None:
        rows.append(("headroom", percent(best.headroom)))
    if best.watts_at_design_power is not None:
        rows.append(("power", f"at most {best.watts_at_design_power:,.0f} W"))
    loss = best.quality_loss
    rows.append(("quality lost", "not measured" if loss is None else percent(loss, 2)))
    return rows


def predicted_table(name: str, title: str, outcomes: Sequence[Predicted]) -> Table:
    """Return objectives with what is predicted for them."""
    rows = []
    for each in outcomes:
        state: State = "good" if each.probability >= 0.95 else "unsure"
        if each.margin is None or each.margin < 0:
            state = "bad"
        ends = (each.value, each.low, each.high)
        rows.append(
            (
                Cell(each.class_ or "all"),
                named_objective(each.objective, each.class_),
                Cell(with_interval(each.objective, ends), each.value),
                Cell(NOTHING, each.low),
                Cell(NOTHING, each.high),
                Cell(left(each.margin), each.margin),
                Cell(sure(each.probability), each.probability, state),
            )
        )
    columns = (
        Column("class", "class", numeric=False, filed=True),
        Column("objective", "objective", numeric=False),
        Column("predicted", "value"),
        *ends_columns(),
        Column("margin", "margin"),
        Column("probability", "probability"),
    )
    return Table(name, title, columns, tuple(rows))


def _difference(found: Planned) -> Table:
    columns = tuple(
        Column(title, key, numeric=False)
        for title, key in (
            ("change", "change"),
            ("what", "key"),
            ("today", "before"),
            ("plan", "after"),
        )
    )
    rows = tuple(
        (
            Cell(SIGNS[each.sign]),
            Cell(each.key.replace("_", " ")),
            Cell(each.before or NOTHING),
            Cell(each.after or NOTHING),
        )
        for each in found.difference
    )
    return Table("difference", "Against today's fleet", columns, rows)


def _metrics(best: Recommendation) -> Table:
    """Return the percentiles of the recommended fleet."""
    names = list(dict.fromkeys(name for by in best.metrics.values() for name in by))
    columns = (
        Column("metric", "metric", numeric=False),
        *(Column(name, f"{name}_s") for name in names),
    )
    rows = []
    for metric, by in best.metrics.items():
        values = [by[name].value if name in by else None for name in names]
        cells = [Cell(UNBOUNDED if v is None else only_milliseconds(v), v) for v in values]
        rows.append((Cell(metric.removesuffix("_s")), *cells))
    return Table("latency", "Predicted percentiles, ms", columns, tuple(rows))


def _others(found: Planned) -> list[Block]:
    """Return the front, the alternatives and what today's fleet does."""
    blocks: list[Block] = []
    chart = front_chart(found)
    if chart is not None:
        blocks.append(chart)
    if found.alternatives:
        blocks.append(
            options_table(
                "alternatives",
                "Alternatives",
                found.alternatives,
                "against the plan",
                beside=[found.recommendation] if found.recommendation else [],
            )
        )
    if found.pareto:
        blocks.append(
            options_table(
                "pareto",
                "The front: no other is cheaper, loses less quality and has more margin",
                found.pareto,
            )
        )
    if found.today is not None:
        blocks.append(options_table("today", "Today's fleet", [found.today]))
    return blocks
