"""The capacity of a scenario as text."""

from __future__ import annotations

from textwrap import wrap
from typing import TYPE_CHECKING

from planner.report.inputs.limited import Limited
from planner.report.numbers import UNBOUNDED, duration, percent, rate
from planner.report.plain import held, laid_out, plain
from planner.report.screen import MIN_WIDTH
from planner.report.tables import text_table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from planner.planning.capacity_result import Capacity
    from planner.report.inputs.limited import Missed
    from planner.report.inputs.simulated import Objective

#: Columns before the text of a fact.
INDENT = 13


def limited_of(found: Capacity) -> Limited:
    """Return a capacity as its JSON has it, which is what text and page are made of."""
    return Limited.model_validate(found.to_json())


def render_capacity(capacity: Capacity) -> str:
    """Return the capacity with its interval, what ends it, and the objectives there."""
    found = limited_of(capacity)
    facts = list(capacity_facts(found))
    lines = [plain(f"{found.scenario}: {headline(found)}"), ""]
    lines += _objectives(found)
    for name, said in facts:
        folded = wrap(held(plain(said)), MIN_WIDTH - INDENT)
        lines += [f"{name:<{INDENT}}{folded[0]}", *(" " * INDENT + each for each in folded[1:])]
    return laid_out("\n".join(lines) + "\n")


def headline(found: Limited) -> str:
    """Return the capacity and its interval in a line."""
    if found.capacity is None:
        return "no capacity, an objective fails at any load"
    at_least = "at least " if found.ends_at == "most" else ""
    said = f"capacity {at_least}{amount(found, found.capacity)} {found.unit}"
    low, high = (amount(found, each) for each in found.ends)
    if found.ends_at != "most" and found.confidence is not None:
        said += f", {percent(found.confidence)} interval {low} to {high}"
    elif found.ends_at != "most":
        known = (
            (found.ends[0], f"surely met up to {low}"),
            (found.ends[1], f"surely missed from {high}"),
        )
        sure = ", ".join(text for end, text in known if end is not None)
        said += f", without an interval{': ' if sure else ''}{sure}"
    if found.per_replica is not None and found.replicas != 1:
        said += f"; {rate(found.per_replica)} for each of {found.replicas} replicas"
    return said


def amount(found: Limited, value: float | None) -> str:
    """Return a rate, or a number of clients."""
    if value is None:
        return UNBOUNDED
    return f"{value:,.0f}" if found.unit == "clients" else rate(value)


def capacity_facts(found: Limited) -> Iterator[tuple[str, str]]:
    """Yield name and text of what else is known."""
    yield "binds", binding(found)
    if found.headroom is not None:
        share = percent(abs(found.headroom))
        where = "above" if found.headroom >= 0 else "short of"
        own = f"the scenario's own {amount(found, found.own)} {found.unit}"
        yield "headroom", f"{share} {where} {own}"
    result = found.simulation
    offered, saturation = result.offered_requests_per_s, found.saturation_requests_per_s
    if saturation is not None and offered is not None and found.capacity is not None:
        load = f"load {percent(offered / saturation)} of it"
        yield "saturation", f"{rate(saturation)} req/s · {load}"
    through = result.throughput
    yield (
        "throughput",
        (
            f"{rate(through.get('requests_per_s'))} req/s · "
            f"{rate(through.get('output_tokens_per_s'))} output tokens/s"
        ),
    )
    hourly = result.cost.get("usd_per_hour")
    per_million = result.cost.get("usd_per_million_output_tokens")
    if hourly is not None:
        tokens = f" · ${per_million:.2f} per million output tokens" if per_million else ""
        yield "cost", f"${hourly:,.2f}/h{tokens}"
    yield "method", f"{found.method.simulations} simulations; {found.method.statement}"
    yield from (("notice", each) for each in found.notices)
    bounded = None not in found.ends
    if found.capacity is not None and found.ends_at != "most" and not bounded:
        yield UNBOUNDED, "the sample cannot bound it; lengthen the traffic or add replications"


def binding(found: Limited) -> str:
    """Return what ends the capacity."""
    if found.ends_at == "saturation":
        return "saturation: beyond it more requests come than the fleet serves"
    if found.ends_at == "most":
        return f"nothing: the scenario has no more {found.unit} to offer; raise traffic.requests"
    said = [_told(each) for each in found.binds]
    if found.capacity is None:
        load = "without load" if found.ends_at == "unloaded" else "at the lowest load tried"
        return f"{'; '.join(said)} {load}"
    where = f"above {amount(found, found.capacity)} {found.unit}"
    parts = {name: part for name, part in (found.parts or {}).items() if part is not None}
    most = ""
    if sum(parts.values()) > 0:
        name = max(parts, key=lambda each: parts[each])
        most = f"; mostly {name}, {percent(parts[name] / sum(parts.values()))} of it"
    return f"{'; '.join(said)} just {where}{most}"


def _told(missed: Missed) -> str:
    name = f"{missed.class_}: " if missed.class_ else ""
    return f"{name}{missed.objective} is missed with {_value(missed)}"


def _value(outcome: Missed | Objective) -> str:
    if outcome.value is None:
        return UNBOUNDED
    if outcome.objective.startswith("goodput"):
        return percent(outcome.value, 2)
    return duration(outcome.value)


def _objectives(found: Limited) -> list[str]:
    """Return a table of the objectives at the capacity, or at the lowest load."""
    where = "at the capacity" if found.capacity is not None else "at the lowest load"
    rows = [
        [
            plain(f"{name}: {each.objective}" if name else each.objective),
            ("met" if each.met else "missed") + ("" if each.sure else ", not sure"),
            _value(each),
        ]
        for name, each in found.simulation.outcomes()
    ]
    table = text_table([f"objectives {where}", "outcome", "value"], rows, left=[0, 1])
    return [*table.splitlines(), ""]
