"""The report of a plan: what to buy, how sure it is, why, what else there is."""

from __future__ import annotations

from typing import TYPE_CHECKING

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
from planner.report.numbers import NOTHING, UNBOUNDED, milliseconds, percent, rate
from planner.report.pages.options import cost, fleet, front_chart, options_table, settings
from planner.report.pages.sources import scenario_listing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from planner.report.document import Block, State
    from planner.report.inputs.planned import Planned, Predicted, Recommendation


def plan_document(found: Planned) -> Document:
    """Return the report of a plan."""
    sections = [Section("plan", "The plan", tuple(_first(found)))]
    others = _others(found)
    if others:
        sections.append(Section("choices", "What else there is", tuple(others)))
    sections.append(Section("search", "How it was found", tuple(_search(found))))
    repeat = (
        Listing("Command", found.command or "not recorded"),
        Facts((("seed", str(found.seed)), ("planner", found.tool_version))),
        scenario_listing(found.scenario),
    )
    sections.append(Section("repeat", "Repeat it", repeat))
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
        nearest = [f"{each.change} would buy {fleet(each)}, {cost(each)}." for each in why.nearest]
        return Answer("No plan meets what was asked", "bad", (why.why, *nearest[:3]))
    sentences = [
        f"Every objective is met with probability {best.probability:.3g}; {best.because}.",
    ]
    if best.headroom is not None:
        sentences.append(f"Traffic may grow by {percent(best.headroom)} until one is missed.")
    state: State = "good" if best.probability >= found.confidence else "unsure"
    return Answer(f"{fleet(best)}, {cost(best)}", state, tuple(sentences))


def _first(found: Planned) -> list[Block]:
    """Return the recommendation with its objectives, or the nearest that could be had."""
    best = found.recommendation
    if best is None:
        nearest = found.infeasible.nearest if found.infeasible else []
        return [options_table("nearest", "What could be had", nearest, "by changing")]
    blocks: list[Block] = [Facts(tuple(_cards(best)), large=True)]
    blocks.append(Facts((("settings", settings(best)), ("what binds", best.binding))))
    blocks.append(predicted_table("objectives", "Objectives", best.objectives))
    if best.outage is not None:
        title = f"Objectives from a failure of {best.outage.lost} on"
        blocks.append(predicted_table("outage", title, best.outage.objectives))
    if found.difference:
        blocks.append(_difference(found))
    blocks.append(_metrics(best))
    return blocks


def _cards(best: Recommendation) -> list[tuple[str, str]]:
    """Return what is seen first of a recommendation."""
    rows = [("devices", f"{best.devices:,}"), ("cost", cost(best))]
    if best.usd_per_million_output_tokens is not None:
        rows.append(("per million output tokens", f"${best.usd_per_million_output_tokens:,.2f}"))
    rows.append(("probability", f"{best.probability:.3g}"))
    if best.headroom is not None:
        rows.append(("headroom", percent(best.headroom)))
    if best.watts_at_design_power is not None:
        rows.append(("at most", f"{best.watts_at_design_power:,.0f} W"))
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
        margin = NOTHING if each.margin is None else percent(each.margin)
        label = f"{each.class_}: {each.objective}" if each.class_ else each.objective
        interval = NOTHING
        if each.low is not None or each.high is not None:
            interval = f"{_value(each, each.low)} to {_value(each, each.high)}"
        rows.append(
            (
                Cell(label),
                Cell(_value(each, each.value), each.value),
                Cell(interval),
                Cell(margin, each.margin),
                Cell(f"{each.probability:.3g}", each.probability, state),
            )
        )
    columns = (
        Column("objective", "objective", numeric=False),
        Column("predicted", "value"),
        Column("interval", "interval", numeric=False),
        Column("left to the bound", "margin"),
        Column("probability", "probability"),
    )
    return Table(name, title, columns, tuple(rows))


def _value(outcome: Predicted, value: float | None) -> str:
    if value is None:
        return UNBOUNDED
    if outcome.objective.startswith("goodput"):
        return percent(value, 2)
    text = milliseconds(value)
    return text if text.endswith("s") else f"{text} ms"


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
        (Cell(each.sign), Cell(each.key), Cell(each.before or NOTHING), Cell(each.after or NOTHING))
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
        cells = [Cell(UNBOUNDED if v is None else milliseconds(v), v) for v in values]
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
            options_table("alternatives", "Alternatives", found.alternatives, "what it trades")
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


def _search(found: Planned) -> list[Block]:
    """Return what became of the candidates, what is uncertain, and what to know beside it."""
    counts = found.candidates
    excluded = sum(counts.excluded.values())
    said = (
        f"{counts.total:,} candidates, {counts.simulated:,} of them simulated; "
        f"{excluded:,} were excluded without."
    )
    blocks: list[Block] = [Words(said)]
    if counts.excluded:
        rows = tuple((Cell(reason), Cell(f"{n:,}", n)) for reason, n in counts.excluded.items())
        columns = (Column("excluded because", "reason", numeric=False), Column("count", "count"))
        blocks.append(Table("excluded", "Excluded", columns, rows))
    if found.sensitivity:
        blocks.append(_sensitivity(found))
    facts = [
        (key.replace("_", " "), rate(value) if isinstance(value, float) else value)
        for key, value in found.method.items()
    ]
    best = found.recommendation
    if best is not None:
        facts.append(("quality", best.quality_source))
        if best.unmeasured:
            facts.append(("assumed", ", ".join(best.unmeasured)))
    facts += [("notice", each) for each in found.notices]
    if facts:
        blocks.append(Facts(tuple(facts)))
    return blocks


def _sensitivity(found: Planned) -> Table:
    columns = (
        Column("uncertain input", "input", numeric=False),
        Column("from", "low"),
        Column("to", "high"),
        Column("still enough", "still_enough", numeric=False),
        Column("fewer would do", "fewer_would_do", numeric=False),
        Column("changes the plan", "changes_plan", numeric=False),
    )
    rows = tuple(
        (
            Cell(each.input),
            Cell(f"x {each.low:.3g}", each.low),
            Cell(f"x {each.high:.3g}", each.high),
            *(
                Cell("yes" if flag else "no", flag)
                for flag in (each.still_enough, each.fewer_would_do)
            ),
            Cell("yes" if each.changes_plan else "no", each.changes_plan,
                 "unsure" if each.changes_plan else ""),
        )
        for each in found.sensitivity
    )  # fmt: skip
    note = "Each input changed by itself, by these factors."
    return Table("sensitivity", "What would change the plan", columns, rows, note)
