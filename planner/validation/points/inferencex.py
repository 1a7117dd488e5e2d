"""How InferenceX starts its engines, where its scripts say something else than their defaults.

Its tables print neither step sizes nor memory shares, but its scripts are public: one per model,
data type, device and engine, in ``benchmarks/`` of SemiAnalysisAI/InferenceX [1]_. Only what was
read there is here; a row without an entry is read as :mod:`planner.validation.points.deployment`
says.

References
----------
.. [1] https://github.com/SemiAnalysisAI/InferenceX, ``dsr1_fp8_h200_trt_slurm.sh`` (b5ebafa and
   2e46dba), ``single_node/dsr1_fp8_h200.sh`` (161e7f6), ``gptoss_fp4_h200_trt_slurm.sh`` (f7d8340
   and 2e46dba).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from planner.validation.points.table import Point

#: What a row of its tables says of its lengths.
SIGN = "RANDOM_RANGE_RATIO"


class Started(NamedTuple):
    """What a script sets.

    Parameters
    ----------
    tokens : int
        Most tokens in a step; 0 where clients and prompt decide.
    beside : int
        Where they do: tokens beside those of one prompt and one for each client.
    memory : float
        Share of the memory, of TensorRT-LLM of what the weights leave, for the KV cache.
    kv : str
        Data type of the KV cache.
    together : int
        Tokens sent together (``stream_interval``), the first with the others; 1 where the engine
        sends the first at once.
    """

    tokens: int
    beside: int
    memory: float
    kv: str
    together: int

    def step_tokens(self, prompt: int, clients: int) -> int:
        """Return the most tokens in a step, in whole 64s where clients and prompt decide."""
        return self.tokens or -(-(prompt + clients + self.beside) // 64) * 64


#: By engine, start of the model's name and of the device's.
SCRIPTS = {
    ("trtllm", "deepseek", "H200"): Started(0, 64, 0.75, "fp8", 10),
    ("sglang", "deepseek", "H200"): Started(32768, 0, 0.82, "bf16", 1),
    ("trtllm", "gpt-oss", "H200"): Started(20000, 0, 0.85, "bf16", 10),
}


def started(point: Point, engine: str) -> Started | None:
    """Return what the script behind a row sets, or None where none was read."""
    if SIGN not in point.texts["len_note"]:
        return None
    for (family, model, device), found in SCRIPTS.items():
        named = point.model.startswith(model) and point.device.startswith(device)
        if engine == family and named:
            return found
    return None
