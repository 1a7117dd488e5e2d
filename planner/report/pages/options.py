"""Fleets that could be had, on the page of a plan: in words, as a table, as a front."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from planner.report.charts import tradeoff as charts
from planner.report.document import Cell, Chart, Column, Table
from planner.report.numbers import NOTHING, left, percent, sure

if TYPE_CHECKING:
    from collections.abc import Sequence

    from planner.report.inputs.planned import Option, Planned

#: Name of the chart of cost against latency.
FRONT = "front"
#: Longest list of fleets that a page shows open.
MOST_OPEN = 12
#: Choices that are said of every fleet, in this order; others only where fleets differ in them.
ALWAYS = ("weights", "KV cache", "activations", "pruning", "requests at once", "tokens a step")
#: What keys of a pool are called where their own name would not tell.
NAMES = {
    "kv_cache": "KV cache",
    "max_num_seqs": "requests at once",
    "max_num_batched_tokens": "tokens a step",
    "scheduler.kind": "scheduler",
    "router.kind": "router",
    "gpu_memory_utilization": "share of memory used",
    "block_size": "tokens in a block",
}


def fleet(option: Option) -> str:
    """Return a fleet in words.

    Parameters
    ----------
    option : Option
        Of one pool or several.
    """
    words = []
    for pool in option.pools:
        degrees = "".join(
            f" {name}{degree}"
            for name, degree in (("TP", pool.tensor_parallel), ("PP", pool.pipeline_parallel))
            if degree > 1
        )
        spare = f" ({pool.spares} spare)" if pool.spares else ""
        words.append(f"{pool.replicas}{spare} x {pool.device}{degrees}")
    return " + ".join(words)


def cost(option: Option) -> str:
    """Return what a fleet costs per hour."""
    return "price not known" if option.usd_per_hour is None else f"${option.usd_per_hour:,.2f}/h"


def choices(option: Option) -> dict[str, str]:
    """Return what was chosen for a replica by its name in words: data types, engine, router."""
    pool = option.pools[0]
    found: dict[str, object] = {}
    for key, value in (*pool.settings.items(), *pool.engine.items(), ("router", pool.router)):
        if key == "pruning":
            found[key] = _pruning(value)
        elif isinstance(value, dict):
            found |= {f"{key}.{inner}": each for inner, each in value.items()}
        else:
            found[key] = value
    return {
        NAMES.get(key, key.replace("_", " ").replace(".", " ")): _word(value)
        for key, value in found.items()
        if value is not None
    }


def _pruning(value: object) -> str | None:
    if isinstance(value, dict) and value.get("rate"):
        return f"{value.get('pattern')} {percent(value['rate'])}"
    return None


def _word(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def settings(option: Option, also: Sequence[str] = ()) -> str:
    """Return the choices for a replica in words.

    Parameters
    ----------
    option : Option
        The fleet.
    also : sequence of str
        Choices to say beside those of :data:`ALWAYS`.
    """
    mine = choices(option)
    return ", ".join(f"{name} {mine[name]}" for name in (*ALWAYS, *also) if name in mine)


def differing(options: Sequence[Option]) -> list[str]:
    """Return the choices that all fleets have and some have otherwise.

    What only some have, as a scheduler's own keys, follows from the rest.
    """
    first, *others = map(choices, options)
    return [
        name
        for name in first
        if name not in ALWAYS
        and all(name in one for one in others)
        and any(one[name] != first[name] for one in others)
    ]


def options_table(
    name: str,
    title: str,
    options: Sequence[Option],
    reason: str = "",
    *,
    beside: Sequence[Option] = (),
) -> Table:
    """Return one row a fleet, with its settings below its name.

    Parameters
    ----------
    name, title : str
        Of the table.
    options : sequence of Option
        The fleets.
    reason : str
        Title of the column with why each is listed; none if it is empty.
    beside : sequence of Option
        Other fleets that readers compare them with.
    """
    partly = any(each.traffic_share < 1 for each in options)
    columns = [
        Column("fleet", "fleet", numeric=False),
        Column("$/h", "usd_per_hour"),
        Column("probability", "probability"),
        Column("tightest margin", "margin"),
        Column("quality lost", "quality_loss"),
        Column("devices", "devices"),
    ]
    columns += [Column("traffic simulated", "traffic_share")] * partly
    columns += [Column(reason, "reason", numeric=False)] if reason else []
    also = differing([*options, *beside]) if options else []
    rows = []
    for each in options:
        price, loss = each.usd_per_hour, each.quality_loss
        margins = [one.margin for one in each.objectives if one.margin is not None]
        least = min(margins, default=None)
        row = [
            Cell(f"{fleet(each)}\n{settings(each, also)}"),
            Cell(NOTHING if price is None else f"{price:,.2f}", price),
            Cell(sure(each.probability), each.probability),
            Cell(left(least), least),
            Cell(percent(loss, 2), loss),
            Cell(f"{each.devices:,}", each.devices),
        ]
        row += [Cell(percent(each.traffic_share), each.traffic_share)] * partly
        row += [Cell(each.change or each.trade)] if reason else []
        rows.append(tuple(row))
    return Table(name, title, tuple(columns), tuple(rows), folded=len(rows) > MOST_OPEN)


def front_chart(found: Planned) -> Chart | None:
    """Return cost against the latency that is nearest to its bound, of all fleets listed."""
    best = found.recommendation
    listed = [*found.pareto, *found.alternatives, *([found.today] if found.today else [])]
    if best is None or best.usd_per_hour is None:
        return None
    latencies = [each for each in best.objectives if not each.objective.startswith("goodput")]
    if not latencies:
        return None
    tightest = min(latencies, key=lambda each: 1.0 if each.margin is None else each.margin)
    key = (tightest.class_, tightest.objective)
    known = []
    for option in (best, *listed):
        value = next((o.value for o in option.objectives if (o.class_, o.objective) == key), None)
        if option.usd_per_hour is not None and value:
            known.append((option, option.usd_per_hour, value))
    if len({(price, value) for _, price, value in known}) < 2:
        return None
    met = [option.probability >= found.confidence for option, *_ in known]
    good = [(price, value) for (_, price, value), ok in zip(known, met, strict=True) if ok]
    front = charts.front_points(good)
    points = [
        charts.Choice(price, value, ok, (price, value) in front, "the plan" if o is best else "")
        for (o, price, value), ok in zip(known, met, strict=True)
    ]
    metric = tightest.objective.partition("<")[0].replace(":", " ")
    return Chart(
        name=FRONT,
        title=f"Cost and {metric}, the tightest objective",
        description=(
            f"Each fleet by cost per hour and {metric}; the bound is in {tightest.objective}. "
            f"The plan: {fleet(best)}, {cost(best)}."
        ),
        draw=partial(charts.choices, points=points, latency=metric, bound=tightest.bound),
    )
