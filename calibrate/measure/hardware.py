"""What the device can do at best: matrix products, memory, disk, copies from the host."""

from __future__ import annotations

import os
import tempfile
from functools import partial
from typing import TYPE_CHECKING

import torch

from calibrate.compression.base import why_not
from calibrate.measure.clock import Repeats, Timing, in_turns, stopwatch
from calibrate.measure.hardware_records import BytesRecord, MatmulRecord
from planner.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from planner.catalog.devices import PeakDtype

_DTYPES: dict[PeakDtype, torch.dtype] = {
    "fp32": torch.float32,
    "bf16": torch.bfloat16,
    "fp16": torch.float16,
    "int8": torch.int8,
    "fp8": torch.float8_e4m3fn,
}


def device_named(name: str) -> torch.device:
    """Return the device called `name`, as ``cpu`` or ``cuda:1``.

    Raises
    ------
    InputError
        If this machine has none of that name.
    """
    try:
        found = torch.device(name)
        torch.empty(0, device=found)
    except (RuntimeError, AssertionError):
        found = None
    if found is None or found.type not in {"cpu", "cuda"}:
        raise InputError(f"must be a device of this machine, cpu or cuda, got {name!r:.40}")
    return found


def use_threads(threads: int) -> None:
    """Compute with so many threads on a CPU from now on.

    Raises
    ------
    InputError
        If the machine has fewer cores: threads that wait for one another measure nothing.
    """
    cores = os.cpu_count() or 1
    if not 1 <= threads <= cores:
        raise InputError(
            f"--threads: must be 1 to {cores}, the cores of this machine, got {threads}"
        )
    torch.set_num_threads(threads)


def timer(device: torch.device) -> Callable[[Callable[[], object]], float]:
    """Return what runs an action on `device` and returns the seconds that it takes.

    On a GPU, idle before, they pass between two events of its stream; waiting for kernels to be
    launched counts, as it does in serving. On a CPU they are those of its monotonic clock.
    """
    return partial(_between_events, device) if device.type == "cuda" else stopwatch


def _between_events(device: torch.device, action: Callable[[], object]) -> float:
    stream = torch.cuda.current_stream(device)
    first, last = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    torch.cuda.synchronize(device)
    first.record(stream)
    action()
    last.record(stream)
    last.synchronize()
    return float(first.elapsed_time(last)) / 1e3  # of milliseconds


def _timed(run: Callable[[], object], device: torch.device, repeats: Repeats) -> Timing:
    return in_turns({"": partial(timer(device), run)}, repeats)[""]


def matmul_product(dtype: PeakDtype, size: int, device: torch.device) -> Callable[[], object] | str:
    """Return what multiplies two square matrices once, or why the device cannot."""
    kind = _DTYPES.get(dtype)
    if kind is None:
        return f"no product of {dtype} in torch"
    if dtype == "int8":
        left = torch.randint(-9, 9, (size, size), device=device, dtype=torch.int8)
        right = torch.randint(-9, 9, (size, size), device=device, dtype=torch.int8).t()

        def run() -> object:
            return torch._int_mm(left, right)  # noqa: SLF001 - torch's only product of int8

    elif dtype == "fp8":
        a = torch.randn(size, size, device=device).to(kind)
        b = torch.randn(size, size, device=device).to(kind).t()
        one = torch.ones((), device=device)

        def run() -> object:
            return torch._scaled_mm(a, b, one, one, out_dtype=torch.bfloat16)  # noqa: SLF001

    else:
        x, y = (torch.randn(size, size, device=device).to(kind) for _ in range(2))

        def run() -> object:  # as a linear layer has them; a kernel may be slow for other layouts
            return x @ y.t()

    return why_not(run) or run


def measure_matmul(
    dtype: PeakDtype, size: int, device: torch.device, repeats: Repeats
) -> MatmulRecord | str:
    """Return the time of one product of square matrices, or why the device cannot."""
    run = matmul_product(dtype, size, device)
    if isinstance(run, str):
        return run
    timing = _timed(run, device, repeats)
    return MatmulRecord(dtype=dtype, size=size, **vars(timing))


def measure_memory_bandwidth(device: torch.device, size: int, repeats: Repeats) -> BytesRecord:
    """Return the time of reading `size` bytes of the device's memory, as a sum over them."""
    data = torch.ones(size // 4, dtype=torch.float32, device=device)
    timing = _timed(data.sum, device, repeats)
    return BytesRecord(what="memory", size=size, **vars(timing))


def measure_host_to_device(device: torch.device, size: int, repeats: Repeats) -> BytesRecord:
    """Return the time of copying `size` bytes to the device; on a CPU, within memory."""
    host = torch.empty(size, dtype=torch.uint8).fill_(1)
    if device.type == "cuda":
        host = host.pin_memory()
    there = torch.empty(size, dtype=torch.uint8, device=device)
    timing = _timed(lambda: there.copy_(host, non_blocking=True), device, repeats)
    return BytesRecord(what="host_to_device", size=size, **vars(timing))


def measure_disk(folder: Path, size: int, repeats: Repeats) -> BytesRecord:
    """Return the time of reading `size` bytes of a new file that no cache holds.

    The system is asked to forget the file before each reading. It has no name, so that nothing is
    left of it whatever happens.
    """
    with tempfile.TemporaryFile(buffering=0, dir=folder) as file:  # has no name: no kill leaves it
        for block in _blocks(size):
            file.write(block)
        os.fsync(file.fileno())
        timing = in_turns({"": lambda: _read_cold(file.fileno())}, repeats)[""]
    return BytesRecord(what="disk", size=size, **vars(timing))


def _blocks(size: int, block: int = 2**22) -> Iterator[bytes]:
    for start in range(0, size, block):
        yield os.urandom(min(block, size - start))


def _read_cold(file: int) -> float:
    """Return the seconds of reading all of an open file that no cache holds any more."""
    os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
    os.lseek(file, 0, os.SEEK_SET)
    buffer = bytearray(2**22)

    def read() -> None:
        while os.readv(file, [buffer]):
            pass

    return stopwatch(read)
