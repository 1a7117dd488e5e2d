"""What ``planner import`` does: reads, writes the rows, and says what was found."""

from __future__ import annotations

import dataclasses
import json
import math
from typing import TYPE_CHECKING, Any

from calibrate.importers.recognise import read_measured
from calibrate.importers.rows import COLUMNS
from planner.errors import InputError, did_you_mean
from planner.report.plain import plain
from planner.report.progress import silent
from planner.report.whole import write_whole
from planner.traffic.textfile import MAX_SIZE

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from calibrate.importers.imported import Imported, Run
    from calibrate.importers.rows import RequestRows

#: Version of the JSON; raised when a key changes its meaning or goes away.
SCHEMA_VERSION = 1
_SHOWN = ("mean", "p50", "p90", "p95", "p99")


def import_file(
    name: str,
    out: Path | None,
    *,
    run: str | None,
    max_size: float | None,
    as_json: bool,
    progress: Callable[[float], None] = silent,
) -> str:
    """Read a file, write its rows, and return what is to be printed.

    Parameters
    ----------
    name : str
        The file.
    out : pathlib.Path, optional
        Where the rows go.
    run : str, optional
        The only run to take.
    max_size : float, optional
        Most bytes of text to read. [B]
    as_json : bool
        Whether JSON is to be printed.
    progress : callable
        Called with the share that is done.

    Raises
    ------
    InputError
        If the file cannot be used, has no such run or no rows to write, or `out` cannot be
        written.
    """
    found = read_measured(name, max_size=max_size or MAX_SIZE, progress=progress)
    if run is not None:
        found = only_run(found, run)
    if out is not None:
        if found.rows is None:
            raise InputError(
                f"--out: must be left out where a file has no single requests, got {str(out)!r} "
                f"for {found.format}"
            )
        write_rows(out, found.rows)
    return as_json_text(found) if as_json else as_text(found, name, out)


def only_run(found: Imported, name: str) -> Imported:
    """Return one run of several.

    Raises
    ------
    InputError
        If there is none of that name.
    """
    runs = tuple(each for each in found.runs if each.name == name)
    if not runs:
        names = [each.name for each in found.runs]
        near = did_you_mean(name, names) or f"; it has {', '.join(map(repr, names[:12]))}"
        raise InputError(f"--run: must be a run of the file, got {name!r}{near}")
    rows = found.rows.of_run(name) if found.rows is not None else None
    return dataclasses.replace(found, runs=runs, rows=rows)


def write_rows(path: Path, rows: RequestRows) -> None:
    """Write rows as CSV, whole or not at all.

    Raises
    ------
    InputError
        If the file cannot be written; nothing is left half done.
    """
    write_whole(path, (chunk.encode() for chunk in rows.csv_chunks()), "--out")


def as_json_text(found: Imported) -> str:
    """Return what was read as JSON, with a final newline; what is not known is null."""
    document = {
        "schema_version": SCHEMA_VERSION,
        "format": found.format,
        "runs": [dataclasses.asdict(each) for each in found.runs],
        "rows": None if found.rows is None else _records(found.rows),
        "facts": dict(found.facts),
        "overrides": found.overrides(),
        "notices": [{"message": each.message, "count": each.count} for each in found.notices],
    }
    return json.dumps(document, indent=2, allow_nan=False) + "\n"


def _records(rows: RequestRows) -> list[dict[str, Any]]:
    """Return rows as objects of JSON."""
    columns = [[rows.run_names[k] for k in rows.run.tolist()]]
    columns += [[_null(value) for value in getattr(rows, key).tolist()] for key in COLUMNS[1:]]
    return [dict(zip(COLUMNS, row, strict=True)) for row in zip(*columns, strict=True)]


def _null(value: float) -> float | None:
    return None if isinstance(value, float) and math.isnan(value) else value


def as_text(found: Imported, name: str, out: Path | None) -> str:
    """Return what was read from `name`, and where its rows went, for people."""
    lines = [f"{name}: {found.format}"]
    for each in found.runs:
        lines += _run_lines(each)
    lines += [f"  {key:<24}{value}" for key, value in found.facts.items()]
    lines += [f"note: {notice}" for notice in found.notices]
    if found.rows is not None and out is not None:
        lines += _as_traffic(found.rows, out)
        if len(found.runs) > 1:
            lines.append("It has several runs, which a replay would mix: choose one with --run.")
    if found.overrides():
        lines.append("In a scenario: " + " ".join(f"--set {each}" for each in found.overrides()))
    return "".join(plain(line) + "\n" for line in lines)


def _as_traffic(rows: RequestRows, out: Path) -> list[str]:
    """Return how a scenario takes the rows in `out`: their lengths alone without arrivals."""
    written = f"Wrote {len(rows):,} requests to {out}. As traffic of a scenario"
    if not any(map(math.isnan, rows.arrival_s.tolist())):
        return [f"{written}:", f"  arrivals: {{kind: trace, path: {out}}}"]
    return [
        f"{written}, with arrivals of your own, as {{kind: poisson, rate: 5 req/s}}:",
        f"  lengths: {{kind: joint, path: {out}}}",
    ]


def _milliseconds(seconds: float) -> str:
    """Return a time in milliseconds, four digits of it where it is small."""
    value = 1e3 * seconds
    return f"{value:,.4g}" if abs(value) < 1e4 else f"{value:,.0f}"


def _run_lines(run: Run) -> list[str]:
    counts = ", ".join(f"{count:,} {what}" for what, count in run.counts.items())
    told = ", ".join(f"{key} {value}" for key, value in run.settings.items())
    lines = [" · ".join(part for part in (run.name, counts, told) if part)]
    times = {
        key: each for key, each in run.metrics.items() if key.endswith("_s") and "_per_" not in key
    }
    others = {key: each for key, each in run.metrics.items() if key not in times}
    if times:
        lines.append(f"  {'ms':<22}" + "".join(f"{each:>10}" for each in _SHOWN))
    for key, each in times.items():
        cells = (_milliseconds(each[one]) if one in each else "-" for one in _SHOWN)
        lines.append(f"  {key.removesuffix('_s'):<22}" + "".join(f"{cell:>10}" for cell in cells))
    for key, each in others.items():
        if "mean" in each:
            lines.append(f"  {key:<22}{each['mean']:>10,.5g}")
    return lines
