"""Text files as users have them: plain or gzipped, with a limit on what they unpack to.

A file's type is told by its content, not its name. Lines are streamed, so that memory is bounded
by the longest line, and a small archive that unpacks to terabytes stops at the limit.
"""

from __future__ import annotations

import gzip
import io
import zlib
from contextlib import contextmanager
from typing import TYPE_CHECKING, NoReturn

from planner.errors import InputError, Problem, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from typing import BinaryIO

    Progress = Callable[[float], None]

#: Most bytes of text read unless a caller raises it: about ten million requests.
MAX_SIZE = 256 * 2.0**20
#: Longest line, in characters.
MAX_LINE = 2**20

_FOREIGN = {
    b"PK\x03\x04": "a zip archive (or a spreadsheet)",
    b"PAR1": "a Parquet file",
    b"\x28\xb5\x2f\xfd": "a zstd archive",
    b"\xfd7zXZ": "an xz archive",
    b"BZh": "a bzip2 archive",
    b"\xff\xfe": "UTF-16 text",
    b"\xfe\xff": "UTF-16 text",
    b"%PDF": "a PDF file",
}


def _silent(share: float) -> None:
    """Show nothing of a share that is read."""


class _Capped(io.RawIOBase):
    """Bytes of `source` up to `limit`, then an error; `tell` is called as they are read."""

    def __init__(
        self,
        source: BinaryIO | gzip.GzipFile,
        name: str,
        limit: float,
        tell: Callable[[], None],
    ) -> None:
        self._source, self._name, self._limit, self._tell = source, name, limit, tell
        self._seen = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        data = self._source.read(len(buffer))
        self._seen += len(data)
        if self._seen > self._limit:
            raise InputError(Problem(_too_large(self._limit), file=self._name))
        buffer[: len(data)] = data
        self._tell()
        return len(data)


def _too_large(limit: float) -> str:
    return (
        f"must hold at most {limit / 2**20:,.0f} MiB of text once unpacked, got more; "
        "cut the file, or raise max_size (memory grows to about three times the text)"
    )


class Lines:
    """The lines of a text, ends included, counted in ``number`` while they are read."""

    def __init__(self, text: io.TextIOWrapper, name: str) -> None:
        self._text, self.name = text, name
        self.number = 0

    def __iter__(self) -> Iterator[str]:
        while line := self._text.readline(MAX_LINE):
            self.number += 1
            if len(line) == MAX_LINE:
                advice = "; `planner import` reads the JSON of load generators"
                self.fail(
                    f"must have lines of less than {MAX_LINE:,} characters, got a longer one"
                    f"{advice if line.startswith('{') else ''}"
                )
            if "\0" in line:
                self.fail("must be text, got a NUL byte; is it a binary file?")
            if not line.isascii():
                self._check_encoding(line)
            yield line

    def _check_encoding(self, line: str) -> None:
        """Refuse a line with bytes that are not UTF-8, which the decoder left as surrogates."""
        try:
            line.encode()
        except UnicodeEncodeError as error:
            byte = ord(line[error.start]) - 0xDC00
            self.fail(f"must be UTF-8 text, got the byte 0x{byte:02x}; convert it with iconv")

    def fail(self, message: str, line: int | None = None) -> NoReturn:
        """Raise an InputError that names the file and the line."""
        raise self.error(message, line)

    def error(self, message: str, line: int | None = None) -> InputError:
        """Return an InputError that names the file and the line, by default the current one."""
        return InputError(Problem(message, file=self.name, line=line or self.number))


@contextmanager
def open_lines(
    base: Path, name: str, max_size: float = MAX_SIZE, progress: Progress = _silent
) -> Iterator[Lines]:
    """Open a text file, gzipped or not, for reading line by line.

    Parameters
    ----------
    base : pathlib.Path
        Folder that a relative `name` starts from.
    name : str
        The file as the user named it; messages use this.
    max_size : float
        Most bytes of text. [B]
    progress : callable
        Called with the share of the file that has been read.

    Raises
    ------
    InputError
        Here or while reading: if there is no such file, it is empty, too large, binary, not
        UTF-8, or its archive is damaged.
    """
    lines: Lines | None = None
    try:
        with (
            _unpacked(base / name, name, max_size, progress) as source,
            io.TextIOWrapper(
                io.BufferedReader(source, 2**18),
                encoding="utf-8-sig",
                errors="surrogateescape",
                newline="",
            ) as text,
        ):
            lines = Lines(text, name)
            yield lines
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise _damaged(error, name, lines.number if lines else 0) from None
    except OSError as error:
        message = f"must be a readable file, got {error.strerror or error}"
        raise InputError(Problem(message, file=name)) from None


def read_text(
    base: Path, name: str, max_size: float = MAX_SIZE, progress: Progress = _silent
) -> str:
    """Return a text file, gzipped or not, as a whole; parameters and errors as of `open_lines`.

    For formats whose lines may be of any length, as a JSON document on one line.
    """
    try:
        with _unpacked(base / name, name, max_size, progress) as source:
            content = b"".join(iter(lambda: source.read(2**20), b""))
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise _damaged(error, name, 0) from None
    except OSError as error:
        message = f"must be a readable file, got {error.strerror or error}"
        raise InputError(Problem(message, file=name)) from None
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        message = (
            f"must be UTF-8 text, got the byte 0x{content[error.start]:02x}; convert it with iconv"
        )
        raise InputError(Problem(message, file=name, line=line)) from None
    if "\0" in text:
        message = "must be text, got a NUL byte; is it a binary file?"
        line = text.count("\n", 0, text.index("\0")) + 1
        raise InputError(Problem(message, file=name, line=line))
    return text


@contextmanager
def _unpacked(path: Path, name: str, max_size: float, progress: Progress) -> Iterator[_Capped]:
    """Open a regular file, unpacked where it is gzipped; whoever reads beyond the limit fails."""
    _check_kind(path, name)
    with path.open("rb") as raw:
        head = raw.read(6)
        raw.seek(0)
        _check_head(head, name)
        packed = head.startswith(b"\x1f\x8b")
        size = path.stat().st_size
        if not packed and size > max_size:
            raise InputError(Problem(_too_large(max_size), file=name))

        def tell() -> None:
            progress(min(raw.tell() / size, 1.0))

        yield _Capped(gzip.GzipFile(fileobj=raw) if packed else raw, name, max_size, tell)


def _damaged(error: Exception, name: str, line: int) -> InputError:
    message = f"must be a whole gzip archive, got a damaged one ({error}); fetch it again"
    return InputError(Problem(message, file=name, line=line))


def _check_kind(path: Path, name: str) -> None:
    if path.is_file():
        return
    if path.is_dir():
        raise InputError(Problem("must be a file, got a folder", file=name))
    if path.exists():
        raise InputError(Problem("must be a regular file, got a device or pipe", file=name))
    if path.is_symlink():
        raise InputError(Problem("must be a file, got a link that leads to none", file=name))
    folder = path.parent
    near = did_you_mean(path.name, (p.name for p in folder.iterdir())) if folder.is_dir() else ""
    raise InputError(Problem(f"must exist, got no such file in {folder}{near}", file=name))


def _check_head(head: bytes, name: str) -> None:
    if not head:
        raise InputError(Problem("must hold requests, got an empty file", file=name))
    for magic, what in _FOREIGN.items():
        if head.startswith(magic):
            message = f"must be CSV or JSON Lines in UTF-8, plain or gzipped, got {what}"
            raise InputError(Problem(message, file=name))
