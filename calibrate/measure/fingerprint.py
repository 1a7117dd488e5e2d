"""Which machine and software this is."""

from __future__ import annotations

import os
import platform
import re
from importlib import metadata
from pathlib import Path

import torch

from calibrate.measure.header import Fingerprint


def fingerprint(device: torch.device) -> Fingerprint:
    """Return machine and software of a measurement on `device`."""
    versions = {
        "torch": torch.__version__,
        "transformers": metadata.version("transformers"),
        "python": platform.python_version(),
        "planner": metadata.version("latency-planner"),
    }
    if device.type == "cuda":
        return Fingerprint.model_validate(versions | _gpu(device))
    return Fingerprint.model_validate(versions | _cpu())


def _gpu(device: torch.device) -> dict[str, object]:
    properties = torch.cuda.get_device_properties(device)
    try:
        clocks = f"{torch.cuda.clock_rate(device)} MHz"
    except (RuntimeError, ModuleNotFoundError):  # needs NVIDIA's management library
        clocks = ""
    return {
        "device": properties.name,
        "kind": "gpu",
        "count": torch.cuda.device_count(),
        "memory": float(properties.total_memory),
        "threads": 0,
        "features": f"compute capability {properties.major}.{properties.minor}",
        "clocks": clocks,
        "driver": f"{_nvidia_driver()}CUDA {torch.version.cuda}",
    }


def _nvidia_driver() -> str:
    match = re.search(r"Kernel Module\D*([\d.]+)", _read("/proc/driver/nvidia/version"))
    return f"driver {match[1]}, " if match else ""


def _cpu() -> dict[str, object]:
    cpuinfo = _read("/proc/cpuinfo")
    model = re.search(r"^model name\s*:\s*(.+)$", cpuinfo, re.MULTILINE)
    name = model[1].strip() if model else platform.processor() or platform.machine()
    number = re.search(r"^model\s*:\s*(\d+)$", cpuinfo, re.MULTILINE)
    if number:
        name = f"{name}, model {number[1]}"
    clock = re.search(r"^cpu MHz\s*:\s*([\d.]+)$", cpuinfo, re.MULTILINE)
    return {
        "device": name,
        "kind": "cpu",
        "count": 1,
        "memory": float(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")),
        "threads": torch.get_num_threads(),
        "features": _features(cpuinfo),
        "clocks": f"{float(clock[1]):.0f} MHz" if clock else "",
        "driver": f"{platform.system()} {platform.release()}",
    }


def _features(cpuinfo: str) -> str:
    """Return the instructions that decide how fast products are.

    torch calls AVX512 the most that a CPU has; one with tiles multiplies 16 and 8 bits several
    times as fast.
    """
    known = torch.backends.cpu.get_cpu_capability()
    tiles = re.search(r"^flags\s*:.*\bamx_tile\b", cpuinfo, re.MULTILINE)
    return f"{known}, AMX" if tiles else known


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
