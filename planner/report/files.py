"""``--out DIR``: the files of a run, written whole or not at all."""

from __future__ import annotations

import gzip
import json
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from planner.errors import InputError
from planner.report.csv import csv_chunks
from planner.report.json import dumps

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from planner.results.records import Records
    from planner.results.result import Result

#: Files of a run. The last marks a directory as ours.
FILES = ("scenario.yaml", "summary.json", "requests.csv.gz", "run.json")
#: What ``run.json`` says wrote it.
TOOL = "latency-planner"
#: Compression: beyond it gzip takes several times as long for a few per cent.
LEVEL = 1


def write_run(
    directory: Path,
    result: Result,
    records: Sequence[Records],
    *,
    scenario_text: str,
    versions: Mapping[str, str],
    force: bool = False,
) -> None:
    """Write a run to `directory`; the same run gives the same bytes.

    Everything is written beside it first and moved into place when complete. Earlier files of a
    run are replaced; other files in the directory are left alone.

    Parameters
    ----------
    directory : Path
        Made if it does not exist.
    result : Result
        Becomes ``summary.json``.
    records : sequence of Records
        Become ``requests.csv.gz``.
    scenario_text : str
        The resolved scenario as YAML.
    versions : mapping of str to str
        Versions of what computed it, for ``run.json``.
    force : bool
        Write into a directory with files that are no run of this tool.

    Raises
    ------
    InputError
        If the directory holds something else, or cannot be written; nothing is left half done.
    """
    check_directory(directory, force=force)
    run = {
        "tool": TOOL,
        "tool_version": result.context.tool_version,
        "command": result.context.command,
        "seed": result.context.seed,
        "versions": dict(versions),
    }
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=f".{directory.name}.", dir=directory.parent))
        try:
            _write_files(partial, result, records, scenario_text, run)
            _move(partial, directory)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    except OSError as error:
        raise InputError(
            f"--out: must be a directory that can be written, got {str(directory)!r}: "
            f"{error.strerror or error}; nothing was written, free space or choose another"
        ) from error


def check_directory(directory: Path, *, force: bool = False) -> None:
    """Refuse a directory that holds files which are no run of this tool.

    Call it before a long simulation, so that it does not end in a refusal.

    Raises
    ------
    InputError
        If `directory` is a file, cannot be written, or holds something else and `force` is false.
    """
    try:
        if directory.exists() and not directory.is_dir():
            raise InputError(f"--out: must be a directory, got the file {str(directory)!r}")
        there = next(each for each in (directory, *directory.absolute().parents) if each.exists())
        Path(tempfile.mkdtemp(prefix=".", dir=there)).rmdir()
        if there is not directory or force or _is_ours(directory) or not any(directory.iterdir()):
            return
    except OSError as error:
        raise InputError(
            f"--out: must be a directory that can be written, got {str(directory)!r}: "
            f"{error.strerror}"
        ) from error
    raise InputError(
        f"--out: must be a new or empty directory, or one that an earlier run wrote, got "
        f"{str(directory)!r} with other files in it; choose another or add --force"
    )


def _is_ours(directory: Path) -> bool:
    """Return whether an earlier run was written to `directory`."""
    try:
        run = json.loads((directory / FILES[-1]).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(run, dict) and run.get("tool") == TOOL


def _write_files(
    into: Path,
    result: Result,
    records: Sequence[Records],
    scenario_text: str,
    run: Mapping[str, Any],
) -> None:
    """Write the files of a run."""
    (into / "scenario.yaml").write_text(scenario_text, encoding="utf-8", newline="\n")
    (into / "summary.json").write_text(dumps(result), encoding="utf-8", newline="\n")
    with (
        (into / "requests.csv.gz").open("wb") as raw,
        gzip.GzipFile("", "wb", LEVEL, raw, mtime=0) as packed,
    ):
        for chunk in csv_chunks(records):
            packed.write(chunk)
    text = json.dumps(run, indent=2) + "\n"
    (into / "run.json").write_text(text, encoding="utf-8", newline="\n")


def _move(partial: Path, directory: Path) -> None:
    """Move complete files into place: the whole directory if it is new, else file by file."""
    if not directory.exists():
        partial.chmod(0o755)  # mkdtemp keeps others out
        partial.rename(directory)
        return
    for name in FILES:
        (partial / name).replace(directory / name)
