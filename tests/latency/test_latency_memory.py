"""KV pool: vLLM's arithmetic, and published logs."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.catalog.catalogue import find_device, find_model
from planner.catalog.devices import Device
from planner.errors import InputError
from planner.latency.footprint import device_weight_bytes, peak_activation, weight_bytes
from planner.latency.memory import GIB, kv_pool, model_layout
from planner.latency.settings import Settings

LLAMA8, LLAMA70 = find_model("llama-3.1-8b"), find_model("llama-3.1-70b")
H100 = find_device("H100-SXM-80GB")
RTX_3090 = Device(name="RTX-3090", memory=23.58 * GIB, bandwidth=936e9, peaks={"bf16": 71e12})
BF16 = Settings()


@dataclass(frozen=True)
class Limits:
    gpu_memory_utilization: float = 0.9
    max_num_seqs: int = 256
    max_num_batched_tokens: int = 2048
    block_size: int = 16
    max_model_len: int | None = None
    kv_tokens: int | None = None
    frees_windows: bool = True


def bytes_per_token(shape, settings, tensor_parallel=1, pipeline_parallel=1):
    """Return the KV cache of a token on one device, of a model without windows."""
    layout = model_layout(shape, settings, Limits(), tensor_parallel, pipeline_parallel)
    assert layout.keeps_all
    return layout.block_bytes / 16


def test_the_pool_is_what_utilisation_leaves_of_physical_memory():
    pool = kv_pool(LLAMA8, H100, BF16, Limits())
    parts = pool.breakdown
    assert parts["physical"] == 79.18 * GIB
    assert parts["usable"] == 0.9 * 79.18 * GIB
    assert parts["weights"] == 2 * LLAMA8.parameters + 2 * 131072 * 128
    assert parts["kv_cache"] == pytest.approx(
        parts["usable"]
        - sum(parts[key] for key in ("weights", "activation", "non_torch", "cuda_graphs"))
    )
    assert pool.blocks == int(parts["kv_cache"] // (16 * 131072))
    assert pool.tokens == 16 * pool.blocks
    assert pool.max_model_len == 131072
    assert {number.name for number in pool.provenance} >= {"memory", "sampler_bytes_per_logit"}


def test_concurrency_is_that_of_the_longest_requests():
    pool = kv_pool(
        find_model("qwen3-0.6b"), H100, BF16, Limits(kv_tokens=652_144, max_model_len=4096)
    )
    assert pool.max_concurrency == pytest.approx(159.21, abs=0.005)  # vllm-project/vllm#24577


def test_memory_outside_pytorch_follows_what_links_the_devices():
    other = {
        (device, degree): kv_pool(
            LLAMA8, find_device(device), BF16, Limits(), tensor_parallel=degree
        ).breakdown["non_torch"]
        for device, degree in (
            ("H100-SXM-80GB", 1), ("H100-SXM-80GB", 2), ("H100-SXM-80GB", 4), ("RTX-4090", 2),
        )
    }  # fmt: skip
    assert [round(each / GIB, 2) for each in other.values()] == [0.14, 0.55, 2.1, 0.25]


def test_measured_parts_replace_the_estimates():
    log = {"weights": 14.99, "activation": 4.76, "non_torch": 0.13, "cuda_graphs": 0.0}
    measured = {key: value * GIB for key, value in log.items()}
    pool = kv_pool(LLAMA8, H100, BF16, Limits(), measured=measured)
    assert pool.breakdown["kv_cache"] / GIB == pytest.approx(51.38, abs=0.01)  # llm-d's log
    assert [n.provenance for n in pool.provenance if n.source == "log"] == ["given"] * 4


@pytest.mark.parametrize(
    ("pool_gib", "model", "kv_cache", "degree", "tokens"),
    [
        (69.66, "qwen3-0.6b", "bf16", 1, 652144),  # vllm-project/vllm#24577
        (3.81, "llama-3.1-8b", "bf16", 1, 31232),  # vllm-project/vllm#10517
        (52.51, "llama-3.1-8b", "fp8", 1, 860320),  # TensorRT-LLM, NVIDIA/TensorRT-LLM#6294
        (8.23 + 8.23, "qwen3-235b-a22b", "bf16", 4, 367404),  # SGLang, vllm-project/vllm#21348
        (56.21, "llama-3.1-8b", "bf16", 1, 460496),  # vLLM 0.31 on an A100, case L3
    ],
)
def test_a_logged_pool_gives_the_logged_tokens(pool_gib, model, kv_cache, degree, tokens):
    settings = Settings(kv_cache=kv_cache)
    per_token = bytes_per_token(find_model(model), settings, degree)
    assert pool_gib * GIB / per_token == pytest.approx(tokens, rel=1e-3)


def test_the_smallest_pool_of_the_ranks_may_be_another_than_the_one_that_is_logged():
    """C04.1 states the pool of one rank of four: its tokens are 1.1 % more than the replica's."""
    per_token = bytes_per_token(find_model("qwen3-235b-a22b"), BF16, 4)
    assert 8.11 * GIB / per_token == pytest.approx(178_880, rel=0.02)


def test_a_context_that_the_log_refuses_is_refused():
    """C01.6 to C01.11: 31,232 tokens serve 20,000, 1.56 at once; 23,648 do not serve 29,000."""
    fits = Limits(kv_tokens=1952 * 16, max_model_len=20_000)
    assert kv_pool(LLAMA8, RTX_3090, BF16, fits).max_concurrency == pytest.approx(1.56, abs=0.005)
    limits = Limits(kv_tokens=1478 * 16, max_model_len=29_000)
    with pytest.raises(InputError, match="must be at most the 23648 tokens of KV cache"):
        kv_pool(LLAMA8, RTX_3090, BF16, limits)


def test_a_logged_pool_that_is_too_small_for_a_context_is_refused():
    """C10.13: Qwen3-32B on one H100 starts with 16,000 tokens of context, not with 32,000."""
    measured = {"weights": 61.03 * GIB, "activation": 5.64 * GIB, "cuda_graphs": 0.0}
    shape = find_model("qwen3-32b")
    limits = Limits(max_num_seqs=1024, max_num_batched_tokens=8192, max_model_len=16_000)
    assert kv_pool(shape, H100, BF16, limits, measured=measured).max_concurrency > 1
    longer = replace(limits, max_model_len=32_000)
    with pytest.raises(InputError, match="tokens of KV cache that one request may hold"):
        kv_pool(shape, H100, BF16, longer, measured=measured)


@given(
    model=st.sampled_from(["llama-3.1-8b", "qwen3-0.6b", "gemma-2-9b", "gpt-oss-20b"]),
    utilisation=st.floats(0.6, 1.0),
    block_size=st.sampled_from([1, 8, 16, 32, 256]),
)
def test_fp8_kv_gives_exactly_twice_the_bytes_worth_of_blocks(model, utilisation, block_size):
    limits = Limits(gpu_memory_utilization=utilisation, block_size=block_size)
    wide = kv_pool(find_model(model), H100, Settings(), limits)
    narrow = kv_pool(find_model(model), H100, Settings(kv_cache="fp8"), limits)
    assert narrow.breakdown == wide.breakdown
    assert narrow.blocks in {2 * wide.blocks, 2 * wide.blocks + 1}


def test_weights_that_are_loaded_are_all_of_them():
    assert weight_bytes(LLAMA8, BF16) == 2 * LLAMA8.parameters
    layers, tables = LLAMA8.linear_parameters, LLAMA8.table_parameters
    assert weight_bytes(LLAMA8, Settings(weights="fp8")) == layers + 2 * tables
    oss = find_model("gpt-oss-20b")
    assert weight_bytes(oss, Settings(weights="mxfp4")) == pytest.approx(
        2 * (oss.parameters - oss.routed_parameters)
        + oss.routed_parameters * 4.25 / 8 * 3072 / 2880
    )


def test_the_fullest_pipeline_stage_has_the_most_layers_and_one_table():
    layer, table = 2 * LLAMA8.linear_parameters / 32, 2 * LLAMA8.embedding_parameters
    angles = 2 * 131072 * 128  # of each device, whole
    assert device_weight_bytes(LLAMA8, BF16, 2) == LLAMA8.parameters + angles
    assert device_weight_bytes(LLAMA8, BF16, 1, 3) == pytest.approx(11 * layer + table + angles)
    assert device_weight_bytes(LLAMA8, BF16, 2, 4) == pytest.approx(
        (8 * layer + table) / 2 + angles
    )


def test_kv_heads_are_divided_until_there_is_one_and_then_replicated():
    whole = LLAMA8.kv_bytes_per_token()
    shares = [bytes_per_token(LLAMA8, BF16, tp) / whole for tp in (1, 2, 8, 16, 32)]
    assert shares == [1, 1 / 2, 1 / 8, 1 / 8, 1 / 8]
    deepseek = find_model("deepseek-v3")
    assert bytes_per_token(deepseek, BF16, 8) == 70272
    assert bytes_per_token(LLAMA8, BF16, 1, 4) == whole / 4


def test_activations_are_the_larger_of_forward_pass_and_sampler():
    sampler = Limits(max_num_seqs=1024, max_num_batched_tokens=8192)
    expected = 38.2 * 1024 * 128256 + 1.25 * 8192 * 4096 * 2
    assert peak_activation(LLAMA8, BF16, sampler) == pytest.approx(expected)
    assert peak_activation(LLAMA8, BF16, sampler) / GIB == pytest.approx(4.76, rel=0.01)
    forward = Limits(max_num_batched_tokens=29000)
    assert peak_activation(LLAMA8, BF16, forward) == 29000 * (3 * 4096 + 3 * 14336) * 2
    assert peak_activation(LLAMA8, BF16, forward, 2) == 29000 * (3 * 4096 + 3 * 7168) * 2


def test_the_engines_own_log_line_overrides_the_arithmetic():
    pool = kv_pool(LLAMA8, find_device("EPYC-9654"), BF16, Limits(kv_tokens=40_009))
    assert (pool.tokens, pool.blocks, pool.max_model_len) == (40_000, 2500, 40_000)
    assert pool.breakdown == {"kv_cache": 40_000 * 131072}
    assert [number.provenance for number in pool.provenance] == ["given"]


def test_a_model_that_does_not_fit_is_refused_with_the_arithmetic_and_a_degree_that_would_do():
    fp8 = Settings(weights="fp8")
    limits = Limits(max_num_seqs=1024, max_num_batched_tokens=8192)
    with pytest.raises(InputError) as error:
        kv_pool(LLAMA70, H100, fp8, limits)
    message = str(error.value)
    assert "0.9 x 79.18 GiB = 71.26 GiB, less weights 67.70, activation 4.83" in message
    assert "leaves -1.90 GiB for the KV cache; try tensor_parallel: 2 (leaves 31.52 GiB)" in message
    with pytest.raises(InputError, match="try weights of fewer bytes"):
        kv_pool(LLAMA70, RTX_3090, BF16, limits)


def test_a_context_longer_than_model_or_pool_is_refused():
    with pytest.raises(InputError, match=r"at most the 131072 positions .*, got 131073"):
        kv_pool(LLAMA8, H100, BF16, Limits(max_model_len=131_073))
    with pytest.raises(InputError, match=r"the \d+ tokens of KV cache .*leaves 4.41 GiB.*raise"):
        kv_pool(LLAMA8, RTX_3090, BF16, Limits(max_model_len=100_000))
    with pytest.raises(InputError, match=r"at most the 1600 tokens .* may hold, got 2000"):
        kv_pool(LLAMA8, H100, BF16, Limits(kv_tokens=1600, max_model_len=2000))


def test_one_micro_batch_holds_its_share_of_the_pool():
    limits = Limits(kv_tokens=16 * 101)
    pool = kv_pool(LLAMA8, H100, BF16, limits, pipeline_parallel=4)
    assert (pool.blocks, pool.max_model_len) == (101, 25 * 16)


def test_memory_that_is_not_known_is_not_invented():
    with pytest.raises(InputError, match="must be a device whose memory is known, got 'EPYC-9654'"):
        kv_pool(LLAMA8, find_device("EPYC-9654"), BF16, Limits())


def test_an_encoder_has_no_pool():
    with pytest.raises(InputError, match="must be a decoder, got 'bert-base', an 'encoder' model"):
        kv_pool(find_model("bert-base"), H100, BF16, Limits())


def test_a_log_that_has_no_memory_for_blocks_is_refused_with_its_number():
    """C10.2: Llama-3.3-70B in FP8 on one H100."""
    log = {"weights": 67.72, "activation": 4.84, "non_torch": 0.14, "cuda_graphs": 0.0}
    limits = Limits(max_num_seqs=1024, max_num_batched_tokens=8192)
    measured = {key: value * GIB for key, value in log.items()}
    with pytest.raises(InputError, match=r"leaves -1\.44 GiB for the KV cache"):
        kv_pool(LLAMA70, H100, Settings(weights="fp8"), limits, measured=measured)
