"""One measured point beside its prediction: what was measured, and what a profile says of it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from planner.simulation.serve import Served, serve
from planner.validation.points.deployment import (
    Deployment,
    UnsupportedError,
    deployment,
    family,
)
from planner.validation.points.inferencex import started
from planner.validation.points.load import longest_request, requests_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from planner.catalog.profile import Profile
    from planner.traffic.requests import Requests
    from planner.validation.points.table import Point

#: The metrics of a table: latencies in seconds, throughput in output tokens per second.
METRICS = ("ttft", "tpot", "e2e", "throughput")
#: Tokens that TensorRT-LLM was told to send together (its ``stream_interval``), by model and
#: lengths, in ``aic_silicon_sample``. No row prints it. In Llama 70B at 1024/1024 the TTFT beyond
#: that of the same model at 1024/8192 is 19 times the TPOT, for every degree and concurrency; in
#: gpt-oss about 9 times.
STREAMED = {("llama-3.1-70b", 1024, 1024): 20, ("gpt-oss-120b", None, None): 10}


@dataclass(frozen=True)
class Case:
    """A point that can be simulated; an experiment to fit to.

    Parameters
    ----------
    point : Point
        The row.
    deployment : Deployment
        What served it.
    requests : Requests
        Its load.
    """

    point: Point
    deployment: Deployment
    requests: Requests

    @property
    def name(self) -> str:
        """The row's id."""
        return self.point.id

    @property
    def groups(self) -> Mapping[str, str]:
        """What it can be sorted by."""
        texts, fleet = self.point.texts, self.deployment.fleet
        isl, osl = self.point.numbers["isl"], self.point.numbers["osl"]
        return {
            "device": self.deployment.device.name,
            "engine": family(texts["engine"]),
            "model": self.point.model,
            "dtype": texts["dtype"],
            "tp": str(fleet.tensor_parallel),
            "dataset": texts["dataset"],
            "lengths": f"{isl:g}/{osl:g}",
            "deployment": f"{self.point.model} tp{fleet.tensor_parallel}",
            "kernels": self.kernels,
            "load": self.load,
        }

    @property
    def load(self) -> str:
        """The type of its load; ``all at once`` for a rate without end, which tests the queue."""
        endless = math.isinf(self.point.numbers["load"])
        kind = self.point.texts["load_type"]
        return "all at once" if endless and kind != "offline" else kind

    @property
    def kernels(self) -> str:
        """What its steps run: ``mla`` for latent attention, ``moe`` for experts, else ``dense``."""
        return self.deployment.shape.kernels

    @property
    def measured(self) -> Mapping[str, float]:
        """What the row measured, by metric."""
        point = self.point
        found = {name: point.number(f"{name}_ms") for name in ("ttft", "tpot", "e2e")}
        known = {name: value / 1e3 for name, value in found.items() if value}
        rate = self._measured_rate()
        return known if rate is None else known | {"throughput": rate}

    def _measured_rate(self) -> float | None:
        """Return output tokens per second of one replica, as well as the row tells."""
        point = self.point
        isl, osl = point.numbers["isl"], point.numbers["osl"]
        out, total = point.number("tput_out_tok_s"), point.number("tput_total_tok_s")
        each = point.number("tput_req_s")
        if out:
            return out
        if each:
            return each * osl
        return total * osl / (isl + osl) if total else None

    @property
    def spread(self) -> Mapping[str, float]:
        """No row is repeated."""
        return {}

    def predict(self, profile: Profile) -> Mapping[str, float]:
        """Return every metric as `profile` has it."""
        served = serve(self.deployment.system(profile), self.requests)
        batch = self.point.texts["load_type"] == "batch"
        return _of_a_batch(served) if batch else self._of_a_load(served)

    def _of_a_load(self, served: Served) -> dict[str, float]:
        ttft, tpot = float(np.nanmean(served.ttft_s)), _mean(served.tpot_s)
        together = _streamed(self.point)
        gaps = max(float(np.nanmean(served.output_tokens)) - 1, 1.0)
        late = min(together - 1, gaps) * (tpot if math.isfinite(tpot) else 0.0)
        span = float(np.nanmax(served.finished_s) - np.nanmin(served.arrival_s))
        tokens = float(served.output_tokens[~np.isnan(served.finished_s)].sum())
        return {
            "ttft": ttft + late,
            "tpot": tpot - late / gaps,
            "e2e": float(np.nanmean(served.e2e_s)),
            "throughput": tokens / span,
        }


def case_of(point: Point) -> Case:
    """Return what `point` is simulated as.

    Raises
    ------
    UnsupportedError
        If it cannot be.
    """
    made = deployment(point, longest_request(point))
    longest = longest_request(point)
    if point.numbers["isl"] * 1.1 >= made.pool.max_model_len:
        raise UnsupportedError("prompts longer than the context")
    room = min(made.service.engine.max_num_seqs, max(1, made.pool.fit(longest)))
    return Case(point, made, requests_of(point, room))


def _of_a_batch(served: Served) -> dict[str, float]:
    """Return the metrics of a static batch, which ends with its last request.

    Its TTFT is that of the last: sources time one prefill of the whole batch.
    """
    first, last = float(np.nanmax(served.ttft_s)), float(np.nanmax(served.e2e_s))
    gaps = float(np.nanmax(served.output_tokens)) - 1
    return {
        "ttft": first,
        "tpot": (last - first) / gaps if gaps > 0 else math.nan,
        "e2e": last,
        "throughput": float(np.nansum(served.output_tokens)) / last,
    }


def _mean(values: np.ndarray) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else math.nan


def _streamed(point: Point) -> int:
    """Return how many tokens were sent together."""
    if point.texts["dataset"] != "aic_silicon_sample" or family(point.texts["engine"]) != "trtllm":
        return 1
    if script := started(point, "trtllm"):
        return script.together
    sizes = (int(point.numbers["isl"]), int(point.numbers["osl"]))
    whole = STREAMED.get((point.model, None, None), 1)
    return STREAMED.get((point.model, *sizes), whole)
