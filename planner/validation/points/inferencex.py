"""How InferenceX starts its engines, where its scripts say something else than their defaults.

Its tables print neither step sizes nor memory shares, but its scripts are public: one per model,
data type, device and engine, in ``benchmarks/`` of SemiAnalysisAI/InferenceX [1]_. Only what was
read there is here; a row without an entry is read as :mod:`planner.validation.points.deployment`
says.

Two settings have no column in the table. Which loads run with data-parallel attention, and which
configurations with speculative decoding, is in the lists of what is measured [2]_; when the latter
were added, and for which images, in the log of changes [3]_. Speculative decoding is multi-token
prediction of DeepSeek's own heads: three tokens a step under TensorRT-LLM, two under SGLang, at the
degrees and loads of the configurations without it.

References
----------
.. [1] https://github.com/SemiAnalysisAI/InferenceX, ``dsr1_fp8_h200_trt_slurm.sh`` (b5ebafa and
   2e46dba), ``single_node/dsr1_fp8_h200.sh`` (161e7f6), ``gptoss_fp4_h200_trt_slurm.sh`` (f7d8340
   and 2e46dba), ``dsr1_fp8_h200_trt_mtp_slurm.sh`` (40be3a4), ``single_node/qwen3.5_fp8_h200.sh``
   (2116fc4), ``qwen3.5_fp8_b200.sh`` (01fa35c), ``qwen3.5_bf16_b200.sh`` (29d69fa),
   ``qwen3.5_fp8_b300.sh`` (5632483), ``dsr1_fp8_b200.sh`` (16ffb65), ``dsr1_fp4_b200.sh``
   (285b662), ``glm5_fp8_b200.sh`` (4eca3fe).
.. [2] ``.github/configs/nvidia-master.yaml``, of November 2025 (fdasilva59/InferenceMAX@189ae51)
   and of January 2026 (InferenceMAX/InferenceMAX@525079a).
.. [3] SemiAnalysisAI/InferenceX@000de6d, ``perf-changelog.yaml``: pull requests 392 (the first with
   multi-token prediction; 412, the same before it, is of 12 January 2026), 626, 632 and 642.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from planner.validation.points.table import Point

#: From so many clients on its scripts have SGLang look for requests less often.
MANY_CLIENTS = 16
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
        Data type of the KV cache of weights that are quantised; of others it is bf16.
    together : int
        Tokens sent together (``stream_interval``), the first with the others; 1 where the engine
        sends the first at once.
    sequences : int
        Most requests in service; 0 for the engine's default.
    recv_interval : (int, int)
        SGLang's ``scheduler_recv_interval`` with fewer than 16 clients, and with 16 or more.
    """

    tokens: int
    beside: int
    memory: float
    kv: str
    together: int
    sequences: int = 0
    recv_interval: tuple[int, int] = (1, 1)

    def step_tokens(self, prompt: int, clients: int) -> int:
        """Return the most tokens in a step, in whole 64s where clients and prompt decide."""
        return self.tokens or -(-(prompt + clients + self.beside) // 64) * 64

    def polled(self, clients: int) -> int:
        """Return the decode steps after which SGLang looks for new requests."""
        return self.recv_interval[clients >= MANY_CLIENTS]


class Parallel(NamedTuple):
    """From how many clients attention is data-parallel, by the tokens of prompt and answer.

    Parameters
    ----------
    engine, device, dtype : str
        Engine, start of the device's name, type of the weights.
    prompt, answer : int
        Nominal lengths; 0 stands for all.
    clients : int
        So many and more.
    """

    engine: str
    device: str
    dtype: str
    prompt: int
    answer: int
    clients: int


#: Of DeepSeek, in the lists of November 2025. Rows of later runs print the degree.
DATA_PARALLEL = (
    Parallel("trtllm", "H200", "fp8", 8192, 0, 64),
    Parallel("trtllm", "B200", "fp4", 1024, 0, 256),
    Parallel("trtllm", "B200", "fp4", 8192, 0, 64),
    Parallel("trtllm", "B200", "fp8", 1024, 1024, 64),
)
#: The day from which rows print the degree of data-parallel attention.
PRINTED = "2025-12-01"
#: First day of DeepSeek-R1 with multi-token prediction, by engine, start of the device's name and
#: tensor-parallel degree, 0 for all; the same network without it is called DeepSeek-V3 since then.
SPECULATIVE = {
    ("trtllm", "H200", 0): "2026-01-14",
    ("trtllm", "B200", 0): "2026-01-14",
    ("sglang", "B200", 8): "2026-02-01",
}

#: By engine, start of the model's name and of the device's, and weights and tensor-parallel degree
#: where a script has them: the first that fits. Qwen3.5's on a B200 allows 128 requests in service,
#: which rows with 256 clients contradict: theirs was another version.
SCRIPTS = {
    ("trtllm", "deepseek", "H200", "", 0): Started(0, 64, 0.75, "fp8", 10),
    ("sglang", "deepseek", "H200", "", 0): Started(32768, 0, 0.82, "bf16", 1),
    ("sglang", "deepseek", "B200", "fp8", 4): Started(8192, 0, 0.95, "fp8", 1, 32, (10, 10)),
    ("sglang", "deepseek", "B200", "fp8", 0): Started(32768, 0, 0.82, "fp8", 1, 128, (10, 30)),
    ("sglang", "deepseek", "B200", "fp4", 0): Started(16384, 0, 0.85, "fp8", 1, 256, (10, 30)),
    ("sglang", "glm-5", "B200", "fp8", 0): Started(32768, 0, 0.85, "fp8", 1),
    ("trtllm", "gpt-oss", "H200", "", 0): Started(20000, 0, 0.85, "bf16", 10),
    ("sglang", "qwen3.5", "H200", "", 0): Started(16384, 0, 0.8, "fp8", 1, 128),
    ("sglang", "qwen3.5", "B200", "", 0): Started(32768, 0, 0.82, "fp8", 1, 0, (10, 30)),
    ("sglang", "qwen3.5", "B300", "", 0): Started(16384, 0, 0.8, "fp8", 1, 0, (10, 10)),
}


def of_inferencex(point: Point) -> bool:
    """Return whether InferenceX measured a row.

    Rows of Qwen3.5 from a "gap analysis" are among them: but for six they repeat, rounded, others
    that say so themselves.
    """
    texts = point.texts
    repeated = "qwen3.5-397b-gap-analysis" in texts["notes"]
    return SIGN in texts["len_note"] or repeated


def started(point: Point, engine: str) -> Started | None:
    """Return what the script behind a row sets, or None where none was read."""
    if not of_inferencex(point):
        return None
    for (family, model, device, weights, degree), found in SCRIPTS.items():
        named = point.model.lower().startswith(model) and point.device.startswith(device)
        typed = weights in {"", point.texts["dtype"].lower()}
        if engine == family and named and typed and degree in {0, point.numbers["tp"]}:
            return found
    return None


def data_parallel(point: Point, engine: str) -> bool:
    """Return whether attention was data-parallel though the row's columns do not say so."""
    texts, date = point.texts, point.texts["measured_date"]
    if SIGN not in texts["len_note"] or not point.model.startswith("deepseek"):
        return False
    if not date or date >= PRINTED:
        return False
    prompt, answer, clients = (point.numbers[name] for name in ("isl", "osl", "load"))
    return any(
        (engine, texts["dtype"].lower()) == (each.engine, each.dtype)
        and point.device.startswith(each.device)
        and prompt == each.prompt
        and each.answer in {0, answer}
        and clients >= each.clients
        for each in DATA_PARALLEL
    )


def speculative(point: Point, engine: str) -> bool:
    """Return whether several tokens a step were guessed and checked, which no column says."""
    texts = point.texts
    if SIGN not in texts["len_note"] or texts["model"] != "DeepSeek-R1":
        return False
    return any(
        engine == family
        and point.device.startswith(device)
        and degree in {0, point.number("tp")}
        and texts["measured_date"] >= first
        for (family, device, degree), first in SPECULATIVE.items()
    )
