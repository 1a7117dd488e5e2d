"""The parts of a plan on the terminal: fleets, objectives, facts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from planner.planning.binds import GIVEN
from planner.planning.difference import facts_of
from planner.planning.result import MOST_HEADROOM
from planner.report.numbers import NOTHING, UNBOUNDED, duration, milliseconds, percent, sure
from planner.report.plain import held, plain

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.console import RenderableType

    from planner.planning.limits import Bind
    from planner.planning.option import Option, Outcome
    from planner.planning.result import Difference, Plan

#: Numbers that nobody measured that are listed by name.
MOST_NAMED = 4
#: What it means that a part of the latency binds.
MEANT = {
    "wait": "waiting for a turn is most of the tightest latency",
    "compute": "arithmetic is most of the tightest latency",
    "storage": "reading weights and KV cache is most of the tightest latency",
    "transfer": "sending data is most of the tightest latency",
    "overhead": "what lies between the kernels is most of the tightest latency",
    "kv": "requests wait for room in the KV cache",
}
_STYLES = {"+": "green", "-": "red", "~": "yellow"}


def fleet(option: Option) -> str:
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


def settings(option: Option) -> RenderableType:
    """Return the devices, data types and engine limits of a fleet."""
    chosen, engine = option.candidate.settings, option.candidate.engine
    pruning = chosen.pruning
    pruned = f" · pruned {pruning.pattern} {100 * pruning.rate:.0f} %" if pruning.rate else ""
    devices = "1 device" if option.devices == 1 else f"{option.devices} devices"
    return Text(
        f"      {devices} · weights {chosen.weights} · KV {chosen.kv_cache}{pruned} · "
        f"{engine.scheduler.kind}, {engine.max_num_seqs:,} sequences, "
        f"{engine.max_num_batched_tokens:,} tokens a step",
        style="dim",
    )


def difference(lines: Sequence[Difference]) -> RenderableType:
    """Return what changes against the fleet of the scenario, one line each."""
    width = max(len(each.name) for each in lines)
    text = Text("from the fleet of the scenario\n", style="bold")
    rows = []
    for each in lines:
        values = " -> ".join(filter(None, (each.before, each.after)))
        row = plain(f"  {each.sign} {each.name:<{width}}  {values}")
        rows.append(Text(row, style=f"not bold {_STYLES[each.sign]}"))
    return text + Text("\n").join(rows)


def objectives(outcomes: Sequence[Outcome], title: str = "objectives") -> RenderableType:
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
            sure(each.probability),
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
    return duration(value)


def facts(plan: Plan) -> RenderableType:
    """Return what the plan costs and why it is one, one line each."""
    table = pairs()
    for name, said in _lines(plan):
        table.add_row(name, held(plain(said)))
    return table


def pairs() -> Table:
    """Return an empty table of names and what is said of them."""
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
        yield "cost", f"{_cost(option)}{tokens}"
        if option.watts is not None:
            yield "energy", _energy(option)
        yield "quality", _quality(option)
        if option.unmeasured:
            yield "assumed", _listed(option.unmeasured)
        yield "P all met", sure(option.probability)
        yield "headroom", _headroom(found.headroom)
        for k, each in enumerate(found.binds):
            yield "" if k else "binds", _bind(each)
        yield "because", found.because
    if plan.today is not None:
        meets = plan.today.probability >= plan.context.confidence
        said = "meets" if meets else "misses"
        yield "today", f"{fleet(plan.today)}: {said} it, P {sure(plan.today.probability)}"


def _headroom(share: float | None) -> str:
    if share is None:
        return "set by clients"
    least = "at least " if share >= MOST_HEADROOM else ""
    return f"{least}{percent(share)} more traffic"


def _listed(names: Sequence[str]) -> str:
    """Return the first names, and how many more there are."""
    more = len(names) - MOST_NAMED
    return ", ".join(names[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


def _bind(bind: Bind) -> str:
    """Return what binds; of a part of the latency the sentence after ``because`` says more."""
    return f"{bind.name}: {bind.why if bind.name in GIVEN else MEANT[bind.name]}"


def _energy(option: Option) -> str:
    """Return the most that the devices draw, and that the tokens take."""
    each = option.kwh_per_million_output_tokens
    tokens = f" · {each:.2g} kWh per million output tokens" if each is not None else ""
    return f"at most {option.watts:,.0f} W{tokens}"


def _quality(option: Option) -> str:
    loss = option.quality.loss
    said = "not known" if loss is None else f"{100 * loss:.1f} % lost"
    return f"{said} ({option.quality.source})"


#: What the line of a fleet says in any case.
_IN_LINE = frozenset(
    {"device", "replicas", "tensor_parallel", "pipeline_parallel", "weights", "kv_cache"}
)


def options(
    title: str, options: Sequence[Option], said: Sequence[str], than: Option | None = None
) -> RenderableType:
    """Return other fleets, one line each, with what tells them from `than` and each other."""
    chosen = [facts_of(each.candidate, 0) for each in (*([than] if than else []), *options)]
    differ = [
        name
        for name in chosen[0]
        if name not in _IN_LINE and len({each[name] for each in chosen}) > 1
    ]
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_edge=False)
    table.add_column(title, header_style="bold", overflow="fold", ratio=3)
    table.add_column("", overflow="fold", style="dim", ratio=4)
    for each, words_of, text in zip(options, chosen[-len(options) :], said, strict=True):
        settings, mark = each.candidate.settings, "*" if each.unmeasured else ""
        words = [f"{settings.weights}/{settings.kv_cache}{mark}"]
        words += [_choice(name, words_of[name]) for name in differ]
        table.add_row(held(plain(", ".join([fleet(each), *words]))), held(plain(text)))
    return table


def _choice(name: str, value: str) -> str:
    """Return a choice in a few words."""
    unit = {"max_num_seqs": "sequences", "max_num_batched_tokens": "tokens/step"}.get(name)
    return f"{name} {value}" if unit is None else f"{int(value):,} {unit}"


def worth(option: Option) -> str:
    """Return what a fleet of the front has beside its cost, and how much of it was simulated."""
    margins = [each.margin for each in option.outcomes if each.margin is not None]
    tightest = percent(min(margins, default=None))
    said = f"quality {_quality(option).partition(' (')[0]} · tightest margin {tightest}"
    if option.traffic_share == 1:
        return said
    return (
        f"{said} · on {percent(option.traffic_share)} of the traffic, P {sure(option.probability)}"
    )
