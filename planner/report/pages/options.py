"""Fleets that could be had, on the page of a plan: in words, as a table, as a front."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from planner.report.charts import tradeoff as charts
from planner.report.document import Cell, Chart, Column, Table
from planner.report.numbers import NOTHING, percent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from planner.report.inputs.planned import Option, Planned

#: Settings and limits of a pool that a reader looks for first.
SETTINGS = ("weights", "kv_cache", "activations")
LIMITS = ("max_num_seqs", "max_num_batched_tokens")


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


def settings(option: Option) -> str:
    """Return the settings of a fleet in words, those that every reader asks for."""
    pool = option.pools[0]
    words = [f"{key} {pool.settings[key]}" for key in SETTINGS if pool.settings.get(key)]
    pruning = pool.settings.get("pruning")
    if isinstance(pruning, dict) and pruning.get("rate"):
        words.append(f"pruned {pruning.get('pattern')} {pruning['rate']}")
    words += [f"{key} {pool.engine[key]}" for key in LIMITS if pool.engine.get(key)]
    return ", ".join(words)


def options_table(name: str, title: str, options: Sequence[Option], reason: str = "") -> Table:
    """Return one row a fleet; with `reason`, why it is listed."""
    columns = [
        Column("fleet", "fleet", numeric=False),
        Column("$/h", "usd_per_hour"),
        Column("probability", "probability"),
        Column("margin", "margin"),
        Column("quality lost", "quality_loss"),
        Column("devices", "devices"),
        Column("settings", "settings", numeric=False),
    ]
    if reason:
        columns.append(Column(reason, "reason", numeric=False))
    rows = []
    for each in options:
        margins = [one.margin for one in each.objectives if one.margin is not None]
        least = min(margins, default=None)
        loss = each.quality_loss
        row = [
            Cell(fleet(each)),
            Cell(NOTHING if each.usd_per_hour is None else f"{each.usd_per_hour:,.2f}",
                 each.usd_per_hour),
            Cell(f"{each.probability:.3g}", each.probability),
            Cell(NOTHING if least is None else percent(least), least),
            Cell(NOTHING if loss is None else percent(loss, 2), loss),
            Cell(f"{each.devices:,}", each.devices),
            Cell(settings(each)),
        ]  # fmt: skip
        if reason:
            row.append(Cell(each.change or each.trade))
        rows.append(tuple(row))
    return Table(name, title, tuple(columns), tuple(rows))


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
        name="front",
        title=f"Cost and {metric}, the tightest objective",
        description=(
            f"Each fleet by cost per hour and {metric}; the bound is in {tightest.objective}. "
            f"The plan: {fleet(best)}, {cost(best)}."
        ),
        draw=partial(charts.choices, points=points, latency=metric, bound=tightest.bound),
    )
