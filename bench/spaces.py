"""Spaces that plans are searched in: five that were always the same, and as many as are drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from planner.scenario.reader import read_scenario

if TYPE_CHECKING:
    from planner.scenario.model import Scenario

TEXT = """
name: bench
traffic:
  duration: {duration} s
  arrivals: {arrivals}
  lengths:
    kind: lognormal
    prompt: {{mean: {prompt}, cv: {prompt_cv}, min: 10, max: 8000}}
    output: {{mean: {output}, cv: 0.8, min: 2, max: 1500}}
service: {{kind: llm, model: {model}, profile: {profile}, engine: {{max_model_len: 16384}}}}
fleet: {{device: H100-SXM-80GB, price: low}}
objectives: "{objectives}"
simulation: {{seed: {seed}, replications: 5, warmup: 40 s}}
plan: {plan}
"""
ALL = (
    "{devices: [L4, L40S, A100-SXM-80GB, H100-SXM-80GB, H200-SXM-141GB], "
    "tensor_parallel: [1, 2], weights: [bf16, fp8, int8, int4], kv_cache: [bf16, fp8], "
    "max_num_batched_tokens: [1024, 2048, 8192]}"
)
FEW = (
    "{devices: [L4, L40S, A100-SXM-80GB, H100-SXM-80GB], tensor_parallel: [1], "
    "weights: [bf16, fp8], kv_cache: [bf16], max_num_batched_tokens: [2048]}"
)
FIVE = "[L4, L40S, A100-SXM-80GB, H100-SXM-80GB, H200-SXM-141GB]"
LARGE = [
    (
        f"{{devices: {FIVE}, tensor_parallel: [1, 2, 4], weights: [bf16, fp8, int8], "
        "kv_cache: [bf16, fp8], max_num_seqs: [128, 256], "
        "max_num_batched_tokens: [1024, 2048, 8192]}"
    ),
    (
        f"{{devices: {FIVE}, tensor_parallel: [1, 2, 4, 8], weights: [bf16, fp8, int8, int4], "
        "kv_cache: [bf16, fp8], max_num_seqs: [64, 128, 256, 512], "
        "max_num_batched_tokens: [1024, 2048, 4096, 8192], "
        "scheduler: [{kind: chunked}, {kind: prefill_first}]}"
    ),
]
POISSON = "{{kind: poisson, rate: {} req/s}}"
BURSTY = "{{kind: gamma, rate: {} req/s, cv: 2}}"
SPACES = [
    ("llama-3.1-8b", POISSON.format(15), 800, 150, "ttft:p95<300ms; tpot:p95<40ms"),
    ("llama-3.1-8b", BURSTY.format(10), 1500, 100, "ttft:p90<500ms; e2e:p99<20s"),
    ("qwen2.5-3b", POISSON.format(30), 500, 200, "tpot:p95<25ms; wait:p95<100ms"),
    ("llama-3.1-8b", POISSON.format(6), 2500, 300, "goodput{ttft<1s,tpot<40ms}>=0.9"),
    ("gemma-3-27b", POISSON.format(4), 1000, 200, "ttft:p95<800ms; tpot:mean<50ms"),
]


def scenario(
    model: str, arrivals: str, prompt: int, output: int, objectives: str, **more: object
) -> Scenario:
    """Return a scenario with a search space."""
    values = {
        "duration": 300, "prompt_cv": 1, "seed": 1, "plan": ALL, "profile": "assumed", **more
    }  # fmt: skip
    return read_scenario(
        TEXT.format(
            model=model, arrivals=arrivals, prompt=prompt, output=output, objectives=objectives,
            **values,
        )
    )  # fmt: skip


class Space(NamedTuple):
    """A scenario's traffic, objectives and search space.

    Parameters
    ----------
    model, arrivals : str
        As in a scenario.
    prompt, output : int
        Mean lengths. [tokens]
    objectives, plan : str
        As in a scenario.
    seed : int
        Of the traffic.
    """

    model: str
    arrivals: str
    prompt: int
    output: int
    objectives: str
    plan: str = ALL
    seed: int = 1

    def scenario(self) -> Scenario:
        """Return it as a scenario."""
        return scenario(*self[:5], plan=self.plan, seed=self.seed)


#: Models to draw from and the highest rates of their traffic [req/s].
MODELS = {
    "llama-3.1-8b": 50.0, "qwen2.5-3b": 80.0, "gemma-3-27b": 12.0, "mistral-7b-v0.3": 50.0
}  # fmt: skip
#: Devices to draw from: those with a low price.
DEVICES = [
    "L4", "L40S", "A100-SXM-80GB", "A100-PCIe-80GB", "H100-SXM-80GB", "H100-PCIe-80GB",
    "H200-SXM-141GB", "B200-SXM-180GB", "RTX-4090", "RTX-PRO-6000-Server-96GB",
]  # fmt: skip


def drawn(seed: int, k: int) -> Space:
    """Return space `k` of those that `seed` stands for: of 240 to 1,440 candidates."""
    rng = np.random.default_rng([seed, k])
    model = str(rng.choice(list(MODELS)))
    rate = float(np.exp(rng.uniform(np.log(MODELS[model] / 8), np.log(MODELS[model]))))
    bursts = f", cv: {rng.uniform(1.2, 3):.2f}" if rng.random() < 0.5 else ""
    arrivals = f"{{kind: {'gamma' if bursts else 'poisson'}, rate: {rate:.2f} req/s{bursts}}}"
    few = rng.choice(DEVICES, size=int(rng.integers(5, 8)), replace=False)
    degrees = [[1, 2], [1, 2, 4]][int(rng.integers(2))]
    most = [[256], [64, 256]][int(rng.integers(2))]
    plan = (
        f"{{devices: [{', '.join(few)}], tensor_parallel: {degrees}, kv_cache: [bf16, fp8], "
        f"weights: [bf16, fp8, int8, int4], max_num_seqs: {most}, "
        "max_num_batched_tokens: [1024, 2048, 8192]}"
    )
    prompt, output = (round(float(np.exp(rng.uniform(*np.log(ends))))) for ends in LENGTHS)
    return Space(model, arrivals, prompt, output, _target(rng), plan, int(rng.integers(1, 10_000)))


#: Shortest and longest mean prompt and output [tokens].
LENGTHS = [(150, 3000), (40, 400)]


def _target(rng: np.random.Generator) -> str:
    """Return objectives of one of four kinds."""
    ttft, tpot = int(rng.uniform(200, 1200)), int(rng.uniform(20, 80))
    percentile = int(rng.choice([50, 90, 95, 99]))
    kinds = (
        f"ttft:p{percentile}<{ttft}ms; tpot:p95<{tpot}ms",
        f"goodput{{ttft<{ttft}ms,tpot<{tpot}ms}}>={rng.choice([0.8, 0.9, 0.95, 0.99])}",
        f"ttft:p{percentile}<{ttft}ms; e2e:p99<{int(rng.uniform(10, 60))}s",
        f"wait:p{percentile}<{ttft // 3}ms; tpot:mean<{tpot}ms",
    )
    return kinds[int(rng.integers(len(kinds)))]
