"""Data files of the catalogue: JSON with a schema version, read safely."""

from __future__ import annotations

import json
from importlib import resources
from typing import TYPE_CHECKING, Any

from planner.errors import InputError, Problem

if TYPE_CHECKING:
    from pathlib import Path

    from pydantic import ValidationError

#: Larger files than this are refused before they are read. [B]
MAX_BYTES = 1_000_000


def packaged_names(folder: str) -> set[str]:
    """Return the names, without ``.json``, of the data files in a folder of the catalogue."""
    files = resources.files("planner.catalog").joinpath(folder).iterdir()
    return {each.name.removesuffix(".json") for each in files if each.name.endswith(".json")}


def packaged(name: str) -> dict[str, Any]:
    """Return the content of a file in ``planner/catalog``, e.g. ``data/devices.json``."""
    text = resources.files("planner.catalog").joinpath(name).read_text(encoding="utf-8")
    content: dict[str, Any] = json.loads(text)
    return content


def read_json(path: Path, what: str) -> dict[str, Any]:
    """Return the JSON object in the file at `path`.

    Parameters
    ----------
    path : Path
        File of at most :data:`MAX_BYTES`.
    what : str
        What it should be, for the messages, e.g. ``a profile``.

    Raises
    ------
    InputError
        If it cannot be read, is too large, is not JSON or holds no object.
    """
    try:
        if path.exists() and not (path.is_file() or path.is_dir()):  # a pipe may never answer
            raise InputError(Problem(f"must be {what}, got a device or pipe", file=str(path)))
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise InputError(Problem(f"must be {what}, got {error.strerror}", file=str(path))) from None
    if len(raw) > MAX_BYTES:
        raise InputError(
            Problem(f"must be {what} of at most {MAX_BYTES:,} bytes, got more", file=str(path))
        )
    try:
        content = json.loads(raw.decode("utf-8-sig"), parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        raise InputError(
            Problem(
                f"must be {what} in JSON: {error.msg}", "", str(path), error.lineno, error.colno
            )
        ) from None
    except (ValueError, RecursionError) as error:
        raise InputError(Problem(f"must be {what} in JSON: {error}", file=str(path))) from None
    if not isinstance(content, dict):
        got = type(content).__name__
        raise InputError(Problem(f"must be {what}, a JSON object, got {got}", file=str(path)))
    return content


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is no number of JSON")


def problems_of(error: ValidationError, file: str) -> list[Problem]:
    """Return a problem with key path for each error of validating the content of `file`."""
    problems: list[Problem] = []
    for details in error.errors(include_url=False):
        path = ".".join(str(step) for step in details["loc"])
        broken = details.get("ctx", {}).get("broken", ())
        problems += [
            Problem(each.message, f"{path}.{each.key}".lstrip("."), file) for each in broken
        ]
        if not broken:
            problems.append(Problem(_message(details["msg"], details["input"]), path, file))
    return problems


def _message(message: str, value: object) -> str:
    message = message.removeprefix("Value error, ")
    if message.startswith("must "):
        return message
    text = repr(value)
    return f"must be valid, got {text if len(text) <= 60 else text[:57] + '...'}: {message}"
