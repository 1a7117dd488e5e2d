"""Latency without load: what a request that has a replica to itself cannot be faster than.

Others in its steps can only make them longer.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from planner.scenario.objectives import LatencyObjective
from planner.streams import stream

if TYPE_CHECKING:
    from planner.planning.demand import Step
    from planner.results.records import FloatArray
    from planner.scenario.objectives import Objective
    from planner.traffic.requests import Requests

#: Requests whose unloaded latency is computed, per class.
SAMPLED = 200

#: Standard errors by which a share of that sample may be off.
SURE = 3.0


@dataclass(frozen=True)
class Unloaded:
    """Latencies of some requests, each alone on a replica; every array has shape ``(n,)`` [s].

    Parameters
    ----------
    ttft, tpot, e2e : array
        NaN where there is no ``tpot``.
    """

    ttft: FloatArray
    tpot: FloatArray
    e2e: FloatArray

    def misses(self, objective: Objective) -> float | None:
        """Return the value that `objective` cannot get below, where that misses it; else None.

        For goodput the share that cannot be exceeded. A sample of the requests stands for all;
        its chance is allowed for. Of no requests at all nothing is said.
        """
        if not len(self.ttft):
            return None
        if not isinstance(objective, LatencyObjective):
            good = np.ones(len(self.ttft), bool)
            for bound in objective.bounds:
                values = self.of(bound.metric)
                good &= (values <= bound.seconds) | np.isnan(values)
            share = float(good.mean())
            most = min(1.0, share + SURE * _spread(share, len(good)) + 1 / len(good))
            return None if most >= objective.share else most
        values = self.of(objective.metric)
        values = values[~np.isnan(values)]
        if not len(values):
            return None
        quantile = objective.quantile
        if quantile is None:
            error = float(values.std()) / math.sqrt(len(values))
            least = float(values.mean()) - SURE * error
        else:
            off = SURE * _spread(quantile, len(values)) + 1 / len(values)
            least = float(np.quantile(values, max(0.0, quantile - off)))
        return None if objective.met(least) else least

    def of(self, metric: str) -> FloatArray:
        """Return `metric`; a request alone does not wait, and its gaps are at least its first."""
        if metric == "wait":
            return np.zeros(len(self.ttft))
        found: FloatArray = {"ttft": self.ttft, "tpot": self.tpot, "e2e": self.e2e}.get(
            metric, np.full(len(self.tpot), np.nanmin(self.tpot, initial=np.inf))
        )
        return found


def _spread(share: float, n: int) -> float:
    return math.sqrt(share * (1 - share) / n)


def unloaded(step: Step, requests: Requests, class_id: int | None) -> Unloaded:
    """Return the unloaded latencies of a sample of the requests of a class, or of all."""
    rows = np.arange(len(requests))
    if class_id is not None:
        rows = rows[requests.class_id == class_id]
    if len(rows) > SAMPLED:
        rows = stream(0, 0, "unloaded").choice(rows, SAMPLED, replace=False)
    prompts, outputs = requests.prompt_tokens[rows], requests.output_tokens[rows]
    ttft = np.array([step.first_token(int(prompt)) for prompt in prompts])
    gap = np.array([step.seconds((), (int(prompt),)) for prompt in prompts])
    return Unloaded(
        ttft=ttft,
        tpot=np.where(outputs > 1, gap, np.nan),
        e2e=ttft + (outputs - 1) * gap,
    )
