"""Published start logs: what the memory arithmetic makes of their models, devices and flags."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import NamedTuple

from planner.catalog.catalogue import find_device, find_model
from planner.catalog.devices import Device
from planner.latency.footprint import device_weight_bytes
from planner.latency.memory import GIB, kv_pool
from planner.latency.settings import Settings
from planner.scenario.engine import Engine

RTX_3090 = Device(name="RTX-3090", memory=23.58 * GIB, bandwidth=936e9, peaks={"bf16": 71e12})
PARTS = ("weights", "activation", "non_torch")


class Published(NamedTuple):
    """A logged quantity, and the same predicted."""

    case: str
    about: str
    quantity: str
    logged: float
    predicted: float
    parts: tuple[str, ...]

    @property
    def error(self):
        return self.predicted / self.logged - 1


def published(parts=()):
    """Return each published case, given those of the `parts` that its log states."""
    path = Path(__file__).with_name("field_cases.csv")
    return [_published(row, parts) for row in csv.DictReader(path.read_text().splitlines())]


def _published(row, parts):
    device = RTX_3090 if row["device"] == RTX_3090.name else find_device(row["device"])
    settings = Settings(weights=row["weights"], kv_cache=row["kv_cache"])
    shape, degree = find_model(row["model"]), int(row["tensor_parallel"])
    stated = {part: row[f"log_{part}_gib"] for part in parts if row[f"log_{part}_gib"]}
    about = f"{row['model']}, {row['weights']}, {row['device']}" + f" x{degree}" * (degree > 1)
    if row["quantity"] == "weights_gib":
        predicted = device_weight_bytes(shape, settings, degree) / GIB
    else:
        engine = Engine(
            gpu_memory_utilization=float(row["gpu_memory_utilization"]),
            max_num_seqs=int(row["max_num_seqs"]),
            max_num_batched_tokens=int(row["max_num_batched_tokens"]),
            # these logs divide the blocks by the groups, or state the pool in bytes
            disable_hybrid_kv_cache_manager=True,
        )
        measured = {part: float(value) * GIB for part, value in stated.items()}
        none = {} if row["cuda_graphs"] else {"cuda_graphs": 0.0}
        pool = kv_pool(
            shape, device, settings, engine, tensor_parallel=degree, measured={**none, **measured}
        )
        tokens = row["quantity"] == "kv_tokens"
        predicted = pool.tokens if tokens else pool.breakdown["kv_cache"] / GIB
    return Published(
        row["case"], about, row["quantity"], float(row["value"]), predicted, tuple(stated)
    )


def table():
    """Return the rows of the table in the documentation: from flags, and given the log's parts."""
    rows = []
    for flags, given in zip(published(), published(PARTS), strict=True):
        if flags.quantity == "weights_gib":
            continue
        digits = ",.0f" if flags.quantity == "kv_tokens" else ".2f"
        unit = " tokens" if flags.quantity == "kv_tokens" else " GiB"
        cells = (
            flags.case, flags.about, f"{flags.logged:{digits}}{unit}",
            f"{flags.predicted:{digits}}", f"{flags.error:+.1%}".replace("%", " %"),
            f"{given.error:+.1%}".replace("%", " %") if given.parts else "-",
        )  # fmt: skip
        rows.append("| " + " | ".join(cells) + " |")
    return rows
