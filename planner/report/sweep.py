"""A sweep as a table on the terminal, as CSV and as JSON."""

from __future__ import annotations

import csv
import io
import json
from typing import TYPE_CHECKING, Any, NamedTuple

from planner.report.json import indented
from planner.report.numbers import NOTHING, UNBOUNDED, count, only_milliseconds, percent, rate
from planner.report.plain import plain
from planner.report.tables import text_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from planner.planning.sweep import Sweep
    from planner.planning.vary import Axis

#: Rows that the terminal shows; the other outputs have all of them.
MOST_ROWS = 200
#: Latencies in the table beside those that objectives bound.
USUAL = (("ttft", "p95"), ("tpot", "p95"), ("e2e", "p95"))
#: Latencies in the table at most: more do not fit beside each other.
MOST_LATENCIES = 4


def sweep_json(sweep: Sweep) -> str:
    """Return the sweep as indented JSON; ``planner schema sweep`` describes it."""
    return indented(sweep.to_json())


def sweep_csv(sweep: Sweep) -> str:
    """Return one row a cell as CSV: varied keys, then every column; empty where undefined."""
    rows = sweep.rows()
    names = list(dict.fromkeys(name for row in rows for name in row))
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(names)
    writer.writerows([_csv(row.get(name)) for name in names] for row in rows)
    return out.getvalue()


def _csv(value: object) -> object:
    if isinstance(value, bool):
        return str(value).lower()
    return json.dumps(value) if isinstance(value, dict | list) else value


def render_sweep(sweep: Sweep) -> str:
    """Return a table with one line a cell, reasons of those that could not run below it."""
    shown = sweep_table(sweep, MOST_ROWS)
    varied = " x ".join(axis.key for axis in sweep.axes)
    out = [plain(f"{sweep.title}: {count(len(sweep.cells), 'cell')}, {varied}") + "\n\n"]
    out.append(text_table(shown.head, shown.rows, left=shown.texts))
    if len(sweep.cells) > MOST_ROWS:
        more = len(sweep.cells) - MOST_ROWS
        out.append(f"and {more:,} more; --json, --csv and --plot have all of them\n")
    out += ["\n" + line + "\n" for line in shown.notes[:1]]
    out += [line + "\n" for line in shown.notes[1:]]
    return "".join(out)


class SweepTable(NamedTuple):
    """A sweep as rows of texts.

    Parameters
    ----------
    head : list of str
        Names of the columns.
    rows : list of list of str
        One for each cell.
    texts : list of int
        Columns that hold words rather than numbers.
    notes : list of str
        What the rows' marks mean.
    """

    head: list[str]
    rows: list[list[str]]
    texts: list[int]
    notes: list[str]


def sweep_table(sweep: Sweep, most: int) -> SweepTable:
    """Return the first `most` cells as rows, and the reasons of those that could not run."""
    latencies = shown_latencies(sweep)
    reasons = list(dict.fromkeys(cell["error"] for cell in sweep.cells if cell["error"]))
    head = [
        *axis_labels(sweep.axes),
        *(f"{metric} {statistic}, ms" for metric, statistic in latencies),
        "tokens/s", "load", "KV", "$/h", "objectives",
    ]  # fmt: skip
    rows = [
        [*map(_value, cell["values"].values()), *_cells(cell, latencies, reasons)]
        for cell in sweep.cells[:most]
    ]
    texts = [k for k, axis in enumerate(sweep.axes) if not axis.numeric]
    notes = [plain(f"[{k}] {reason}") for k, reason in enumerate(reasons, 1)]
    if any(cell["steady"] is False for cell in sweep.cells):
        notes.insert(0, f"{UNBOUNDED}: no steady state, more requests come than the fleet serves")
    return SweepTable(head, rows, [*texts, len(head) - 1], notes)


def axis_labels(axes: Sequence[Axis]) -> list[str]:
    """Return a name for each axis: the end of its key where that tells it apart, and its unit."""
    ends = [axis.key.rpartition(".")[2] for axis in axes]
    names = [
        end if ends.count(end) == 1 else axis.key for end, axis in zip(ends, axes, strict=True)
    ]
    return [
        plain(f"{name}, {axis.unit}" if axis.unit else name)
        for name, axis in zip(names, axes, strict=True)
    ]


def shown_latencies(sweep: Sweep) -> list[tuple[str, str]]:
    """Return the metrics and statistics to show: those that objectives bound, then the usual."""
    bounded: dict[tuple[str, str], None] = {}
    for cell in sweep.cells:
        for each in cell["objectives"] or ():
            metric, _, rest = each["objective"].partition(":")
            statistic = rest.partition("<")[0]
            if statistic in {"mean", "p50", "p90", "p95", "p99"}:
                bounded[metric, statistic] = None
    return list(bounded | dict.fromkeys(USUAL))[:MOST_LATENCIES]


def _value(value: object) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, str | int) and not isinstance(value, bool):
        return plain(str(value))
    return plain(json.dumps(value))


def _cells(
    cell: dict[str, Any], latencies: Sequence[tuple[str, str]], reasons: Sequence[str]
) -> list[str]:
    """Return what the table says of a cell."""
    if cell["error"]:
        return [NOTHING] * (len(latencies) + 4) + [
            f"cannot run [{reasons.index(cell['error']) + 1}]"
        ]
    values = [cell["metrics"][f"{metric}_s"][statistic]["value"] for metric, statistic in latencies]
    undefined = NOTHING if cell["steady"] else UNBOUNDED
    cost = cell["cost"]["usd_per_hour"]
    return [
        *(undefined if each is None else only_milliseconds(each) for each in values),
        rate(cell["throughput"]["output_tokens_per_s"]),
        percent(cell["load"]),
        percent(cell["utilisation"]["kv_cache"]),
        NOTHING if cost is None else f"{cost:,.2f}",
        _verdict(cell),
    ]


def _verdict(cell: dict[str, Any]) -> str:
    if not cell["steady"]:
        return "no steady state"
    if not cell["objectives"]:
        return NOTHING
    missed = sum(not each["met"] for each in cell["objectives"])
    if missed:
        return f"{missed} of {len(cell['objectives'])} missed"
    return "met" if all(each["sure"] for each in cell["objectives"]) else "met, not sure"
