"""What a file holds once it is read: requests, summaries of runs, or facts about an engine."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from calibrate.importers.rows import FloatArray, RequestRows
    from planner.errors import Notice

#: What a run or an engine was told: a number, a word, or unlimited (None).
Setting = float | int | str | bool | None
#: Statistics of a metric by name: ``mean``, ``p50``, ``std``, ``min``, ``max``, ...
Statistics = dict[str, float]

#: Keys of an engine that a scenario takes, under ``service.engine``.
ENGINE_KEYS = (
    "kv_tokens", "max_num_seqs", "max_num_batched_tokens", "max_model_len", "block_size",
    "gpu_memory_utilization",
)  # fmt: skip
#: Percentiles of measured requests.
PERCENTILES = (50, 90, 95, 99)


@dataclass(frozen=True)
class Run:
    """One run of a load generator.

    Parameters
    ----------
    name : str
        What it is called; each name once in a file.
    settings : mapping
        What it was told: ``request_rate``, ``max_concurrency``, ``model``, ... as far as the
        file says.
    counts : mapping of str to int
        Requests ``measured``, and those left out: ``failed``, ``warmup``.
    metrics : mapping of str to Statistics
        By ``ttft_s``, ``tpot_s``, ``itl_s``, ``e2e_s`` [s], ``prompt_tokens``,
        ``output_tokens`` [tokens], ``requests_per_s``, ``output_tokens_per_s`` [1/s]; what the
        file does not give is absent.
    """

    name: str
    settings: Mapping[str, Setting] = field(default_factory=dict)
    counts: Mapping[str, int] = field(default_factory=dict)
    metrics: Mapping[str, Statistics] = field(default_factory=dict)


@dataclass(frozen=True)
class Imported:
    """What was read from one file.

    Parameters
    ----------
    format : str
        What the file is.
    rows : RequestRows, optional
        Requests, where the file has them one by one.
    runs : tuple of Run
        In the order of ``rows.run_names`` where there are rows.
    facts : mapping
        About an engine: :data:`ENGINE_KEYS` and others.
    notices : tuple of Notice
        What was left out, changed or assumed.
    """

    format: str
    rows: RequestRows | None = None
    runs: tuple[Run, ...] = ()
    facts: Mapping[str, Setting] = field(default_factory=dict)
    notices: tuple[Notice, ...] = ()

    def overrides(self) -> list[str]:
        """Return the facts that a scenario takes, as values of ``--set``."""
        return [
            f"service.engine.{key}={self.facts[key]}" for key in ENGINE_KEYS if key in self.facts
        ]


def measured_runs(
    rows: RequestRows,
    settings: tuple[Mapping[str, Setting], ...] = (),
    warmup: tuple[int, ...] = (),
) -> tuple[Run, ...]:
    """Return what the answered requests of each run say.

    Parameters
    ----------
    rows : RequestRows
        The requests.
    settings : tuple of mapping
        What each run was told; empty where nothing is known.
    warmup : tuple of int
        Requests of the warm-up that are not in `rows`, by run; empty for none.
    """
    runs = []
    for number, name in enumerate(rows.run_names):
        run = rows.of_run(name)
        counts = {"measured": int(run.ok.sum()), "failed": int((~run.ok).sum())}
        if warmup and warmup[number]:
            counts["warmup"] = warmup[number]
        there = run.select(run.ok)
        values = {
            "ttft_s": there.ttft_s,
            "tpot_s": there.tpot_s,
            "e2e_s": there.e2e_s,
            "prompt_tokens": there.prompt_tokens.astype(np.float64),
            "output_tokens": there.output_tokens.astype(np.float64),
        }
        metrics = {key: found for key, each in values.items() if (found := statistics(each))}
        runs.append(Run(name, settings[number] if settings else {}, counts, metrics))
    return tuple(runs)


def statistics(values: FloatArray) -> Statistics:
    """Return mean, standard deviation, extremes and :data:`PERCENTILES`; nothing of no values.

    Parameters
    ----------
    values : array of float
        Shape ``(n,)``; NaN are left out.
    """
    known = values[~np.isnan(values)]
    if not len(known):
        return {}
    found = {
        "mean": float(known.mean()),
        "std": float(known.std()),
        "min": float(known.min()),
        "max": float(known.max()),
    }
    levels = np.percentile(known, PERCENTILES)
    return found | {f"p{p}": float(v) for p, v in zip(PERCENTILES, levels, strict=True)}
