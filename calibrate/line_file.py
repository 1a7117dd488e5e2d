"""A file of lines that one process appends to, each line on the disk whole or not at all."""

from __future__ import annotations

import fcntl
import os
import stat
from typing import TYPE_CHECKING

from planner.errors import InputError, PlannerError, Problem

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


class LineFile:
    """An open file, locked for this process; made if it is not there.

    Parameters
    ----------
    path : Path
        The file.
    failed : callable
        Returns what to raise when the system refuses to open or to write.
    synced : bool
        Whether a line is on the disk when :meth:`append` returns; else with the system.

    Raises
    ------
    InputError
        If another process has it open, it is no regular file, or it cannot be opened.
    """

    def __init__(
        self, path: Path, failed: Callable[[OSError], PlannerError], *, synced: bool
    ) -> None:
        self._path, self._failed, self._synced = path, failed, synced
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        except OSError as error:
            raise failed(error) from error
        try:
            self._lock()
        except BaseException:
            self.close()
            raise

    @property
    def size(self) -> int:
        """Bytes that it holds."""
        return os.fstat(self._file).st_size

    def start(self, most: int) -> bytes:
        """Return the first `most` bytes, or all where there are fewer."""
        return os.pread(self._file, most, 0)

    def cut(self, size: int) -> None:
        """Keep the first `size` bytes, without a line that a killed run left."""
        os.ftruncate(self._file, size)

    def append(self, line: bytes) -> None:
        """Write `line` and an end of line.

        Raises
        ------
        InputError
            If it cannot be written; the file then ends with the line before.
        """
        size, line = self.size, line + b"\n"
        try:
            written = os.write(self._file, line)
            if written < len(line):  # the disk took a part; the rest gives the reason
                os.write(self._file, line[written:])
            if self._synced:
                os.fsync(self._file)
        except OSError as error:
            self.cut(size)
            raise self._failed(error) from error

    def close(self) -> None:
        """Close it, which unlocks it."""
        os.close(self._file)

    def _lock(self) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            message = "must be written by one process, got a second; wait for the other one"
            raise InputError(Problem(message, file=str(self._path))) from None
        if not stat.S_ISREG(os.fstat(self._file).st_mode):
            message = "must be a file, got a device or pipe; give another folder"
            raise InputError(Problem(message, file=str(self._path)))
