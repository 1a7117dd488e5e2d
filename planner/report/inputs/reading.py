"""Read what a report is made of: a folder of a run, or JSON that a command printed.

Files may come from anyone: they are plain files of bounded size, and what is in them is checked.
"""

from __future__ import annotations

import json
import os
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

from pydantic import ValidationError

from planner.errors import InputError, Problem, shown
from planner.report.inputs.calibrated import Calibrated
from planner.report.inputs.judged import Judged
from planner.report.inputs.limited import Limited
from planner.report.inputs.planned import Planned
from planner.report.inputs.simulated import Found, Simulated
from planner.report.inputs.swept import Swept
from planner.report.inputs.validated import Compared, ValidatedPoints

if TYPE_CHECKING:
    from pathlib import Path

#: Largest file that is read [B]: a hundred times what a run with many classes writes.
MOST_BYTES = 64_000_000
#: Most problems of one file that are listed.
MOST_PROBLEMS = 10
#: The result in a folder that ``--out`` wrote, by command.
RESULTS = ("summary.json", "sweep.json", "plan.json", "fit.json", "profile.json")
#: By kind: keys that only such a result has, and how it is read.
KINDS: dict[str, tuple[frozenset[str], type[Found]]] = {
    "simulate": (frozenset({"scenario", "metrics", "requests", "parts"}), Simulated),
    "plan": (frozenset({"scenario", "recommendation", "candidates"}), Planned),
    "capacity": (frozenset({"scenario", "capacity", "ends_at"}), Limited),
    "sweep": (frozenset({"scenario", "vary", "cells"}), Swept),
    "validate POINTS": (frozenset({"points", "metrics", "rows"}), ValidatedPoints),
    "validate": (frozenset({"comparisons", "facts", "tolerance"}), Compared),
    "calibrate": (frozenset({"profile", "residuals"}), Calibrated),
    "calibrate quality": (frozenset({"about", "text", "rows"}), Judged),
    "profile": (frozenset({"coefficients", "engine", "created"}), Calibrated),
}


@dataclass(frozen=True)
class Input:
    """A result, read.

    Parameters
    ----------
    kind : str
        Of which command.
    label : str
        What to call it beside others: its folder or file, without the ending.
    content : Found
        The result.
    """

    kind: str
    label: str
    content: Found


def read_input(path: Path) -> Input:
    """Return the result in a folder of a run, or in a file.

    Parameters
    ----------
    path : Path
        A folder that ``--out`` wrote, or a file with the JSON that a command printed.

    Raises
    ------
    InputError
        If there is none, it is no plain file, too large, no JSON, or of no kind that is known.
    """
    folder = path.is_dir()
    there = [path / name for name in RESULTS if os.path.lexists(path / name)] if folder else [path]
    if not there:
        rule = "must be a folder that --out wrote, or a file with the JSON that a command printed"
        raise InputError(Problem(f"{rule}; it has no {' or '.join(RESULTS)}", file=str(path)))
    file = there[0]
    label = path.resolve().name if folder else path.stem
    return input_of(_parse(file, _bytes(file, follow=not folder)), label, str(file))


def input_of(content: dict[str, Any], label: str, file: str) -> Input:
    """Return the result that JSON values are.

    Parameters
    ----------
    content : dict
        What a command printed, or would print, with ``--json``.
    label : str
        What to call it beside others.
    file : str
        Where it is from, for messages.

    Raises
    ------
    InputError
        If it is of no kind that is known, or not as a command writes it.
    """
    for kind, (keys, model) in KINDS.items():
        if keys <= content.keys():
            return Input(kind, label, _validate(model, content, file))
    known = ", ".join(KINDS)
    rule = f"must be a result of one of: {known}; got an object with other keys"
    raise InputError(Problem(f"{rule}: {shown(sorted(content)[:8])}", file=file))


def _bytes(file: Path, *, follow: bool) -> bytes:
    """Return the content of a plain file; a folder of a stranger may not point elsewhere."""
    flags = os.O_RDONLY | os.O_NONBLOCK | (0 if follow else os.O_NOFOLLOW)
    try:
        with os.fdopen(os.open(file, flags), "rb") as opened:
            if not stat.S_ISREG(os.fstat(opened.fileno()).st_mode):
                _refuse(file, "must be a plain file")
            data = opened.read(MOST_BYTES + 1)
    except OSError as error:
        link = "; it is a symbolic link" if file.is_symlink() else ""
        _refuse(file, f"must be a file that can be read, got: {error.strerror or error}{link}")
    if len(data) > MOST_BYTES:
        _refuse(file, f"must be at most {MOST_BYTES // 1_000_000} MB, got more")
    return data


def _parse(file: Path, data: bytes) -> dict[str, Any]:
    """Return the JSON object in `data`."""
    try:
        content = json.loads(data, parse_constant=_no_constant)
    except UnicodeDecodeError:
        _refuse(file, "must be JSON in UTF-8")
    except RecursionError:
        _refuse(file, "must be JSON that a command printed, got one nested too deep")
    except ValueError as error:
        _refuse(file, f"must be JSON that a command printed: {error}")
    if not isinstance(content, dict):
        _refuse(file, f"must be a JSON object, got {type(content).__name__}")
    return content


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"numbers must be finite, got {name}")


def _validate(model: type[Found], content: dict[str, Any], file: str) -> Found:
    """Return `content` as `model`, or say what is wrong with each key."""
    try:
        return model.model_validate(content)
    except ValidationError as error:
        problems = [
            Problem(
                f"must be as a command writes it: {each['msg'][:1].lower()}{each['msg'][1:]}, "
                f"got {shown(each['input'])}",
                ".".join(map(str, each["loc"])),
                file,
            )
            for each in error.errors(include_url=False)[:MOST_PROBLEMS]
        ]
        raise InputError(problems) from None


def _refuse(file: Path, message: str) -> NoReturn:
    raise InputError(Problem(message, file=str(file)))
