"""A file written whole or not at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from planner.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable


def write_whole(path: Path, data: bytes | Iterable[bytes], option: str) -> None:
    """Write `data` to `path`: beside it first, then moved into place.

    Parameters
    ----------
    path : Path
        The file; its folder is made if it is not there.
    data : bytes, or iterable of bytes
        All of it, or piece by piece.
    option : str
        That named the file, for the message.

    Raises
    ------
    InputError
        If it cannot be written; what was there is left as it was.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        partial = Path(name)
        try:
            with os.fdopen(file, "wb") as out:
                out.writelines([data] if isinstance(data, bytes) else data)
            partial.chmod(0o644)  # mkstemp keeps others out
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
    except OSError as error:
        raise InputError(
            f"{option}: must be a file that can be written, got {str(path)!r}: "
            f"{error.strerror or error}; nothing was written, free space or choose another"
        ) from error
