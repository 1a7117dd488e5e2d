"""The evaluations of searches, by candidate, and the files of them in the user's cache."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from planner.planning.kept import Kept

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Name of the file in a folder.
FILE = "evaluations.jsonl"
#: Most that the files in the user's cache hold together [bytes].
MOST_BYTES = 256 * 2**20
#: Those that no search has used for so long are dropped [s].
MOST_AGE_S = 90 * 86_400.0


class Store:
    """Evaluations by key: those of a file, and those that are added to it.

    Each line is one evaluation, a JSON object with its ``key``, ``candidate`` and ``value``. The
    key is a digest of everything that the value depends on (traffic, objectives, coefficients,
    limits, replicas, program), so that a line is right for ever or never asked for.

    Parameters
    ----------
    path : Path
        The file, made where there is none.
    read : bool
        Whether to use what is in it.

    Raises
    ------
    InputError
        If it cannot be read or written.
    """

    def __init__(self, path: Path, *, read: bool = True) -> None:
        self.path = path
        self._by_candidate: dict[str, dict[str, Any]] = {}
        self._keys: set[str] = set()
        self._kept = Kept(path)
        self._kept.add(())
        for row in self._kept.rows() if read else ():
            self._remember(row["key"], row["candidate"], row["value"])
        self.reused = len(self._keys)

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
        new = [row for key, row in rows.items() if key not in self._keys]
        for row in new:
            self._remember(row["key"], row["candidate"], row["value"])
        if new:
            self._kept.add(new)


def cache_folder() -> Path:
    """Return the user's cache, where searches without a folder of their own keep what they do."""
    cache = os.environ.get("XDG_CACHE_HOME")  # empty is as good as not set, says its specification
    return (Path(cache) if cache else Path.home() / ".cache") / "latency-planner"


def cached(traffic: str, *, most_bytes: int = MOST_BYTES, most_age_s: float = MOST_AGE_S) -> Path:
    """Return the file in the user's cache of all searches for some traffic.

    Makes room first: files that were not used for long, and then those that were used longest
    ago, are dropped whole, until the others are small enough together.

    Parameters
    ----------
    traffic : str
        Digest of the traffic.
    most_bytes, most_age_s : int, float
        Of all files, and since a file was used last. [bytes], [s]
    """
    folder = cache_folder()
    own = folder / f"evaluations-{traffic[:16]}.jsonl"
    with suppress(OSError):  # there is none yet, or the store will say why it cannot be used
        os.utime(own)
    used = {}
    for path in folder.glob("evaluations*.jsonl"):
        with suppress(OSError):  # another search dropped it
            found = path.stat()
            used[path] = (found.st_mtime, found.st_size)
    room = most_bytes
    for path, (last, size) in sorted(used.items(), key=lambda each: each[1], reverse=True):
        room -= size
        if room < 0 or time.time() - last > most_age_s:
            with suppress(OSError):
                path.unlink()
    return own
