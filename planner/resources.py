"""Memory that is there, and a refusal before more than that is asked for."""

from __future__ import annotations

import math
from pathlib import Path

from planner.errors import InputError, Problem

_GIB = 2.0**30
#: What a process of a search takes at least, with what it imports. [B]
PROCESS_BYTES = 1.5e8
#: Where Linux says what is left: of the machine, and of the group that a container is.
_MEMINFO = Path("/proc/meminfo")
_CGROUP = Path("/sys/fs/cgroup")


def available_memory() -> float:
    """Return the bytes that can still be allocated; inf where the system does not tell.

    The smallest of what the machine has left, the limit of the container, and that of the
    process (``ulimit -v``).
    """
    return min(_machine(), _container(), _process())


def require_memory(needed: float, what: str, path: str) -> None:
    """Refuse what does not fit into memory, before it is allocated.

    Parameters
    ----------
    needed : float
        Bytes.
    what : str
        What takes them, as ``3,000,000 requests``, and what to do, after a semicolon.
    path : str
        Key that decides it.

    Raises
    ------
    InputError
        If `needed` is more than :func:`available_memory`.
    """
    there = available_memory()
    if needed > there:
        message = f"must fit into memory, {there / _GIB:.3g} GiB, got {needed / _GIB:.3g} GiB"
        raise InputError(Problem(f"{message} for {what}", path))


def require_processes(jobs: int) -> None:
    """Refuse more processes than memory holds, before they are started.

    Raises
    ------
    InputError
        If so many would take more than :func:`available_memory`.
    """
    needed, there = jobs * PROCESS_BYTES, available_memory()
    if needed > there:
        message = (
            f"must fit into memory, {there / _GIB:.3g} GiB, got {jobs:,} processes of at least "
            f"{PROCESS_BYTES / _GIB:.2g} GiB; ask for fewer, more than the cores bring nothing"
        )
        raise InputError(Problem(message, file="--jobs"))


def _machine() -> float:
    """Return what Linux can give without swapping [B]."""
    try:
        for line in _MEMINFO.read_text(encoding="ascii").splitlines():
            name, _, rest = line.partition(":")
            if name == "MemAvailable":
                return float(rest.split()[0]) * 1024
    except (OSError, ValueError, IndexError):
        pass
    return math.inf


def _container() -> float:
    """Return what is left below the limit of the control group [B]."""
    try:
        limit = float((_CGROUP / "memory.max").read_text(encoding="ascii"))
        return limit - float((_CGROUP / "memory.current").read_text(encoding="ascii"))
    except (OSError, ValueError):  # no control groups, or "max"
        return math.inf


def _process() -> float:
    """Return what is left of the address space that the process may have [B]."""
    try:
        import resource  # noqa: PLC0415 - not on Windows

        limit = resource.getrlimit(resource.RLIMIT_AS)[0]
        if limit == resource.RLIM_INFINITY:
            return math.inf
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
        return float(limit - pages * resource.getpagesize())
    except (ImportError, OSError, ValueError):
        return math.inf
