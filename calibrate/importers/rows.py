"""Canonical rows: one measured request each, whatever tool measured it.

Definitions, those of the glossary: ``ttft`` is the first token minus the arrival, ``e2e`` the last
token minus the arrival, ``tpot`` is ``(e2e - ttft)/(output_tokens - 1)``. The arrival is the
moment at which the client sent the request.
"""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Iterator

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

#: Columns of the CSV, in order.
COLUMNS = ("run", "arrival_s", "prompt_tokens", "output_tokens", "ttft_s", "e2e_s", "ok")
#: What a run is called that has no name.
RUN = "run"
#: Rows formatted at a time.
CHUNK = 10_000


@dataclass(frozen=True)
class RequestRows:
    """Measured requests, by run and arrival; made by :mod:`calibrate.importers.checks`.

    Parameters
    ----------
    arrival_s : array of float
        When the client sent the request, since the start of its run, >= 0, non-decreasing within
        a run; NaN where the tool did not record it. Shape ``(n,)``. [s]
    ttft_s : array of float
        First token minus arrival; NaN where the request failed or was not streamed. Shape
        ``(n,)``. [s]
    e2e_s : array of float
        Last token minus arrival, >= ``ttft_s``; NaN where the request failed. Shape ``(n,)``. [s]
    prompt_tokens : array of int
        Shape ``(n,)``; 0 where not known. [tokens]
    output_tokens : array of int
        Shape ``(n,)``; >= 1 where ``ok``, 0 where the request failed. [tokens]
    ok : array of bool
        Whether the request was answered in full. Shape ``(n,)``.
    run : array of int
        Index into `run_names` of the run that the request belongs to; each run has its own clock
        and starts with an idle server. Shape ``(n,)``.
    run_names : tuple of str
        Names of the runs, each once.
    """

    arrival_s: FloatArray
    ttft_s: FloatArray
    e2e_s: FloatArray
    prompt_tokens: IntArray
    output_tokens: IntArray
    ok: BoolArray
    run: IntArray
    run_names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.ok)

    @property
    def tpot_s(self) -> FloatArray:
        """Mean time per output token after the first, NaN for one token, shape ``(n,)`` [s]."""
        gaps = np.where(self.output_tokens > 1, self.output_tokens - 1, np.nan)
        return np.asarray((self.e2e_s - self.ttft_s) / gaps, np.float64)

    def select(self, keep: BoolArray) -> RequestRows:
        """Return the rows where `keep`, shape ``(n,)``, is true; the runs stay the same."""
        return RequestRows(
            self.arrival_s[keep],
            self.ttft_s[keep],
            self.e2e_s[keep],
            self.prompt_tokens[keep],
            self.output_tokens[keep],
            self.ok[keep],
            self.run[keep],
            self.run_names,
        )

    def of_run(self, name: str) -> RequestRows:
        """Return the rows of one run, as the only run there is.

        Raises
        ------
        KeyError
            If there is no such run.
        """
        if name not in self.run_names:
            raise KeyError(name)
        rows = self.select(self.run == self.run_names.index(name))
        return RequestRows(
            rows.arrival_s,
            rows.ttft_s,
            rows.e2e_s,
            rows.prompt_tokens,
            rows.output_tokens,
            rows.ok,
            np.zeros(len(rows), np.int64),
            (name,),
        )

    def csv_chunks(self) -> Iterator[str]:
        """Yield the rows as CSV with the header :data:`COLUMNS`; what is not known is empty.

        Times have nine decimals. A failed request has no times and 0 output tokens, so that a
        scenario which replays the file as a trace leaves it out and says so.
        """
        yield ",".join(COLUMNS) + "\n"
        names = [_quoted(name) for name in self.run_names]
        for start in range(0, len(self), CHUNK):
            part = slice(start, start + CHUNK)
            columns = (
                self.run, self.arrival_s, self.prompt_tokens, self.output_tokens,
                self.ttft_s, self.e2e_s, self.ok,
            )  # fmt: skip
            yield "".join(
                f"{names[run]},{_time(arrival)},{prompt},{output},{_time(ttft)},{_time(e2e)},{ok:d}\n"
                for run, arrival, prompt, output, ttft, e2e, ok in zip(
                    *(each[part].tolist() for each in columns), strict=True
                )
            )


def _time(seconds: float) -> str:
    return "" if seconds != seconds else f"{seconds:.9f}"  # noqa: PLR0124 - NaN


def _quoted(name: str) -> str:
    """Return `name` as a cell of CSV."""
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow([name])
    return line.getvalue()
