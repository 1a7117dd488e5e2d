"""``planner plan --out DIR``: the plan's files, and its JSON."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from planner.errors import InputError
from planner.report.files import TOOL
from planner.report.json import indented

if TYPE_CHECKING:
    from collections.abc import Mapping

    from planner.planning.result import Plan

#: Evaluations, added to by every search; the plan; how it was made. The last marks the folder.
STORE, PLAN, MARK = "evaluations.jsonl", "plan.json", "search.json"


def plan_json(plan: Plan) -> str:
    """Return the plan as indented JSON in ASCII with a final newline, keys in their fixed order.

    Raises
    ------
    ValueError
        If a number is not finite: JSON has none, undefined values are null.
    """
    return indented(plan.to_json())


def check_folder(folder: Path, *, force: bool = False) -> None:
    """Make `folder` ready for a search: new, empty, or that of an earlier one.

    Raises
    ------
    InputError
        If it is a file, cannot be written, or holds something else and `force` is false.
    """
    try:
        if folder.exists() and not folder.is_dir():
            raise InputError(f"--out: must be a folder, got the file {str(folder)!r}")
        folder.mkdir(parents=True, exist_ok=True)
        others = [each for each in folder.iterdir() if each.name not in {STORE, PLAN, MARK}]
        if others and not force and not _is_ours(folder):
            raise InputError(
                "--out: must be a new or empty folder, or one of an earlier search, got "
                f"{str(folder)!r} with other files in it; choose another or add --force"
            )
        _write(folder / MARK, {"tool": TOOL, "kind": "plan"})
    except OSError as error:
        raise _unwritable(folder, error) from error


def write_folder(folder: Path, plan: Plan, *, versions: Mapping[str, str]) -> None:
    """Write the plan and how it was made; each file whole or not at all.

    Raises
    ------
    InputError
        If the folder cannot be written.
    """
    made = {
        "tool": TOOL,
        "kind": "plan",
        "tool_version": plan.context.tool_version,
        "command": plan.context.command,
        "seed": plan.context.seed,
        "versions": dict(versions),
    }
    try:
        _replace(folder / PLAN, plan_json(plan))
        _write(folder / MARK, made)
    except OSError as error:
        raise _unwritable(folder, error) from error


def _is_ours(folder: Path) -> bool:
    try:
        made = json.loads((folder / MARK).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(made, dict) and made.get("tool") == TOOL


def _write(path: Path, content: Mapping[str, Any]) -> None:
    _replace(path, json.dumps(content, indent=2) + "\n")


def _replace(path: Path, text: str) -> None:
    """Write beside the file and move into place."""
    with tempfile.NamedTemporaryFile(
        "w", dir=path.parent, prefix=f".{path.name}.", delete=False, encoding="utf-8", newline="\n"
    ) as partial:
        try:
            partial.write(text)
            partial.close()
            Path(partial.name).chmod(0o644)
            Path(partial.name).replace(path)
        except BaseException:
            Path(partial.name).unlink(missing_ok=True)
            raise


def _unwritable(folder: Path, error: OSError) -> InputError:
    return InputError(
        f"--out: must be a folder that can be written, got {str(folder)!r}: "
        f"{error.strerror or error}; free space or choose another"
    )
