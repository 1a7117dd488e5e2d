"""The report of a simulation on the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Group
from rich.table import Table
from rich.text import Text

from planner.report.numbers import (
    NOTHING,
    UNBOUNDED,
    count,
    duration,
    interval,
    milliseconds,
    percent,
    rate,
)
from planner.report.plain import held, plain
from planner.results.metrics import PARTS_METRICS, PARTS_STATISTICS, STATISTICS
from planner.results.records import PARTS
from planner.results.samples import METRICS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import RenderableType

    from planner.results.objectives import Outcome
    from planner.results.result import ClassResult, Result


def screen_of_result(result: Result) -> Iterator[RenderableType]:
    """Yield the parts of the report of a simulation, from top to bottom."""
    yield _header(result)
    if not result.steady:
        yield _overload(result)
    yield Text()
    yield _latencies(result.whole)
    yield Text()
    if any(_known_parts(result.whole)):
        yield _parts(result.whole)
        yield Text()
    outcomes = list(_outcomes(result))
    if outcomes:
        yield _objectives(outcomes, steady=result.steady)
        yield Text()
    yield _facts(result)


def _header(result: Result) -> RenderableType:
    """Return the scenario, what served it and what became of its requests."""
    context, requests = result.context, result.whole.metrics.requests
    head = Text(plain(context.title) or "simulation", style="bold")
    if context.served_by:
        head.append(f" · {plain(context.served_by)}", style="default not bold")
    arrived = f"{count(requests['arrived'], 'request')} arrived"
    if context.offered_per_s is not None:
        those = ", those admitted" if requests["rejected"] else ""
        arrived += f"{those} at {rate(context.offered_per_s)} req/s"
    if result.replications > 1:
        arrived += f" in {result.replications} replications"
    fates = [arrived, f"{requests['finished']:,} finished"]
    fates += [
        f"{requests[fate]:,} {fate}"
        for fate in ("waiting", "running", "rejected", "retried")
        if requests[fate]
    ]
    return Group(head, Text(" · ".join(fates), style="dim"))


def _overload(result: Result) -> RenderableType:
    """Return that the load exceeds what the fleet can serve, or that the fleet was lost."""
    offered, saturation = result.context.offered_per_s, result.context.saturation_per_s
    said = f"no steady state: offered {rate(offered)} req/s"
    if saturation is not None and offered is not None and offered <= saturation:
        left = count(result.whole.metrics.unfinished, "request")
        return Text(f"{said}; {left} never finished", style="bold red")
    if saturation is not None:
        said += f" > saturation {rate(saturation)} req/s"
    return Text(f"{said}; the queue grows without end", style="bold red")


def _table(title: str, *columns: str) -> Table:
    """Return a table without lines, numbers to the right."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_edge=False)
    table.add_column(title, header_style="bold", no_wrap=True)
    for column in columns:
        table.add_column(column, justify="right", header_style="dim", no_wrap=True)
    return table


def _latencies(whole: ClassResult) -> RenderableType:
    """Return each metric with its percentiles, and the intervals below them."""
    table = _table("latency, ms", *STATISTICS)
    for metric in METRICS:
        row = [whole.metrics.latency[metric][statistic] for statistic in STATISTICS]
        known = whole.metrics.measured > 0 and not _absent(whole, metric)
        if not known:
            table.add_row(metric, *([NOTHING] * len(row)))
            continue
        table.add_row(metric, *(Text(milliseconds(each.value), style="bold") for each in row))
        if any(each.value is not None for each in row):
            table.add_row("", *(interval(each) for each in row), style="dim")
    return table


def _absent(whole: ClassResult, metric: str) -> bool:
    """Return whether no request has a value of `metric`, as opposed to an unbounded one."""
    if any(each.value is not None for each in whole.metrics.latency[metric].values()):
        return False
    return metric == "itl" or (metric == "tpot" and whole.metrics.one_token > 0)


def _known_parts(whole: ClassResult) -> Iterator[bool]:
    for metric in PARTS_METRICS:
        for statistic in PARTS_STATISTICS:
            yield whole.metrics.parts[metric][statistic][PARTS[0]] is not None


def _parts(whole: ClassResult) -> RenderableType:
    """Return what ttft and e2e are made of, in milliseconds and per cent."""
    table = _table("made of, ms", *PARTS)
    for metric in PARTS_METRICS:
        for statistic in PARTS_STATISTICS:
            parts = whole.metrics.parts[metric][statistic]
            total = whole.metrics.latency[metric][statistic].value
            table.add_row(f"{metric} {statistic}", *(_part(parts[name], total) for name in PARTS))
    return table


def _part(part: float | None, total: float | None) -> Text:
    """Return one part: its milliseconds and its share."""
    if part is None or total is None:
        return Text(UNBOUNDED)
    share = part / total if total else 0.0
    return Text.assemble(milliseconds(part), (f" {percent(share):>5}", "dim"))


def _outcomes(result: Result) -> Iterator[tuple[str, Outcome]]:
    """Yield every objective with the class it belongs to, empty for all requests."""
    for outcome in result.whole.objectives:
        yield "", outcome
    for name, each in result.classes.items():
        for outcome in each.objectives:
            yield name, outcome


def _objectives(outcomes: list[tuple[str, Outcome]], *, steady: bool) -> RenderableType:
    """Return each objective, whether it is met, by how much and how surely."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_edge=False)
    table.add_column("objectives", header_style="bold", overflow="fold", ratio=2)
    table.add_column("", no_wrap=True)
    table.add_column("", justify="right", no_wrap=True)
    table.add_column("", overflow="fold", style="dim")
    for name, outcome in outcomes:
        label = plain(f"{name}: {outcome.objective}" if name else outcome.objective)
        verdict = Text("met", "green") if outcome.met else Text("missed", "bold red")
        margin = _margin(outcome) if steady else "no steady state"
        if steady and not outcome.met and _within(outcome):
            margin = "but too many were rejected"
        table.add_row(label, verdict, _measured(outcome), margin)
    return table


def _measured(outcome: Outcome) -> str:
    """Return the value of an objective with its unit."""
    if outcome.value is None:
        return UNBOUNDED
    if outcome.is_share:
        return percent(outcome.value, 2)
    return duration(outcome.value)


def _within(outcome: Outcome) -> bool:
    """Return whether the value of a latency objective keeps to its bound."""
    if outcome.value is None or outcome.is_share:
        return False
    return outcome.value < outcome.bound


def _margin(outcome: Outcome) -> str:
    """Return how far the value is from the bound, and whether the interval agrees."""
    if outcome.value is None:
        return ""
    if outcome.is_share:
        distance = 100 * (outcome.value - outcome.bound)
        said = f"{abs(distance):.2f} points {'above' if distance >= 0 else 'below'}"
    else:
        distance = outcome.value / outcome.bound - 1
        said = f"{percent(abs(distance))} {'above' if distance > 0 else 'below'}"
    return said if outcome.sure else f"{said}, not sure"


def _facts(result: Result) -> RenderableType:
    """Return throughput, utilisation, cost, sources, method and notices, one line each."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_edge=False)
    table.show_header = False
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, said in _fact_lines(result):
        table.add_row(name, held(plain(said)))
    for notice in result.notices:
        table.add_row(Text("notice", style="yellow"), held(plain(str(notice))))
    return table


def _fact_lines(result: Result) -> Iterator[tuple[str, str]]:
    """Yield name and text of each fact that is known."""
    context, metrics = result.context, result.whole.metrics
    through = metrics.throughput
    rates = {"req/s": "requests_per_s", "output tokens/s": "output_tokens_per_s"}
    rates["prompt tokens/s"] = "prompt_tokens_per_s"
    yield "throughput", " · ".join(f"{rate(through[key])} {unit}" for unit, key in rates.items())
    if result.steady and context.saturation_per_s is not None and context.offered_per_s is not None:
        load = context.offered_per_s / context.saturation_per_s
        yield "saturation", f"{rate(context.saturation_per_s)} req/s · load {percent(load)} of it"
    names = {"busy": "in a step", "kv_cache": "KV"}
    shares = [
        f"{names.get(name, name)} {percent(share)}"
        for name, share in result.utilisation.items()
        if share is not None
    ]
    if shares:
        yield "utilisation", " · ".join(shares)
    yield "preemptions", f"{result.preemptions:,}"
    hourly, per_million = result.cost.values()
    if hourly is not None:
        tokens = f" · ${per_million:.2f} per million output tokens" if per_million else ""
        power = f" · at most {result.watts:,.0f} W" if result.watts is not None else ""
        yield "cost", f"${hourly:,.2f}/h{tokens}{power}"
    if context.profile:
        yield "profile", context.profile
    yield "method", f"{result.intervals.statement}{_legend(result)}"
    if metrics.one_token:
        yield "tpot", f"undefined for {count(metrics.one_token, 'answer')} of one token"


def _legend(result: Result) -> str:
    """Return what ``*`` means, if there is one."""
    if not result.steady:
        return "; *: no steady state"
    latencies = [each for by in result.whole.metrics.latency.values() for each in by.values()]
    if result.whole.metrics.unfinished and any(each.value is None for each in latencies):
        unfinished = count(result.whole.metrics.unfinished, "unfinished request")
        return f"; *: cannot be bounded, or lies among {unfinished}"
    if any(each.low is None or each.high is None for each in latencies):
        return "; *: the sample cannot bound it"
    return ""
