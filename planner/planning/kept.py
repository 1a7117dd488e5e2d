"""Results that are kept as they come: a search or a sweep that was killed goes on where it was."""

from __future__ import annotations

import functools
import hashlib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import planner
from planner.errors import InputError, Problem

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

#: Name of the file in a folder of a sweep.
FILE = "cells.jsonl"
#: Packages whose text changes no number: they show results, or compute none that is kept.
_SHOWING = frozenset({"cli", "library", "report", "validation"})
#: How a line begins, and how many hexadecimal digits of the digest of what follows it has.
_HEAD, _DIGITS = b'{"check":"', 16


class Kept:
    """An append-only file of results, one JSON object a line, each with its ``key``.

    Lines are written at once and whole, each with a digest of itself: one that was cut off by a
    crash, or damaged since, is passed over when the file is read. Lines of other scenarios, or of
    other versions, have other keys and stay.

    Parameters
    ----------
    path : Path
        The file; made with its folder when something is added.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yield every whole line of the file.

        Raises
        ------
        InputError
            If the file is there and cannot be read.
        """
        self._refuse_pipe()
        try:
            lines = self.path.read_bytes().split(b"\n")
        except FileNotFoundError:
            return
        except OSError as error:
            raise self._unusable(error.strerror) from error
        for line in lines:
            row = _row(line)
            if row is not None:
                yield row

    def add(self, rows: Iterable[Mapping[str, object]]) -> None:
        """Append results; without any make the file, so that it is known to be writable.

        Raises
        ------
        InputError
            If the file cannot be written.
        """
        data = b"".join(_line(row) for row in rows)
        self._refuse_pipe()
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            file = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
            try:
                if data and _torn(file):  # what a crash left unfinished stays a line of its own
                    data = b"\n" + data
                while data:
                    data = data[os.write(file, data) :]
            finally:
                os.close(file)
        except OSError as error:
            raise self._unusable(error.strerror) from error

    def _refuse_pipe(self) -> None:
        """Refuse what to read would wait, or never end."""
        try:
            special = self.path.exists() and not self.path.is_file() and not self.path.is_dir()
        except OSError as error:
            raise self._unusable(error.strerror) from error
        if special:
            raise self._unusable("a device or pipe")

    def _unusable(self, got: str | None) -> InputError:
        message = f"must be a file of results that can be read and written, got: {got}"
        said = f"{message}; free space, or choose another folder with --out"
        return InputError(Problem(said, file=str(self.path)))


def _line(row: Mapping[str, object]) -> bytes:
    """Return a row as a line: a JSON object, first of all the digest of the others."""
    body = json.dumps(row, separators=(",", ":"), allow_nan=False).encode()
    rest = b'",' + body[1:]
    return _HEAD + _check(rest) + rest + b"\n"


def _row(line: bytes) -> dict[str, Any] | None:
    """Return the row of a line; None where it is not, to the last byte, as it was written."""
    end = len(_HEAD) + _DIGITS
    if not line.startswith(_HEAD) or line[len(_HEAD) : end] != _check(line[end:]):
        return None
    row: dict[str, Any] = json.loads(line)
    del row["check"]
    return row


def _check(rest: bytes) -> bytes:
    return hashlib.sha256(rest).hexdigest()[:_DIGITS].encode()


def _torn(file: int) -> bool:
    """Return whether an open file ends in the middle of a line."""
    end = os.lseek(file, 0, os.SEEK_END)
    if not end:
        return False
    os.lseek(file, end - 1, os.SEEK_SET)
    return os.read(file, 1) != b"\n"


def digest(*parts: object) -> str:
    """Return a key of JSON values: the same values have the same one, others another."""
    text = json.dumps(parts, sort_keys=True, allow_nan=False, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def files_digest(texts: Iterable[str], folder: Path) -> dict[str, str]:
    """Return the digest of each file below or beside `folder` that one of `texts` names.

    A scenario names traces, profiles and configurations by their paths; what comes of it depends
    on what they hold.
    """
    found = {}
    for text in set(texts):
        try:
            if 0 < len(text) < 4096 and (folder / text).is_file():
                data = (folder / text).read_bytes()
                found[text] = hashlib.sha256(data).hexdigest()
        except (OSError, ValueError):  # no path, or one that cannot be read: the run will tell
            continue
    return found


@functools.cache
def code_digest(root: Path = Path(planner.__file__).parent) -> str:
    """Return a digest of the program's text, without what only shows results.

    What was kept by another text of it is not used: a version number does not tell of a change
    between two versions.
    """
    found = hashlib.sha256(planner.__version__.encode())
    for path in sorted(root.rglob("*.py")):
        place = path.relative_to(root)
        if place.parts[0] not in _SHOWING:
            found.update(f"\0{place.as_posix()}\0".encode())
            found.update(path.read_bytes())
    return found.hexdigest()
