"""Results that are kept as they come: a search that was killed goes on where it was."""

from __future__ import annotations

import hashlib
import json
import os
from typing import TYPE_CHECKING, Any

from planner.errors import InputError, Problem

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

#: Name of the file in a folder of results.
FILE = "cells.jsonl"


class Kept:
    """An append-only file of results, one JSON object a line, found by their key.

    A line is written at once and whole; one that was cut off by a crash is passed over when the
    file is read. Lines of other scenarios, or of other versions, have other keys and stay.

    Parameters
    ----------
    path : Path
        The file; made with its folder when the first result is kept.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def load(self) -> dict[str, Any]:
        """Return every result in the file by its key; of two with one key the later.

        Raises
        ------
        InputError
            If the file is there and cannot be read.
        """
        try:
            lines = self._path.read_bytes().split(b"\n")
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise self._unusable(error) from error
        found = {}
        for line in lines:
            try:
                entry = json.loads(line)
                found[str(entry["key"])] = entry["result"]
            except (ValueError, KeyError, TypeError, RecursionError):
                continue  # cut off, or not ours
        return found

    def keep(self, key: str, result: object) -> None:
        """Append a result.

        Raises
        ------
        InputError
            If the file cannot be written.
        """
        # a line end on both sides: what a crash left unfinished stays a line of its own
        line = json.dumps({"key": key, "result": result}, allow_nan=False)
        data = f"\n{line}\n".encode()
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
            try:
                while data:
                    data = data[os.write(file, data) :]
            finally:
                os.close(file)
        except OSError as error:
            raise self._unusable(error) from error

    def _unusable(self, error: OSError) -> InputError:
        message = f"must be a file of results that can be read and written, got: {error.strerror}"
        return InputError(Problem(f"{message}; choose another folder", file=str(self._path)))


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
