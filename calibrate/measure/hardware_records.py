"""Records of what a device can do at best, and of what goes between processes."""

from __future__ import annotations

from typing import Literal

from calibrate.measure.quantities import (
    Bytes,
    Count,
    Number,
    Seconds,
    Timed,
)
from planner.catalog.devices import PeakDtype  # noqa: TC001 - pydantic reads it


class MatmulRecord(Timed):
    """One product of two square matrices.

    Parameters
    ----------
    dtype : str
        Of both.
    size : int
        Rows and columns.
    """

    kind: Literal["matmul"] = "matmul"
    dtype: PeakDtype
    size: Count

    @property
    def key(self) -> str:
        """What tells it apart."""
        return f"matmul {self.dtype} {self.size}"

    @property
    def rate(self) -> float:
        """Operations per second, ``2 n**3 / t`` [FLOP/s]."""
        return 2 * self.size**3 / self.seconds


class BytesRecord(Timed):
    """Bytes moved in one go.

    Parameters
    ----------
    what : str
        ``memory``: read by the device from its own memory. ``disk``: read from a file that no
        cache holds. ``host_to_device``: copied from the host. ``all_reduce``: summed over
        processes. ``point_to_point``: sent from one process to another.
    size : int
        Bytes read, copied, sent, or of each process' vector. [B]
    processes : int
        That take part; 1 for what has no partner.
    backend : str
        gloo or nccl between processes, otherwise empty.
    """

    kind: Literal["bytes"] = "bytes"
    what: Literal["memory", "disk", "host_to_device", "all_reduce", "point_to_point"]
    size: Bytes
    processes: Count = 1
    backend: str = ""

    @property
    def key(self) -> str:
        """What tells it apart."""
        return f"{self.what} {self.size} B x {self.processes}"

    @property
    def rate(self) -> float:
        """Bytes per second [B/s]."""
        return self.size / self.seconds


class ParallelRecord(Timed):
    """A batch split over processes, each with the whole model, and the outputs merged.

    Parameters
    ----------
    processes : int
        P: 1 is the forward pass of the whole batch in one process.
    batch : int
        Rows of the whole batch, split evenly.
    tokens : int
        Of each row.
    forward : float
        Median of the slowest process' forward pass alone. [s]
    threads : int
        Threads of each process.
    """

    kind: Literal["parallel"] = "parallel"
    processes: Count
    batch: Count
    tokens: Count
    forward: Seconds
    threads: Number

    @property
    def key(self) -> str:
        """What tells it apart."""
        return f"parallel {self.processes}: {self.batch}x{self.tokens}"
