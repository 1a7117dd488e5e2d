"""Groups of layers that share blocks: what engines log for models with windows and states."""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.catalog.catalogue import find_device, find_model
from planner.errors import InputError
from planner.latency.kv_layout import KvLayers, kv_layout
from planner.latency.memory import GIB, kv_pool, model_layout
from planner.latency.settings import Settings
from planner.scenario.engine import Chunked, Engine, PrefillFirst

H100 = find_device("H100-SXM-80GB")
WHOLE = Engine(disable_hybrid_kv_cache_manager=True)


@dataclass(frozen=True)
class Logged:
    """What a start log says, and what the layout makes of the pool that it states."""

    before_021: int
    since_021: float
    concurrency: float


def logged(row):
    """Return the sizes that vLLM would log for the layers and the pool of a published case."""
    kinds = [
        KvLayers(int(layers), float(token), int(window), float(state))
        for layers, token, window, state in (
            kind.split("/") for kind in row["layers/token_bytes/window/state_bytes"].split()
        )
    ]
    layout = kv_layout(kinds, 16)
    blocks = math.floor(float(row["pool_gib"]) * GIB / layout.block_bytes)
    length, step = int(row["max_model_len"]), int(row["step_tokens"])
    times = blocks / layout.request_blocks(length, step)
    smallest = min(group.block_size for group in layout.groups)
    return Logged(blocks // len(layout.groups) * smallest, times * length, times)


CASES = list(
    csv.DictReader(Path(__file__).with_name("kv_layout_cases.csv").read_text().splitlines())
)


@pytest.mark.parametrize("row", CASES, ids=lambda row: row["case"])
def test_published_sizes_of_pools_with_windows_and_states(row):
    found = logged(row)
    predicted = {
        "tokens_before_0.21": found.before_021,
        "tokens": found.since_021,
        "max_concurrency": found.concurrency,
    }[row["quantity"]]
    assert predicted == pytest.approx(float(row["value"]), rel=float(row["within"]))


def test_every_published_case_is_there():
    assert {row["case"] for row in CASES} >= {"C11.1", "C11.2", "C16.2", "C16.3"}


def test_layers_of_one_kind_are_one_group():
    layout = kv_layout([KvLayers(32, 4096.0)], 16)
    assert layout.keeps_all
    assert layout.block_bytes == 32 * 4096 * 16
    assert layout.request_blocks(33, 2048) == 3
    assert (layout.full_groups, layout.window_groups, layout.window_blocks(64)) == (1, 0, 0)


@pytest.mark.parametrize(
    ("model", "full", "windows"),
    [
        ("gpt-oss-20b", 1, 1),  # 12 and 12 layers
        ("gemma-2-9b", 1, 1),  # 21 and 21
        ("gemma-3-27b", 1, 6),  # 10 and 52, the last group part empty
        ("gemma-3-12b", 1, 5),  # 8 and 40
        ("mistral-7b-v0.1", 0, 1),  # 32 windowed ones
        ("llama-3.1-8b", 1, 0),
    ],
)
def test_groups_of_the_catalogues_models(model, full, windows):
    layout = model_layout(find_model(model), Settings(), Engine())
    assert (layout.full_groups, layout.window_groups) == (full, windows)
    assert layout.keeps_all == (windows == 0)


def test_the_catalogues_hybrid_has_the_layers_of_the_published_case():
    (row,) = (row for row in CASES if row["case"] == "C16.2")
    kinds = [
        tuple(map(float, kind.split("/")))
        for kind in row["layers/token_bytes/window/state_bytes"].split()
    ]
    published = kv_layout([KvLayers(int(n), b, int(w), s) for n, b, w, s in kinds], 16)
    layout = model_layout(find_model("Qwen/Qwen3.6-35B-A3B"), Settings(kv_cache="fp8"), Engine())
    assert layout == published
    assert (layout.full_groups, layout.state_blocks, layout.keeps_all) == (1, 3 * 2, False)


def test_a_block_beside_states_is_as_large_as_one_of_them():
    shape = find_model("qwen3.5-9b")
    pool = kv_pool(shape, H100, Settings(), Engine())
    state = shape.linear_attention.state_bytes
    token = 2 * 4 * 256 * 2
    assert pool.block_size == 16 * math.ceil(state / (16 * token))
    assert pool.layout.block_bytes == 8 * token * pool.block_size  # of 8 layers, as all groups
    # three groups of eight layers each hold a state and the one before it
    assert pool.layout.request_blocks(1, 8192) == 1 + 3 * 2
    assert pool.layout.request_blocks(10 * pool.block_size, 8192) == 10 + 3 * 2
    # two devices halve state and token alike; of eight, two share a KV head but no state
    two, eight = (kv_pool(shape, H100, Settings(), Engine(), tensor_parallel=n) for n in (2, 8))
    assert two.block_size == pool.block_size
    assert two.layout.block_bytes == pool.layout.block_bytes / 2
    assert eight.block_size == 16 * math.ceil(state / 8 / (16 * token / 4))


def test_kinds_of_nearly_as_many_layers_have_one_group_each():
    layout = kv_layout([KvLayers(9, 8.0, 100), KvLayers(8, 8.0)], 16)
    assert len(layout.groups) == 2
    assert layout.block_bytes == 9 * 8 * 16
    apart = kv_layout([KvLayers(12, 8.0, 100), KvLayers(8, 8.0)], 16)
    assert (len(apart.groups), apart.block_bytes) == (3, 8 * 8 * 16)


def test_a_window_needs_no_more_blocks_however_long_the_request():
    layout = kv_layout([KvLayers(4, 8.0), KvLayers(4, 8.0, 100)], 16)
    # 99 tokens that the first of a step of 64 sees, the step, one more since blocks do not align
    in_window = math.ceil((99 + 64) / 16) + 1
    assert layout.window_blocks(64) == in_window
    assert layout.request_blocks(10_000, 64) == 625 + in_window
    assert layout.request_blocks(20_000, 64) == 1250 + in_window


def test_only_the_chunked_scheduler_gives_windows_back_and_it_can_be_kept_from_it():
    assert Engine(scheduler=Chunked()).frees_windows
    assert not Engine(scheduler=PrefillFirst()).frees_windows
    assert not WHOLE.frees_windows


def test_windows_make_room_for_more_requests():
    shape, settings = find_model("gemma-3-27b"), Settings(weights="fp8")
    kept = kv_pool(shape, H100, settings, WHOLE)
    freed = kv_pool(shape, H100, settings, Engine())
    assert freed.breakdown["kv_cache"] == kept.breakdown["kv_cache"]
    assert freed.fit(32_000) > 3 * kept.fit(32_000)
    assert freed.max_model_len > kept.max_model_len
    assert freed.tokens == int(freed.max_concurrency * freed.max_model_len)


def test_a_logged_size_gives_the_blocks_that_it_was_logged_for():
    shape = find_model("gpt-oss-20b")
    settings = Settings(weights="mxfp4")
    for length in (4096, 100_000, None):
        own = kv_pool(shape, H100, settings, Engine(max_model_len=length))
        engine = Engine(max_model_len=own.max_model_len, kv_tokens=own.tokens)
        given = kv_pool(shape, H100, settings, engine)
        assert (given.blocks, given.tokens) == (own.blocks, own.tokens)


def test_a_context_beyond_what_the_windows_leave_is_refused():
    shape, settings = find_model("gemma-3-27b"), Settings(weights="fp8")
    longest = kv_pool(shape, H100, settings, Engine(kv_tokens=30_000)).max_model_len
    engine = Engine(kv_tokens=30_000)
    with pytest.raises(InputError, match="tokens of KV cache that one request may hold"):
        kv_pool(shape, H100, settings, engine.model_copy(update={"max_model_len": longest + 9_000}))


@given(
    full=st.integers(0, 70),
    windowed=st.integers(0, 70),
    window=st.integers(1, 5000),
    block=st.sampled_from([1, 16, 32]),
    step=st.integers(1, 9000),
    tokens=st.integers(1, 300_000),
    blocks=st.integers(0, 100_000),
)
def test_what_holds_for_any_layers(full, windowed, window, block, step, tokens, blocks):
    kinds = [KvLayers(n, 512.0, size) for n, size in ((full, 0), (windowed, window)) if n] or [
        KvLayers(1, 512.0)
    ]
    layout = kv_layout(kinds, block)
    need = layout.request_blocks(tokens, step)
    # every layer has room, and a longer request never needs fewer
    size = layout.block_bytes / (512 * block)
    assert size * len(layout.groups) >= sum(kind.layers for kind in kinds)
    assert layout.request_blocks(tokens + 1, step) >= need
    longest = layout.longest(blocks, step, 300_000)
    assert longest == 0 or layout.request_blocks(longest, step) <= blocks
    assert longest == 300_000 or layout.request_blocks(longest + 1, step) > blocks
