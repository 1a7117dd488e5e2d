"""The file of measurements: only ever appended to, whole lines, on disk before it goes on."""

from __future__ import annotations

import errno
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self, TypeVar

from pydantic import TypeAdapter, ValidationError

from calibrate.line_file import LineFile
from calibrate.measure.header import SCHEMA_VERSION, Header
from calibrate.measure.records import LeftOut, Measured, Record
from planner.catalog.files import problems_of
from planner.errors import InputError, Problem

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType


#: Larger files than this are refused before they are read. [B]
MAX_BYTES = 100_000_000
#: A header is shorter than that, and begins so. [B]
MAX_HEADER, BEGINNING = 2**20, b'{"kind":"header",'
_RECORD: TypeAdapter[Record] = TypeAdapter(Record)
T = TypeVar("T")


@dataclass
class Measurements:
    """What a file of measurements holds.

    Parameters
    ----------
    header : Header
        On what and of what.
    records : dict of str to record
        By key; of what was measured twice, the first.
    torn : int
        Bytes at the end that are no whole line: of a run that was killed while it wrote. [B]
    """

    header: Header
    records: dict[str, Measured] = field(default_factory=dict)
    torn: int = 0

    def of(self, kind: type[T]) -> list[T]:
        """Return the records of one class, in the order of the file."""
        return [each for each in self.records.values() if isinstance(each, kind)]

    def left_out(self) -> list[LeftOut]:
        """Return what was left out and not measured later."""
        return [each for each in self.of(LeftOut) if each.what not in self.records]


def read_measurements(path: Path) -> Measurements:
    """Return what the file at `path` holds; a torn last line counts as not there.

    Raises
    ------
    InputError
        If it cannot be read, is of another version, or a line is no measurement.
    """
    if path.exists() and not path.is_file() and not path.is_dir():  # to open a pipe would wait
        problem = Problem("must be measurements, got a device or pipe", file=str(path))
        raise InputError(problem)
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except OSError as error:
        problem = Problem(f"must be measurements, got {error.strerror}", file=str(path))
        raise InputError(problem) from None
    if len(raw) > MAX_BYTES:
        message = f"must be measurements of at most {MAX_BYTES:,} bytes, got more"
        raise InputError(Problem(message, file=str(path)))
    whole = raw.rfind(b"\n") + 1
    lines = raw[:whole].splitlines()
    if not lines:
        raise InputError(Problem("must be measurements, got no whole line", file=str(path)))
    header = _parse(lines[0], path, 1)
    if not isinstance(header, Header):
        raise InputError(Problem("must be a header, got another record", "", str(path), 1))
    found = Measurements(header, torn=len(raw) - whole)
    for number, line in enumerate(lines[1:], start=2):
        record = _parse(line, path, number)
        if isinstance(record, Header):
            raise InputError(Problem("must be one header, got a second", "", str(path), number))
        found.records.setdefault(record.key, record)
    return found


def _parse(line: bytes, path: Path, number: int) -> Record:
    try:
        return _RECORD.validate_json(line)
    except ValidationError as error:
        problems = problems_of(error, str(path))
        version = [each for each in problems if each.path.endswith("schema_version")]
        if version:
            message = f"must be {SCHEMA_VERSION}; measure anew, or use the version that wrote it"
            version = [Problem(message, "schema_version")]
        shown = [
            Problem(each.message, each.path, str(path), number) for each in version or problems
        ]
        raise InputError(shown) from None


def refuse_if_being_written(path: Path) -> None:
    """Do nothing unless another process writes the measurements at `path`, or nobody may.

    Raises
    ------
    InputError
        If so. Nothing is written, and no file made.
    """
    if path.exists():

        def failed(error: OSError) -> InputError:
            return InputError(Problem(f"must be written, got {error.strerror}", file=str(path)))

        LineFile(path, failed, synced=False).close()


class Journal:
    """A file of measurements that is being written; a context manager.

    Opens the file of an earlier run if there is one, so that nothing is measured twice, and cuts
    off a line that a killed run left unfinished. One process at a time.

    Parameters
    ----------
    path : Path
        File, in a folder that exists.
    header : Header
        Its first line, where it is new.

    Raises
    ------
    InputError
        If the file is of another machine, model or version, another process has it open, or it
        cannot be written.
    """

    def __init__(self, path: Path, header: Header) -> None:
        self.path = path
        self.measured = Measurements(header)
        self._file = LineFile(path, self._failed, synced=True)
        try:
            self._open(header)
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._file.close()

    def __contains__(self, key: str) -> bool:
        return key in self.measured.records

    def append(self, record: Measured) -> None:
        """Write `record` as one line and return when it is on disk; do nothing if it is there.

        Raises
        ------
        InputError
            If it cannot be written; the file then ends with the line before.
        """
        if record.key in self:
            return
        self._write(record)
        self.measured.records[record.key] = record

    def _open(self, header: Header) -> None:
        size, head = self._file.size, self._file.start(MAX_HEADER)
        torn = BEGINNING.startswith(head[: len(BEGINNING)]) and size < MAX_HEADER
        if b"\n" not in head and torn:  # new, or killed while it wrote its first line
            self._file.cut(0)
            self._write(header)
            return
        self.measured = read_measurements(self.path)
        self._check(header)
        self._file.cut(size - self.measured.torn)

    def _check(self, header: Header) -> None:
        old = self.measured.header
        wrong = old.fingerprint.differences(header.fingerprint)
        for key in ("source", "shape", "base"):
            was, now = getattr(old, key), getattr(header, key)
            if was != now:
                wrong.append(f"{key}: {was!r:.60}, {now!r:.60}")
        if wrong:
            message = (
                "must be continued with the machine and model that it was begun with; was and is: "
                f"{'; '.join(wrong)}; give another folder, or what it was begun with (--threads)"
            )
            raise InputError(Problem(message, file=str(self.path)))

    def _write(self, record: Record) -> None:
        self._file.append(record.model_dump_json(exclude_defaults=False).encode())

    def _failed(self, error: OSError) -> InputError:
        full = error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
        what = "make room on the disk and " if full else ""
        kept = len(self.measured.records)
        return InputError(
            f"{self.path}: must be written, got {error.strerror}; {kept} measurements are kept; "
            f"{what}run the same command again, it goes on where it was"
        )
