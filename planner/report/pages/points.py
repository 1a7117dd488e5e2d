"""The report of predictions of measured points: how far off, where, and by which profiles."""

from __future__ import annotations

import math
import statistics
from functools import partial
from typing import TYPE_CHECKING

from planner.report.charts import agreement as charts
from planner.report.document import (
    Answer,
    Cell,
    Chart,
    Column,
    Document,
    Facts,
    Section,
    Table,
)
from planner.report.numbers import count, duration, percent, rate, signed_percent
from planner.report.pages.sources import command_section

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from planner.report.document import Block
    from planner.report.inputs.validated import Errors, Rows, ValidatedPoints

#: Rows of the table of the worst.
WORST = 25
#: What tells points of a scatter apart, and how many groups are drawn by their own mark.
COLOURED_BY, MOST_GROUPS = "engine", 5
#: Groups that are told of the worst rows.
_OF_WORST = ("device", "engine", "model", "load")
#: Columns of a table of errors, after what it is of.
_ERRORS = (
    Column("n", "n"),
    Column("mean", "mape"),
    Column("median", "median_ape"),
    Column("bias", "bias"),
)


def points_document(found: ValidatedPoints) -> Document:
    """Return the report of the predictions of a table of points."""
    sections = [Section("errors", "How far off", tuple(_first(found)))]
    if found.rows.id:
        sections.append(Section("groups", "By group", tuple(_groups(found))))
        sections.append(Section("worst", "The worst", (worst_table(found.rows),)))
    if found.unsupported:
        sections.append(Section("unsupported", "Not predicted", (_unsupported(found),)))
    sections += [
        Section("sources", "Where the numbers come from", (Facts(tuple(_sources(found))),)),
        command_section(found.command, found.tool_version),
    ]
    return Document(
        title="Predictions of measured points",
        subtitle=f"{count(found.points, 'point')}, {found.predicted:,} of them predicted",
        answer=answer(found),
        sections=tuple(sections),
        tool_version=found.tool_version,
    )


def answer(found: ValidatedPoints) -> Answer:
    """Return the median error of each metric, and which way predictions lean."""
    if not found.metrics:
        return Answer("Nothing could be predicted", "bad")
    said = ", ".join(f"{name} {_share(each.median_ape)}" for name, each in found.metrics.items())
    leans = ", ".join(f"{name} {signed_percent(each.bias)}" for name, each in found.metrics.items())
    near = [
        f"{name} {percent(sum(error <= charts.NEAR for error in errors) / len(errors))}"
        for name, errors in absolute_errors(found.rows).items()
    ]
    sentences = [f"On average predictions are off by {leans}."]
    if near:
        sentences.append(f"Within {percent(charts.NEAR)}: {', '.join(near)} of the predictions.")
    return Answer(f"Half of the predictions are off by at most: {said}", "", tuple(sentences))


def absolute_errors(rows: Rows) -> dict[str, list[float]]:
    """Return by metric how far each prediction is off, whatever the sign [-]."""
    found: dict[str, list[float]] = {}
    for metric, measured, predicted in zip(rows.metric, rows.measured, rows.predicted, strict=True):
        found.setdefault(metric, []).append(abs(predicted / measured - 1))
    return dict(sorted(found.items()))


def _first(found: ValidatedPoints) -> Iterable[Block]:
    """Yield errors by metric and the charts."""
    cards = [("points", f"{found.points:,}"), ("predicted", f"{found.predicted:,}")]
    cards += [(f"{name}, median", _share(each.median_ape)) for name, each in found.metrics.items()]
    yield Facts(tuple(cards), large=True)
    rows = tuple((Cell(name), *_cells(each)) for name, each in found.metrics.items())
    columns = (Column("metric", "metric", numeric=False), *_ERRORS)
    note = (
        "Errors are predicted over measured, less one: mean and median of them without their "
        "sign, and the bias, their mean with it."
    )
    yield Table("errors", "Errors", columns, rows, note)
    errors = absolute_errors(found.rows)
    if errors:
        yield Chart(
            name="within",
            title="Predictions that are off by at most so much",
            description=_within(errors),
            draw=partial(charts.shares_within, errors=errors),
        )
    for metric in errors:
        yield _scatter(found.rows, metric, errors[metric])


def _within(errors: dict[str, list[float]]) -> str:
    said = [
        f"{name}: {percent(sum(each <= 0.1 for each in found) / len(found))} within 10 %, "
        f"{percent(sum(each <= 0.5 for each in found) / len(found))} within 50 %"
        for name, found in errors.items()
    ]
    return f"Share of predictions by how far they are off. {'; '.join(said)}."


def _scatter(rows: Rows, metric: str, errors: Sequence[float]) -> Chart:
    """Return predictions of a metric over measurements."""
    throughput = metric == "throughput"
    factor, unit = (1.0, "tokens per second") if throughput else (1000.0, "milliseconds")
    names = rows.groups.get(COLOURED_BY) or ["all"] * len(rows.id)
    where = [k for k, each in enumerate(rows.metric) if each == metric]
    sizes: dict[str, int] = {}
    for k in where:
        sizes[names[k]] = sizes.get(names[k], 0) + 1
    largest = sorted(sizes, key=lambda name: (-sizes[name], name))[:MOST_GROUPS]
    groups: dict[str, list[tuple[float, float]]] = {name: [] for name in largest}
    for k in where:
        name = names[k] if names[k] in groups else "others"
        point = (factor * rows.measured[k], factor * rows.predicted[k])
        groups.setdefault(name, []).append(point)
    return Chart(
        name=f"scatter_{metric}",
        title=f"{metric}: predicted and measured",
        description=(
            f"{count(len(where), 'prediction')} over what was measured, in {unit}, both axes "
            f"logarithmic. Half of them are off by at most {_share(statistics.median(errors))}."
        ),
        draw=partial(charts.scatter, groups=groups, unit=unit),
        height=0.9,
    )


def _groups(found: ValidatedPoints) -> Iterable[Table]:
    """Yield a table of errors for each kind of group; that which was asked for is open."""
    if found.by:
        yield _errors_table("by", "As asked for with --by", found.by)
    for kind, names in found.rows.groups.items():
        if len(set(names)) > 1:
            yield _kind_table(found.rows, kind, names)


def _kind_table(rows: Rows, kind: str, names: Sequence[str]) -> Table:
    errors: dict[tuple[str, str], list[float]] = {}
    for name, metric, measured, predicted in zip(
        names, rows.metric, rows.measured, rows.predicted, strict=True
    ):
        errors.setdefault((name, metric), []).append(predicted / measured - 1)
    body = []
    for (name, metric), each in sorted(errors.items()):
        absolute = [abs(error) for error in each]
        mean, middle = statistics.fmean(absolute), statistics.median(absolute)
        body.append((Cell(name), Cell(metric), *_error_cells(len(each), mean, middle,
                     statistics.fmean(each))))  # fmt: skip
    columns = (Column(kind, kind, numeric=False), Column("metric", "metric", numeric=False))
    title = f"Errors by {kind}"
    return Table(f"by_{kind}", title, (*columns, *_ERRORS), tuple(body), folded=True)


def _errors_table(name: str, title: str, groups: dict[str, dict[str, Errors]]) -> Table:
    columns = (Column("group", "group", numeric=False), Column("metric", "metric", numeric=False))
    rows = tuple(
        (Cell(group), Cell(metric), *_cells(each))
        for group, metrics in groups.items()
        for metric, each in metrics.items()
    )
    return Table(name, title, (*columns, *_ERRORS), rows)


def _cells(each: Errors) -> tuple[Cell, ...]:
    return _error_cells(each.n, each.mape, each.median_ape, each.bias)


def _error_cells(
    n: int, mape: float | None, median: float | None, bias: float | None
) -> tuple[Cell, ...]:
    return (
        Cell(f"{n:,}", n),
        Cell(_share(mape), mape),
        Cell(_share(median), median),
        Cell(signed_percent(bias), bias),
    )


def _share(value: float | None) -> str:
    return percent(value, 1)


def worst_table(rows: Rows) -> Table:
    """Return the rows that are off by the largest factor, the worst first."""
    factors = [p / m for m, p in zip(rows.measured, rows.predicted, strict=True)]
    order = sorted(range(len(factors)), key=lambda k: (-abs(math.log(factors[k])), k))[:WORST]
    kinds = [kind for kind in _OF_WORST if kind in rows.groups]
    body = tuple(
        (
            Cell(rows.id[k]),
            Cell(rows.metric[k]),
            Cell(_value(rows.metric[k], rows.measured[k]), rows.measured[k]),
            Cell(_value(rows.metric[k], rows.predicted[k]), rows.predicted[k]),
            Cell(f"x {factors[k]:.3g}", factors[k]),
            *(Cell(rows.groups[kind][k]) for kind in kinds),
        )
        for k in order
    )
    columns = (
        Column("point", "id", numeric=False),
        Column("metric", "metric", numeric=False),
        Column("measured", "measured"),
        Column("predicted", "predicted"),
        Column("factor", "factor"),
        *(Column(kind, kind, numeric=False) for kind in kinds),
    )
    note = f"The {len(body)} that are off by the largest factor."
    return Table("worst_rows", "Off by the largest factor", columns, body, note)


def _value(metric: str, value: float) -> str:
    if metric == "throughput":
        return f"{rate(value)} tokens/s"
    return duration(value)


def _unsupported(found: ValidatedPoints) -> Table:
    rows = tuple((Cell(reason), Cell(f"{n:,}", n)) for reason, n in found.unsupported.items())
    columns = (Column("because", "reason", numeric=False), Column("points", "points"))
    return Table("unsupported_points", "Points that were not predicted", columns, rows)


def _sources(found: ValidatedPoints) -> Iterable[tuple[str, str]]:
    """Yield what predicted and what measured."""
    for kind, words in (("profile", "predicted by the profiles"), ("dataset", "measured in")):
        names = found.rows.groups.get(kind)
        if names:
            yield words, ", ".join(sorted(set(names)))
    yield "each prediction", "a simulation of the point's own load; see docs/validation.md"
