"""What was measured of an endpoint: a line per request, appended as it ends.

An open-loop run that was cut cannot go on: its server would start idle. So a run that did not end
is measured anew, as its next attempt, and one that did is never measured again.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from calibrate.importers.checks import RawRows, checked_rows
from calibrate.line_file import LineFile
from planner.errors import InputError, Notice, PlannerError, Problem

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

    from calibrate.endpoint.client import Answer
    from calibrate.importers.rows import RequestRows

SCHEMA_VERSION = 1
#: Larger files than this are refused before they are read. [B]
MAX_BYTES = 500_000_000


@dataclass(frozen=True)
class Sent:
    """One request of a run.

    Parameters
    ----------
    run : str
        Which run.
    attempt : int
        Which attempt at it, from 1.
    scheduled_s, arrival_s : float
        When it was to be sent and when it was, since the start of the attempt. [s]
    ttft_s, e2e_s : float or None
        As of :class:`calibrate.endpoint.client.Answer`, None where there is none. [s]
    prompt_tokens, output_tokens : int
        Counts, 0 where not known. [tokens]
    error : str
        Why it failed; empty if it did not.
    counted : bool
        Whether the server counted the tokens.
    """

    run: str
    attempt: int
    scheduled_s: float
    arrival_s: float
    ttft_s: float | None
    e2e_s: float | None
    prompt_tokens: int
    output_tokens: int
    error: str
    counted: bool

    @classmethod
    def of(cls, run: str, attempt: int, times: tuple[float, float], answer: Answer) -> Sent:
        """Return what is recorded of an answer to a request sent at the second of `times`."""
        ttft, e2e = (None if math.isnan(t) else t for t in (answer.ttft_s, answer.e2e_s))
        return cls(
            run, attempt, *times, ttft, e2e,
            answer.prompt_tokens, answer.output_tokens, answer.error, answer.counted,
        )  # fmt: skip


class EndpointJournal:
    """The file of a sweep that is being measured; a context manager.

    Parameters
    ----------
    path : Path
        File, in a folder that exists; an earlier one of the same sweep goes on.
    header : dict
        What is measured: its first line. Holds no secret.

    Raises
    ------
    InputError
        If the file is of another sweep, is none, or another process has it open.
    PlannerError
        If it cannot be written.
    """

    def __init__(self, path: Path, header: dict[str, Any]) -> None:
        self.path = path
        self.sent: list[Sent] = []
        self._ended: set[str] = set()
        self._attempts: dict[str, int] = {}
        self._file = LineFile(path, self._failed, synced=False)
        try:
            self._open({"kind": "header", "schema_version": SCHEMA_VERSION} | header)
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

    def __contains__(self, run: str) -> bool:
        return run in self._ended

    def begin(self, run: str) -> int:
        """Record that a run begins, and return which attempt at it this is."""
        attempt = self._attempts.get(run, 0) + 1
        self._attempts[run] = attempt
        self._write({"kind": "begin", "run": run, "attempt": attempt})
        return attempt

    def append(self, sent: Sent) -> None:
        """Record a request that ended."""
        self._write({"kind": "request"} | asdict(sent))
        self.sent.append(sent)

    def end(self, run: str) -> None:
        """Record that a run was measured to its end."""
        self._write({"kind": "end", "run": run})
        self._ended.add(run)

    def latest(self) -> list[Sent]:
        """Return the requests of the last attempt at each run."""
        last: dict[str, int] = {}
        for each in self.sent:
            last[each.run] = max(last.get(each.run, 0), each.attempt)
        return [each for each in self.sent if each.attempt == last[each.run]]

    def unfinished(self) -> list[str]:
        """Return the runs that have requests and did not end."""
        return [run for run in dict.fromkeys(each.run for each in self.sent) if run not in self]

    def _open(self, header: dict[str, Any]) -> None:
        size = self._file.size
        if size > MAX_BYTES:
            message = f"must hold at most {MAX_BYTES:,} bytes, got {size:,}; give another folder"
            raise InputError(Problem(message, file=str(self.path)))
        content = self._file.start(size)
        whole = content.rfind(b"\n") + 1
        self._file.cut(whole)  # a line that a killed run left unfinished
        lines = content[:whole].splitlines()
        if not lines:
            self._write(header)
            return
        if self._parsed(lines[0], 1) != json.loads(json.dumps(header)):
            message = (
                "must be continued with the options it was begun with; repeat them or give "
                "another folder"
            )
            raise InputError(Problem(message, file=str(self.path), line=1))
        for number, line in enumerate(lines[1:], 2):
            self._take(self._parsed(line, number), number)

    def _parsed(self, line: bytes, number: int) -> dict[str, Any]:
        try:
            found = json.loads(line)
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            raise self._no_record(number)
        return found

    def _take(self, record: dict[str, Any], number: int) -> None:
        """Take a line of an earlier call."""
        kind = record.pop("kind", None)
        try:
            if kind == "begin":
                self._attempts[str(record["run"])] = int(record["attempt"])
            elif kind == "end":
                self._ended.add(str(record["run"]))
            elif kind == "request":
                self.sent.append(Sent(**record))
            else:
                raise self._no_record(number)
        except (KeyError, TypeError, ValueError):
            raise self._no_record(number) from None

    def _no_record(self, number: int) -> InputError:
        message = "must be a record of a sweep, got another line; give another folder"
        return InputError(Problem(message, file=str(self.path), line=number))

    def _write(self, record: dict[str, Any]) -> None:
        self._file.append(json.dumps(record, allow_nan=False).encode())

    def _failed(self, error: OSError) -> PlannerError:
        return PlannerError(
            f"{self.path}: must be written, got {error.strerror}; what was measured is kept, the "
            "same command goes on with it"
        )


def rows_of(sent: list[Sent], name: str) -> tuple[RequestRows, list[Notice]]:
    """Return canonical rows of requests, and notices.

    Parameters
    ----------
    sent : list of Sent
        One or more.
    name : str
        Where they come from, for messages.

    Raises
    ------
    InputError
        If a record holds an impossible value.
    """
    names = tuple(dict.fromkeys(each.run for each in sent))
    number = {run: k for k, run in enumerate(names)}

    def column(key: str) -> np.ndarray[Any, np.dtype[np.float64]]:
        values = [getattr(each, key) for each in sent]
        return np.array([np.nan if each is None else each for each in values], np.float64)

    raw = RawRows(
        column("arrival_s"), column("ttft_s"), column("e2e_s"),
        column("prompt_tokens"), column("output_tokens"),
        np.array([bool(each.error) for each in sent], np.bool_),
        np.array([number[each.run] for each in sent], np.int64), names, absolute=False,
    )  # fmt: skip
    rows, notices = checked_rows(raw, lambda row, message: Problem(message, f"request {row}", name))
    uncounted = sum(not each.counted and not each.error for each in sent)
    if uncounted:
        text = "answers whose tokens the server did not count: events of the stream taken"
        notices.append(Notice(text, uncounted))
    return rows, notices
