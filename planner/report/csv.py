"""Requests as CSV, formatted column by column: a million rows in seconds.

Every column is turned into a matrix of characters at once; characters that a row does not need
are zero and dropped when the columns are joined.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from planner.results.records import PARTS, STATUS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy.typing as npt

    from planner.results.records import FloatArray, IntArray, Records

    Bytes = npt.NDArray[np.uint8]

#: Rows formatted at once: few enough to stay in the cache.
CHUNK = 4_096
#: Columns, in order. Times count from the start of the simulation; parts add up to the latency.
COLUMNS = (
    "replication", "request", "class", "status", "replica",
    "arrival_s", "admitted_s", "first_token_s", "finished_s",
    "prompt_tokens", "output_tokens", "preemptions", "retries",
    *(f"ttft_{part}_s" for part in PARTS), *(f"e2e_{part}_s" for part in PARTS),
)  # fmt: skip
#: Digits behind the point: nanoseconds.
DECIMALS = 9

_TRIPLES = np.frombuffer("".join(f"{k:03d}" for k in range(1000)).encode(), np.uint8).reshape(-1, 3)


def csv_chunks(records: Sequence[Records]) -> Iterator[bytes]:
    """Yield the CSV of all requests that arrived, header first.

    A time that did not happen is empty. A closed loop's request that was never issued is no row.

    Parameters
    ----------
    records : sequence of Records
        One per replication.
    """
    yield (",".join(COLUMNS) + "\n").encode()
    for replication, record in enumerate(records):
        arrived = np.flatnonzero(np.isfinite(record.arrival_s))
        for start in range(0, len(arrived), CHUNK):
            yield _rows(replication, record, arrived[start : start + CHUNK])


def _rows(replication: int, record: Records, rows: IntArray) -> bytes:
    """Return the lines of `rows` of a replication."""
    n = len(rows)
    columns = [
        integers(np.full(n, replication)),
        integers(rows),
        _words(record.class_names, record.class_id[rows]),
        _words(STATUS, record.status[rows]),
        integers(record.replica[rows]),
    ]
    times = (record.arrival_s, record.admitted_s, record.first_token_s, record.finished_s)
    columns += [decimals(each[rows]) for each in times]
    whole = (record.prompt_tokens, record.output_tokens, record.preemptions, record.retries)
    columns += [integers(each[rows]) for each in whole]
    for parts in (record.parts_first[rows], record.parts_end[rows]):
        columns += [decimals(parts[:, k]) for k in range(len(PARTS))]
    comma, newline = (np.full((n, 1), ord(each), np.uint8) for each in ",\n")
    pieces = [piece for column in columns for piece in (column, comma)]
    text = np.concatenate([*pieces[:-1], newline], axis=1).ravel()
    line: bytes = text[text != 0].tobytes()
    return line


def integers(values: npt.ArrayLike) -> Bytes:
    """Return integers as characters, shape ``(n, width)``; zero where a number is shorter."""
    numbers = np.asarray(values, dtype=np.int64)
    size = np.abs(numbers)
    groups = max(1, -(-len(str(int(size.max(initial=0)))) // 3))
    text = np.zeros((len(numbers), 1 + 3 * groups), np.uint8)
    text[:, 0] = np.where(numbers < 0, ord("-"), 0)
    for group in range(groups - 1, -1, -1):
        text[:, 1 + 3 * group : 4 + 3 * group] = _TRIPLES[size % 1000]
        size //= 1000
    digits = text[:, 1:]
    leading = np.logical_and.accumulate(digits == ord("0"), axis=1)
    leading[:, -1] = False
    digits[leading] = 0
    return text


def decimals(values: FloatArray) -> Bytes:
    """Return seconds with nine decimals as characters, shape ``(n, width)``; NaN is empty."""
    known = np.isfinite(values)
    scale = 10**DECIMALS
    seconds = np.where(known, values, 0.0)
    whole = np.floor(seconds)
    fraction = np.rint((seconds - whole) * scale).astype(np.int64)
    carried = fraction == scale
    fraction[carried] = 0
    text = integers(whole.astype(np.int64) + carried)
    point = np.full((len(values), 1), ord("."), np.uint8)
    groups = [_TRIPLES[fraction // 10**k % 1000] for k in range(DECIMALS - 3, -1, -3)]
    text = np.concatenate([text, point, *groups], axis=1)
    text[~known] = 0
    return text


def _words(words: Sequence[str], index: npt.NDArray[np.integer]) -> Bytes:
    """Return the word of each index as characters, quoted where CSV needs it."""
    quoted = [_quoted(word).encode() for word in words]
    width = max(map(len, quoted))
    table = np.array([list(word.ljust(width, b"\0")) for word in quoted], np.uint8)
    chosen: Bytes = table[index]
    return chosen


def _quoted(word: str) -> str:
    """Return `word` as RFC 4180 writes it."""
    return '"' + word.replace('"', '""') + '"' if set(word) & set('",\r\n') else word
