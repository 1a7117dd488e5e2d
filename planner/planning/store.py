"""What was evaluated, kept in a file that only grows: a killed search goes on where it was."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from planner.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import TextIO

#: Name of the file in a folder.
FILE = "evaluations.jsonl"


class Store:
    """Evaluations by key: those of a file, and those that are added to it.

    Each line is one evaluation, a JSON object with its ``key``, ``candidate`` and ``value``. The
    key is a digest of everything that the value depends on (traffic, objectives, coefficients,
    limits, replicas, program), so that a line is right for ever or never asked for. A line that
    was cut short, as the last one of a process that was killed, is skipped.

    Parameters
    ----------
    path : Path or None
        The file, made where there is none; None keeps everything in memory.
    read : bool
        Whether to use what is in it.

    Raises
    ------
    InputError
        If it cannot be read or written.
    """

    def __init__(self, path: Path | None, *, read: bool = True) -> None:
        self.path = path
        self.reused = 0
        self._by_candidate: dict[str, dict[str, Any]] = {}
        self._keys: set[str] = set()
        self._file: TextIO | None = None
        if path is None:
            return
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            torn = self._read(path, use=read)
            self._file = path.open("a", encoding="utf-8")
            if torn:
                self._file.write("\n")
        except OSError as error:
            raise InputError(
                f"must be a file that can be read and written, got {str(path)!r}: "
                f"{error.strerror or error}; choose another folder with --out"
            ) from error

    def _read(self, path: Path, *, use: bool) -> bool:
        """Take in the lines of the file; return whether the last one was cut short."""
        if not path.exists():
            return False
        content = path.read_bytes()
        if use:
            for line in content.splitlines():
                self._take(line)
        self.reused = len(self._keys)
        return bool(content) and not content.endswith(b"\n")

    def _take(self, line: bytes) -> None:
        try:
            row = json.loads(line)
            key, candidate, value = row["key"], row["candidate"], row["value"]
        except (ValueError, TypeError, KeyError):
            return  # cut short
        if isinstance(key, str) and isinstance(candidate, str):
            self._remember(key, candidate, value)

    def _remember(self, key: str, candidate: str, value: Any) -> None:  # noqa: ANN401 - JSON
        self._keys.add(key)
        self._by_candidate.setdefault(candidate, {})[key] = value

    def known(self, candidate: str) -> Mapping[str, Any]:
        """Return the evaluations of a candidate, by key."""
        return self._by_candidate.get(candidate, {})

    def __len__(self) -> int:
        return len(self._keys)

    def add(self, rows: Mapping[str, Mapping[str, Any]]) -> None:
        """Keep evaluations; those that are there already are left alone.

        Raises
        ------
        InputError
            If they cannot be written.
        """
        lines = []
        for key, row in rows.items():
            if key not in self._keys:
                self._remember(key, row["candidate"], row["value"])
                lines.append(json.dumps(row, separators=(",", ":")) + "\n")
        if self._file is None or not lines:
            return
        try:
            self._file.write("".join(lines))
            self._file.flush()
        except OSError as error:
            raise InputError(
                f"must be a file that can be written, got {str(self.path)!r}: "
                f"{error.strerror or error}; free space, or choose another folder with --out"
            ) from error

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None


def default_path() -> Path:
    """Return the file in the user's cache that searches without a folder of their own share."""
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    return cache / "latency-planner" / FILE
