"""The capacity of a scenario as text."""

from __future__ import annotations

from textwrap import wrap
from typing import TYPE_CHECKING

from planner.report.numbers import UNBOUNDED, milliseconds, percent, rate
from planner.report.plain import plain
from planner.report.tables import text_table
from planner.report.text import MIN_WIDTH

if TYPE_CHECKING:
    from collections.abc import Iterator

    from planner.planning.capacity_result import Bound, Capacity
    from planner.results.objectives import Outcome

#: Columns before the text of a fact.
INDENT = 13


def render_capacity(found: Capacity) -> str:
    """Return the capacity with its interval, what ends it, and the objectives there."""
    facts = list(capacity_facts(found))
    lines = [plain(f"{found.title}: {headline(found)}"), ""]
    lines += _objectives(found)
    for name, said in facts:
        folded = wrap(plain(said), MIN_WIDTH - INDENT)
        lines += [f"{name:<{INDENT}}{folded[0]}", *(" " * INDENT + each for each in folded[1:])]
    return "\n".join(lines) + "\n"


def headline(found: Capacity) -> str:
    """Return the capacity and its interval in a line."""
    if found.value is None:
        return "no capacity, an objective fails at any load"
    at_least = "at least " if found.ends_at == "most" else ""
    said = f"capacity {at_least}{_number(found, found.value)} {found.unit}"
    low, high = _number(found, found.low), _number(found, found.high)
    if found.ends_at != "most" and found.has_interval:
        said += f", {percent(found.confidence)} interval {low} to {high}"
    elif found.ends_at != "most":
        said += f", without an interval: surely met up to {low}, surely missed from {high}"
    if found.per_replica is not None and found.replicas != 1:
        said += f"; {rate(found.per_replica)} for each of {found.replicas} replicas"
    return said


def _number(found: Capacity, value: float | None) -> str:
    if value is None:
        return UNBOUNDED
    return f"{value:,.0f}" if found.unit == "clients" else rate(value)


def capacity_facts(found: Capacity) -> Iterator[tuple[str, str]]:
    """Yield name and text of what else is known."""
    yield "binds", _binds(found)
    if found.headroom is not None:
        share = percent(abs(found.headroom))
        where = "above" if found.headroom >= 0 else "short of"
        own = f"the scenario's own {_number(found, found.own)} {found.unit}"
        yield "headroom", f"{share} {where} {own}"
    result = found.result
    offered, saturation = result.context.offered_per_s, found.saturation_per_s
    if saturation is not None and offered is not None and found.value is not None:
        load = f"load {percent(offered / saturation)} of it"
        yield "saturation", f"{rate(saturation)} req/s · {load}"
    through = result.whole.metrics.throughput
    yield (
        "throughput",
        (
            f"{rate(through['requests_per_s'])} req/s · "
            f"{rate(through['output_tokens_per_s'])} output tokens/s"
        ),
    )
    hourly, per_million = result.cost.values()
    if hourly is not None:
        tokens = f" · ${per_million:.2f} per million output tokens" if per_million else ""
        yield "cost", f"${hourly:,.2f}/h{tokens}"
    yield "method", f"{found.runs} simulations; {result.intervals.statement}"
    yield from (("notice", each) for each in found.notices())
    bounded = found.low is not None and found.high is not None
    if found.value is not None and found.ends_at != "most" and not bounded:
        yield UNBOUNDED, "the sample cannot bound it; lengthen the traffic or add replications"


def _binds(found: Capacity) -> str:
    """Return what ends the capacity."""
    if found.ends_at == "saturation":
        return "saturation: beyond it more requests come than the fleet serves"
    if found.ends_at == "most":
        return f"nothing: the scenario has no more {found.unit} to offer; raise traffic.requests"
    said = [_told(each) for each in found.binds]
    if found.value is None:
        load = "without load" if found.ends_at == "unloaded" else "at the lowest load tried"
        return f"{'; '.join(said)} {load}"
    where = f"above {_number(found, found.value)} {found.unit}"
    parts = found.parts()
    most = ""
    if parts and sum(parts.values()) > 0:
        name = max(parts, key=lambda each: parts[each])
        most = f"; mostly {name}, {percent(parts[name] / sum(parts.values()))} of it"
    return f"{'; '.join(said)} just {where}{most}"


def _told(bound: Bound) -> str:
    name = f"{bound.class_name}: " if bound.class_name else ""
    return f"{name}{bound.outcome.objective} is missed with {_value(bound.outcome)}"


def _value(outcome: Outcome) -> str:
    if outcome.value is None:
        return UNBOUNDED
    if outcome.is_share:
        return percent(outcome.value, 2)
    text = milliseconds(outcome.value)
    return text if text.endswith("s") else f"{text} ms"


def _objectives(found: Capacity) -> list[str]:
    """Return a table of the objectives at the capacity, or at the lowest load."""
    where = "at the capacity" if found.value is not None else "at the lowest load"
    groups = [("", found.result.whole), *found.result.classes.items()]
    rows = [
        [
            plain(f"{name}: {each.objective}" if name else each.objective),
            "met" if each.met else "missed",
            _value(each),
            "" if each.sure else "not sure",
        ]
        for name, group in groups
        for each in group.objectives
    ]
    table = text_table([f"objectives {where}", "", "", ""], rows, left=[0, 1, 3])
    return [*table.splitlines(), ""]
