"""``sweep --out DIR``: the cells as they come, and the tables when all are there."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from planner import __version__
from planner.report.files import FILES, TOOL, check_directory
from planner.report.sweep import sweep_csv, sweep_json
from planner.report.whole import write_whole

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from planner.planning.sweep import Sweep


def start_sweep(
    directory: Path, *, command: str, versions: Mapping[str, str], force: bool = False
) -> None:
    """Mark `directory` as ours before the first cell is kept in it, so that a sweep can go on.

    Raises
    ------
    InputError
        If it holds something else and `force` is false, or cannot be written.
    """
    check_directory(directory, force=force)
    run = {
        "tool": TOOL,
        "tool_version": __version__,
        "command": command,
        "versions": dict(versions),
    }
    text = json.dumps(run, indent=2) + "\n"
    write_whole(directory / FILES[-1], text.encode(), "--out")


def finish_sweep(directory: Path, sweep: Sweep) -> None:
    """Write ``sweep.json`` and ``sweep.csv``, each whole or not at all.

    Raises
    ------
    InputError
        If they cannot be written.
    """
    write_whole(directory / "sweep.json", sweep_json(sweep).encode(), "--out")
    write_whole(directory / "sweep.csv", sweep_csv(sweep).encode(), "--out")
