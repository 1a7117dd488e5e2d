"""The plan on the terminal: one screen of 80 columns, in the manner of ``terraform plan``."""

from __future__ import annotations

import io
import os
from typing import TYPE_CHECKING, TextIO

from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from planner.report.numbers import NOTHING, UNBOUNDED, milliseconds, percent, rate
from planner.report.plain import plain
from planner.report.text import MAX_WIDTH, MIN_WIDTH

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.console import RenderableType

    from planner.planning.option import Option, Outcome
    from planner.planning.result import Difference, Plan

#: What an output that cannot show a character gets instead.
_ASCII = str.maketrans({"–": "-", "·": "|", "≥": ">=", "→": "->"})  # noqa: RUF001 - those
_STYLES = {"+": "green", "-": "red", "~": "yellow"}
#: Excluded reasons and sensitive inputs that are listed by name.
MOST_LISTED = 6


def write_plan(plan: Plan, stream: TextIO) -> None:
    """Write the plan to `stream`: in colour on a terminal, unless ``NO_COLOR`` is set.

    Parameters
    ----------
    plan : Plan
        What to report.
    stream : TextIO
        A terminal, a pipe or a file. A pipe gets 80 columns, or ``COLUMNS``.
    """
    terminal = stream.isatty()
    colour = terminal and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    text = render_plan(plan, width=Console(file=stream).width, colour=colour)
    if "utf" not in (stream.encoding or "utf-8").lower():
        text = text.translate(_ASCII).encode("ascii", "replace").decode()
    stream.write(text)


def render_plan(plan: Plan, *, width: int = MIN_WIDTH, colour: bool = False) -> str:
    """Return the plan as text of at most `width` columns (80 to 100 are used).

    Parameters
    ----------
    plan : Plan
        What to report.
    width : int
        Columns of the terminal.
    colour : bool
        Whether to use colours.
    """
    out = io.StringIO()
    console = Console(
        file=out,
        width=min(max(width, MIN_WIDTH), MAX_WIDTH),
        force_terminal=colour,
        color_system="standard" if colour else None,
        no_color=not colour,
        highlight=False,
        markup=False,
        emoji=False,
        legacy_windows=False,
    )
    console.print(Group(*_sections(plan)))
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines()) + "\n"


def _sections(plan: Plan) -> Iterator[RenderableType]:
    """Yield the parts of the screen from top to bottom."""
    yield _header(plan)
    yield Text()
    found = plan.recommendation
    if found is None:
        yield from _nothing(plan)
    else:
        yield Text.assemble("Plan: ", (_fleet(found.option), "bold"))
        yield _settings(found.option)
        if plan.difference:
            yield Text()
            yield _difference(plan.difference)
        yield Text()
        yield _objectives(found.option.outcomes)
        if found.outage is not None:
            yield Text()
            yield _objectives(found.outage.outcomes, f"with {found.outage.lost} lost")
    yield Text()
    yield _facts(plan)
    if plan.alternatives:
        yield Text()
        yield _options(
            "alternatives", plan.alternatives, [each.trade for each in plan.alternatives]
        )
    others = [each for each in plan.pareto if found is None or each != found.option]
    if found is not None and others:
        yield Text()
        yield _options("no worse in all", others, [_worth(each) for each in others])
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


def _fleet(option: Option) -> str:
    """Return a fleet in a line: how many of what, and what they cost."""
    one = option.candidate
    degrees = "".join(
        f" {name}{degree}"
        for name, degree in (("TP", one.tensor_parallel), ("PP", one.pipeline_parallel))
        if degree > 1
    )
    spare = f" + {option.spares} spare" if option.spares else ""
    return plain(f"{option.replicas}{spare} x {one.device_name}{degrees}, {_cost(option)}")


def _cost(option: Option) -> str:
    return "price not known" if option.usd_per_hour is None else f"${option.usd_per_hour:,.2f}/h"


def _settings(option: Option) -> RenderableType:
    settings, engine = option.candidate.settings, option.candidate.engine
    pruning = settings.pruning
    pruned = f" · pruned {pruning.pattern} {pruning.rate:.0%}" if pruning.rate else ""
    devices = "1 device" if option.devices == 1 else f"{option.devices} devices"
    return Text(
        f"      {devices} · weights {settings.weights} · KV {settings.kv_cache}{pruned} · "
        f"{engine.scheduler.kind}, {engine.max_num_seqs:,} sequences, "
        f"{engine.max_num_batched_tokens:,} tokens a step",
        style="dim",
    )


def _difference(lines: Sequence[Difference]) -> RenderableType:
    """Return what changes against the fleet of the scenario, one line each."""
    width = max(len(each.name) for each in lines)
    text = Text("from the fleet of the scenario\n", style="bold")
    rows = []
    for each in lines:
        values = " -> ".join(filter(None, (each.before, each.after)))
        row = plain(f"  {each.sign} {each.name:<{width}}  {values}")
        rows.append(Text(row, style=f"not bold {_STYLES[each.sign]}"))
    return text + Text("\n").join(rows)


def _objectives(outcomes: Sequence[Outcome], title: str = "objectives") -> RenderableType:
    """Return each objective with what is predicted, its interval and its probability."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_edge=False)
    table.add_column(title, header_style="bold", overflow="fold", ratio=2)
    for name in ("predicted", "95 %", "margin", "P"):
        table.add_column(name, justify="right", no_wrap=True, header_style="dim")
    for each in outcomes:
        label = f"{each.class_name}: {each.objective}" if each.class_name else each.objective
        ends = NOTHING
        if each.low is not None or each.high is not None:
            ends = f"{_bare(each, each.low)}–{_bare(each, each.high)}"  # noqa: RUF001 - a range
        table.add_row(
            plain(label),
            _value(each, each.value),
            ends,
            percent(each.margin),
            _sure(each.probability),
        )
    return table


def _bare(outcome: Outcome, value: float | None) -> str:
    if value is None:
        return UNBOUNDED
    return f"{100 * value:.1f}" if outcome.is_share else milliseconds(value).replace(",", "")


def _value(outcome: Outcome, value: float | None) -> str:
    if value is None:
        return UNBOUNDED
    if outcome.is_share:
        return percent(value, 2)
    text = milliseconds(value)
    return text if text.endswith("s") else f"{text} ms"


def _sure(probability: float) -> str:
    """Return a probability; never 1, which no simulation shows."""
    return "> 0.999" if probability > 0.999 else f"{probability:.3f}"


def _facts(plan: Plan) -> RenderableType:
    """Return what the plan costs and why it is one, one line each."""
    table = _pairs()
    for name, said in _lines(plan):
        table.add_row(name, plain(said))
    return table


def _pairs() -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_edge=False)
    table.show_header = False
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    return table


def _lines(plan: Plan) -> Iterator[tuple[str, str]]:
    found = plan.recommendation
    if found is not None:
        option = found.option
        million = option.usd_per_million_output_tokens
        tokens = f" · ${million:.2f} per million output tokens" if million is not None else ""
        power = f" · at most {option.watts:,.0f} W" if option.watts is not None else ""
        yield "cost", f"{_cost(option)}{tokens}{power}"
        yield "quality", _quality(option)
        yield "P all met", _sure(option.probability)
        grows = (
            "set by clients"
            if found.headroom is None
            else f"{percent(found.headroom)} more traffic"
        )
        yield "headroom", grows
        yield "binds", found.binding
        yield "because", found.because
    if plan.today is not None:
        meets = plan.today.probability >= plan.context.confidence
        said = "meets" if meets else "misses"
        yield "today", f"{_fleet(plan.today)}: {said} it, P {_sure(plan.today.probability)}"


def _quality(option: Option) -> str:
    loss = option.quality.loss
    said = "not known" if loss is None else f"{100 * loss:.1f} % lost"
    return f"{said} ({option.quality.source})"


def _options(title: str, options: Sequence[Option], said: Sequence[str]) -> RenderableType:
    """Return other fleets, one line each."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_edge=False)
    table.add_column(title, header_style="bold", overflow="fold", ratio=3)
    table.add_column("", overflow="fold", style="dim", ratio=4)
    for each, text in zip(options, said, strict=True):
        settings = each.candidate.settings
        table.add_row(f"{_fleet(each)}, {settings.weights}/{settings.kv_cache}", plain(text))
    return table


def _worth(option: Option) -> str:
    margins = [each.margin for each in option.outcomes if each.margin is not None]
    tightest = percent(min(margins, default=None))
    return f"quality {_quality(option).partition(' (')[0]} · tightest margin {tightest}"


def _nothing(plan: Plan) -> Iterator[RenderableType]:
    """Yield why there is no plan, and what could be had."""
    why = plan.infeasible
    yield Text("No plan meets all of this.", style="bold red")
    if why is None:
        return
    table = _pairs()
    table.add_row("binds", why.binding)
    table.add_row("because", plain(why.why))
    yield table
    if why.nearest:
        yield Text()
        rows = [each.option for each in why.nearest]
        yield _options("nearest", rows, [each.change for each in why.nearest])


def _footer(plan: Plan) -> RenderableType:
    """Return candidates, sensitivity, method and notices."""
    table, counts = _pairs(), plan.counts
    listed = list(counts.excluded.items())
    reasons = [f"{number:,} {name}" for name, number in listed[:MOST_LISTED]]
    rest = sum(number for _, number in listed[MOST_LISTED:])
    reasons += [f"{rest:,} for other reasons"] if rest else []
    said = f"{counts.total:,}: {counts.simulated:,} simulated"
    table.add_row("candidates", plain(" · ".join([said, *reasons])))
    if plan.sensitivity:
        table.add_row("sensitive", plain(_sensitive(plan)))
    if plan.context.profile:
        table.add_row("profile", plain(plan.context.profile))
    table.add_row("method", plain(_method(plan)))
    for notice in plan.notices:
        table.add_row(Text("notice", style="yellow"), plain(notice))
    return table


def _sensitive(plan: Plan) -> str:
    """Return which uncertain inputs would change the plan."""
    changing = [each for each in plan.sensitivity if each.changes_plan]
    if not changing:
        return "no input changes the plan by itself, 10 % or two standard errors either way"
    words = []
    for each in changing[:MOST_LISTED]:
        effect = "too few" if not each.enough else "one fewer would do"
        words.append(
            f"{each.name} {100 * (each.high - 1):+.0f}/{100 * (each.low - 1):.0f} %: {effect}"
        )
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
