"""How much memory a device can still give."""

from __future__ import annotations

import os
from pathlib import Path

import torch


def free_memory(device: torch.device) -> float:
    """Return the memory that `device` can still give [B]; a CPU's is that of the machine."""
    if device.type == "cuda":
        return float(torch.cuda.mem_get_info(device)[0])
    try:
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return float(line.split()[1]) * 1024
    except OSError:
        pass  # not Linux: all of the machine's memory is the best that is known
    return float(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
