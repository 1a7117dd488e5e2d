"""What is measured beside steps: the device at its best, and what goes between processes."""

from __future__ import annotations

import dataclasses
from functools import partial
from typing import TYPE_CHECKING

import torch

from calibrate.compression.quantisation import Fp8Dynamic, Int8Dynamic
from calibrate.measure.clock import Repeats
from calibrate.measure.hardware import (
    measure_disk,
    measure_host_to_device,
    measure_matmul,
    measure_memory_bandwidth,
)
from calibrate.measure.links import measure_links, measure_split
from calibrate.measure.tasks import Task
from planner.errors import PlannerError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from calibrate.compression.base import Compression
    from calibrate.measure.hardware_records import BytesRecord
    from calibrate.measure.plan import Plan
    from calibrate.measure.records import Measured
    from planner.catalog.devices import PeakDtype
    from planner.catalog.models import ModelShape

#: Data types whose peak is measured.
DTYPES: tuple[PeakDtype, ...] = ("fp32", "bf16", "fp16", "int8", "fp8")


def hardware_tasks(plan: Plan, folder: Path) -> list[Task]:
    """Return what measures the device at its best; files of a moment go into `folder`."""
    device, sizes = plan.device, plan.sizes
    repeats = dataclasses.replace(plan.repeats, seconds=1.0)
    few = dataclasses.replace(repeats, most=5, least=3)
    tasks = [
        Task((f"matmul {dtype} {size}",), partial(_matmul, dtype, size, device, repeats))
        for dtype in DTYPES
        if not _emulated(dtype, device)
        for size in sizes.matmul
    ]
    runs: list[tuple[str, int, Callable[[], BytesRecord]]] = [
        (
            "memory",
            sizes.memory,
            partial(measure_memory_bandwidth, device, sizes.memory, repeats),
        ),
        (
            "host_to_device",
            sizes.host,
            partial(measure_host_to_device, device, sizes.host, repeats),
        ),
        ("disk", sizes.disk, partial(measure_disk, folder, sizes.disk, few)),
    ]
    return tasks + [Task.one(f"{what} {size} B x 1", run) for what, size, run in runs]


def link_tasks(plan: Plan, shape: ModelShape) -> list[Task]:
    """Return what goes between processes: of GPUs one each, of a CPU one per thread."""
    cuda = plan.device.type == "cuda"
    units = torch.cuda.device_count() if cuda else torch.get_num_threads()
    sizes = plan.sizes
    repeats = Repeats(warmup=2, least=20, most=20)
    worlds = sorted({n for n in (2, 4, 8) if n <= units} | ({units} if units > 1 else set()))
    tasks = []
    for processes in worlds:
        keys = [f"all_reduce {size} B x {processes}" for size in sizes.links]
        if processes == 2:
            keys += [f"point_to_point {size} B x 2" for size in sizes.links]
        run = partial(measure_links, processes, sizes.links, repeats, cuda=cuda)
        tasks.append(Task(tuple(keys), run))
    few = Repeats(warmup=1, least=5, most=5)
    split = partial(measure_split, shape, threads=0 if cuda else 1, cuda=cuda)
    tasks += [
        Task.one(
            f"parallel {processes}: {batch}x{tokens}",
            partial(split, processes, batch, tokens, few),
        )
        for processes in [1, *worlds]
        for batch, tokens in sizes.split
        if batch % processes == 0
    ]
    return tasks


def _emulated(dtype: PeakDtype, device: torch.device) -> bool:
    """Return whether a CPU has no peak of `dtype`; where it has none, a product takes a minute."""
    kernels: dict[PeakDtype, Compression] = {"int8": Int8Dynamic(), "fp8": Fp8Dynamic()}
    return (
        device.type == "cpu" and dtype in kernels and kernels[dtype].supported(device) is not None
    )


def _matmul(
    dtype: PeakDtype, size: int, device: torch.device, repeats: Repeats
) -> Iterator[Measured]:
    found = measure_matmul(dtype, size, device, repeats)
    if isinstance(found, str):
        raise PlannerError(found)
    yield found
