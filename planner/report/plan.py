"""The plan on the terminal: one screen of 80 columns, in the manner of ``terraform plan``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Group
from rich.text import Text

from planner.report.numbers import rate
from planner.report.plain import held, plain
from planner.report.plan_parts import (
    difference,
    facts,
    fleet,
    objectives,
    options,
    pairs,
    settings,
    worth,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import RenderableType

    from planner.planning.result import Plan

#: Excluded reasons and sensitive inputs that are listed, and fleets on the front.
MOST_LISTED, MOST_ON_FRONT = 6, 4
#: What is varied of the traffic, as it is said.
VARIED = {"rate": "rate of requests", "prompt": "length of prompts", "output": "length of answers"}


def screen_of_plan(plan: Plan) -> Iterator[RenderableType]:
    """Yield the parts of the screen of a plan, from top to bottom."""
    yield _header(plan)
    yield Text()
    found = plan.recommendation
    if found is None:
        yield from _nothing(plan)
    else:
        yield Text.assemble("Plan: ", (fleet(found.option), "bold"))
        yield settings(found.option)
        if plan.difference:
            yield Text()
            yield difference(plan.difference)
        yield Text()
        yield objectives(found.option.outcomes)
        if found.outage is not None:
            yield Text()
            yield objectives(found.outage.outcomes, f"with {found.outage.lost} lost")
    if found is not None or plan.today is not None:
        yield Text()
        yield facts(plan)
    if plan.alternatives:
        yield Text()
        trades = [each.trade for each in plan.alternatives]
        than = None if found is None else found.option
        yield options("alternatives", plan.alternatives, trades, than)
    others = [each for each in plan.pareto if found is None or each != found.option]
    if found is not None and others:
        yield Text()
        yield options(
            "none better in every way",
            others[:MOST_ON_FRONT],
            [worth(each) for each in others[:MOST_ON_FRONT]],
            found.option,
        )
        if len(others) > MOST_ON_FRONT:
            yield Text(f"and {len(others) - MOST_ON_FRONT:,} more in --json", style="dim")
    if any(each.unmeasured for each in (*plan.alternatives, *others)):
        yield Text("* with speeds or a quality that nobody measured", style="dim")
    yield Text()
    yield _footer(plan)


def _header(plan: Plan) -> RenderableType:
    """Return what was asked for."""
    context = plan.context
    head = Text(plain(context.title), style="bold")
    head.append(f" · plan for {plain('; '.join(context.target))}", style="default not bold")
    words = {
        "max_cost": "at most {}", "max_devices": "at most {} devices", "max_power": "at most {}",
        "max_quality_loss": "at most {} of quality lost", "measured_only": "measured only",
        "spares": "{} to spare", "availability": "{} available",
    }  # fmt: skip
    asked = [words[name].format(text) for name, text in context.constraints.items()]
    asked.append(f"probability ≥ {context.confidence:g}")
    if context.offered_per_s is not None:
        asked.append(f"{rate(context.offered_per_s)} req/s")
    return Group(head, Text(plain(" · ".join(asked)), style="dim"))


def _nothing(plan: Plan) -> Iterator[RenderableType]:
    """Yield why there is no plan, and what could be had."""
    why = plan.infeasible
    yield Text("No plan meets all of this.", style="bold red")
    if why is None:
        return
    table = pairs()
    table.add_row("binds", why.binding)
    table.add_row("because", held(plain(why.why)))
    yield table
    if why.nearest:
        yield Text()
        rows = [each.option for each in why.nearest]
        yield options("nearest", rows, [each.change for each in why.nearest])


def _footer(plan: Plan) -> RenderableType:
    """Return candidates, sensitivity, method and notices."""
    table, counts = pairs(), plan.counts
    listed = list(counts.excluded.items())
    reasons = [f"{number:,} {name}" for name, number in listed[:MOST_LISTED]]
    rest = sum(number for _, number in listed[MOST_LISTED:])
    reasons += [f"{rest:,} for other reasons"] if rest else []
    said = f"{counts.total:,}: {counts.simulated:,} simulated"
    table.add_row("candidates", held(plain(" · ".join([said, *reasons]))))
    if plan.sensitivity:
        table.add_row("sensitive", held(plain(_sensitive(plan))))
    if plan.context.profile:
        table.add_row("profile", held(plain(plan.context.profile)))
    table.add_row("method", held(plain(_method(plan))))
    for notice in plan.notices:
        table.add_row(Text("notice", style="yellow"), held(plain(notice)))
    return table


def _sensitive(plan: Plan) -> str:
    """Return which uncertain inputs would change the plan."""
    changing = [each for each in plan.sensitivity if each.changes_plan]
    if not changing:
        return "no input changes the plan by itself, 10 % or two standard errors either way"
    words = []
    for each in changing[:MOST_LISTED]:
        effects = [
            *([] if each.enough else ["may be too few replicas"]),
            *(["one replica fewer may do"] if each.fewer else []),
            *([f"{each.cheaper}, may do"] if each.cheaper else []),
        ]
        up, down = f"{100 * (each.high - 1):.0f} %", f"{100 * (1 - each.low):.0f} %"
        off = f"{up} up or down" if up == down else f"{up} up or {down} down"
        name = VARIED.get(each.name, each.name)
        words.append(f"{name} {off}: {', or '.join(effects)}")
    return " · ".join(words)


def _method(plan: Plan) -> str:
    method = plan.method
    draws = method.get("coefficient_draws", 0)
    said = (
        f"{method['verified']} fleets simulated on all {method['requests']:,} requests, "
        f"{method['replications']} replications"
        if method["replications"] != 1
        else f"{method['verified']} fleets simulated on all {method['requests']:,} requests"
    )
    error = f" and {draws} draws of the coefficients" if draws else ""
    return f"{said}{error}; the others on parts of them; {method['evaluations']:,} evaluations kept"
