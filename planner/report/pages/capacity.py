"""The report of a capacity: the highest load at which all objectives hold, and what ends it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from planner.report.capacity import amount, binding, headline
from planner.report.charts.tradeoff import At
from planner.report.document import Answer, Document, Facts, Listing, Section
from planner.report.numbers import percent, rate
from planner.report.pages.curves import point_charts, points_table
from planner.report.pages.fleet import fleet_section
from planner.report.pages.latency import latency_section, parts_section
from planner.report.pages.objectives import objectives_table
from planner.report.pages.simulate import served_by
from planner.report.pages.sources import scenario_listing, sources_section

if TYPE_CHECKING:
    from planner.report.document import Block, State
    from planner.report.inputs.limited import Limited


def capacity_document(found: Limited) -> Document:
    """Return the report of a capacity."""
    run = found.simulation
    blocks: list[Block] = [*point_charts(found.loads, _marks(found))]
    blocks.append(points_table(found.loads, found.unit))
    sections = [
        Section("capacity", "The capacity", tuple(_first(found))),
        Section("load", "Latency against load", tuple(blocks)),
        latency_section(
            [("all requests", run)], run.outcomes(), run.classes or {}, title=_at(found)
        ),
    ]
    sections += [each for each in (parts_section(run), fleet_section(run)) if each is not None]
    sections += [sources_section([("", run)]), _repeat(found)]
    return Document(
        title=f"{found.scenario}: capacity",
        subtitle=served_by(run),
        answer=answer(found),
        sections=tuple(sections),
        tool_version=found.tool_version,
    )


def answer(found: Limited) -> Answer:
    """Return the capacity with its interval, and what ends it."""
    said = headline(found)
    state: State = "good"
    if found.capacity is None:
        state = "bad"
    elif found.ends_at != "most" and None in (found.low, found.high):
        state = "unsure"
    sentences = [f"What ends it: {binding(found)}."]
    if found.headroom is not None and found.capacity is not None:
        share = percent(abs(found.headroom))
        where = "more than" if found.headroom >= 0 else "less than"
        own = f"{amount(found, found.own)} {found.unit}"
        sentences.append(f"That is {share} {where} the {own} of the scenario.")
    return Answer(f"{said[:1].upper()}{said[1:]}", state, tuple(sentences))


def _at(found: Limited) -> str:
    """Return which load the sections on one simulation are about."""
    if found.capacity is None:
        return "Latency at the lowest load"
    return f"Latency at {amount(found, found.capacity)} {found.unit}"


def _marks(found: Limited) -> At:
    ends = None if found.low is None or found.high is None else (found.low, found.high)
    of_rates = found.unit == "req/s"
    return At(
        today=found.own,
        capacity=found.capacity,
        interval=ends,
        saturation=found.saturation_requests_per_s if of_rates else None,
        unit=found.unit,
    )


def _first(found: Limited) -> list[Block]:
    """Return the numbers that are seen first, and the objectives at the capacity."""
    low, high = (amount(found, each) for each in found.ends)
    rows = [(f"capacity, {found.unit}", amount(found, found.capacity))]
    if found.capacity is not None and found.ends_at != "most":
        share = found.confidence
        name = "surely met, surely missed" if share is None else f"{percent(share)} interval"
        rows.append((name, f"{low} to {high}"))
    if found.per_replica is not None:
        rows.append(("for each replica", rate(found.per_replica)))
    rows.append((f"today, {found.unit}", amount(found, found.own)))
    if found.saturation_requests_per_s is not None:
        rows.append(("saturation, req/s", rate(found.saturation_requests_per_s)))
    tokens = found.simulation.throughput.get("output_tokens_per_s")
    if tokens:
        rows.append(("output tokens/s there", rate(tokens)))
    hourly = found.simulation.cost.get("usd_per_hour")
    if hourly is not None:
        rows.append(("cost per hour", f"${hourly:,.2f}"))
    blocks: list[Block] = [Facts(tuple(rows), large=True)]
    table = objectives_table(found.simulation)
    if table is not None:
        blocks.append(table)
    known = [("how", f"{found.method.simulations} simulations with the same seed, by bisection")]
    known += [("notice", each) for each in found.notices]
    blocks.append(Facts(tuple(known)))
    return blocks


def _repeat(found: Limited) -> Section:
    run = found.simulation
    blocks: tuple[Block, ...] = (
        Listing("Command", found.command or "not recorded"),
        Facts((("seed", str(run.seed)), ("planner", found.tool_version))),
        scenario_listing(run.scenario, "Scenario at the capacity, resolved"),
    )
    return Section("repeat", "Repeat it", blocks)
