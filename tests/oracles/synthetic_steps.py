"""Steps of a machine whose coefficients are known, as a calibration would have measured them."""

from __future__ import annotations

import numpy as np

from calibrate.fit.step_model import Parameter, Sample, StepModel
from calibrate.measure.hardware_records import BytesRecord, MatmulRecord
from calibrate.measure.header import Fingerprint, Header
from calibrate.measure.points import cpu_points, quick_points
from calibrate.measure.records import StepRecord, VariantRecord
from planner.catalog.devices import Device
from planner.catalog.models import ModelShape
from planner.latency.settings import Pruning, Settings

PEAKS = {"fp32": 2e11, "bf16": 2e11, "int8": 4e11}
MACHINE = Device(name="a CPU, 2 threads", kind="cpu", memory=24e9, bandwidth=2e10, peaks=PEAKS)
SHAPE = ModelShape(
    name="small", hidden_size=576, n_layers=30, n_heads=9, n_kv_heads=3, head_dim=64,
    ffn_size=1536, vocab_size=49152, max_position=2048, tied_embeddings=True,
)  # fmt: skip
PLAIN = {"weights": "fp32", "kv_cache": "fp32"}
BASE = Settings(**PLAIN)
VARIANTS = {
    "fp32": BASE,
    "int8": Settings(weights="int8"),
    "fp32+unstructured:0.5": Settings(**PLAIN, pruning=Pruning(pattern="unstructured", rate=0.5)),
    "fp32+structured:0.5": Settings(**PLAIN, pruning=Pruning(pattern="structured", rate=0.5)),
}
SHARED = {
    "compute_efficiency": 0.6,
    "attention_efficiency": 0.2,
    "storage_efficiency": 0.7,
    "overlap": 1.7,
    "overhead_fixed": 5e-3,
    "overhead_per_sequence": 4e-4,
}
REREAD = {"reread": 2.0, "reread_tokens": 5.0}
SPEEDUPS = {
    "weights.int8-int8.compute": 1.3,
    "weights.int8-int8.storage": 0.8,
    "pruning.unstructured:0.5.compute": 1.0,
    "pruning.unstructured:0.5.storage": 1.0,
    "pruning.structured:0.5.compute": 0.95,
    "pruning.structured:0.5.storage": 0.9,
}
POINTS, FEW_POINTS = cpu_points(2048), quick_points(2048)


def samples(truth, noise, rng, variants=("fp32",), points=POINTS):
    """Return steps with the coefficients `truth`, and log-normal noise."""
    blank = [Sample(name, VARIANTS[name], (point,), 1.0) for name in variants for point in points]
    parameters = [Parameter(name, 1.0, 1.0, 1.0, "plain") for name in truth]
    exact = StepModel(blank, SHAPE, MACHINE, parameters).seconds(list(truth.values()))
    seconds = exact * np.exp(noise * rng.normal(size=len(exact)))
    return [
        Sample(each.variant, each.settings, each.points, float(time))
        for each, time in zip(blank, seconds, strict=True)
    ]


FINGERPRINT = Fingerprint(
    device="a CPU", kind="cpu", count=1, memory=24e9, threads=2, features="AVX512",
    clocks="2000 MHz", driver="Linux 6", torch="2.4", transformers="5", python="3.11", planner="1",
)  # fmt: skip
HEADER = Header(
    created="2026-11-20T10:00:00+00:00", fingerprint=FINGERPRINT, source="small",
    about="shape of small, random weights (seed 0)", shape=SHAPE, base="fp32",
)  # fmt: skip
LATENCY, LINK_EFFICIENCY, LINK = 3e-5, 0.5, 4e9


def records(truth, noise, rng, variants=tuple(VARIANTS), points=POINTS):
    """Return everything that a calibration of that machine writes, header first."""

    def timed(seconds):
        return {"seconds": seconds, "spread": 0.0, "samples": (seconds,)}

    found = [HEADER]
    found += [
        MatmulRecord(dtype=dtype, size=1024, **timed(2 * 1024**3 / peak))
        for dtype, peak in PEAKS.items()
    ]
    found.append(BytesRecord(what="memory", size=2**29, **timed(2**29 / 2e10)))
    found.append(BytesRecord(what="disk", size=2**20, **timed(1e-3)))
    for size in (1024, 2**16, 2**20, 2**23):
        link = {"size": size, "processes": 2, "backend": "gloo"}
        found.append(BytesRecord(what="point_to_point", **link, **timed(size / LINK)))
        reduced = 2 * LATENCY + size / (LINK_EFFICIENCY * LINK)
        found.append(BytesRecord(what="all_reduce", **link, **timed(reduced)))
    found += [VariantRecord(variant=name, settings=VARIANTS[name]) for name in variants]
    found += [
        StepRecord(
            variant=each.variant,
            prefill=each.points[0].prefill,
            decode=each.points[0].decode,
            reference=0.03,
            **timed(each.seconds),
        )
        for each in samples(truth, noise, rng, variants, points)
    ]
    return found


def write(path, lines):
    """Write records into a file of measurements."""
    path.write_text("".join(each.model_dump_json() + "\n" for each in lines))
    return path
