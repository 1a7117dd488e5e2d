"""Model shapes: found by name, parameters and KV bytes exact."""

from __future__ import annotations

import json
from importlib import resources

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from planner.catalog.catalogue import find_model, model_names
from planner.catalog.models import ModelShape
from planner.errors import InputError

ENTRIES = json.loads(resources.files("planner.catalog").joinpath("data/models.json").read_text())[
    "models"
]
LLAMA = {
    "hidden_size": 4096,
    "n_layers": 32,
    "n_heads": 32,
    "n_kv_heads": 8,
    "ffn_size": 14336,
    "vocab_size": 128256,
    "max_position": 131072,
}
LINEAR = {
    "n_layers": 24, "key_heads": 16, "value_heads": 32, "key_head_dim": 128, "value_head_dim": 128,
}  # fmt: skip
LATENT = {"kv_lora_rank": 512, "qk_rope_dim": 64, "qk_nope_dim": 128, "v_head_dim": 128}
MOE = {**LLAMA, "n_experts": 8, "experts_per_token": 2, "moe_ffn_size": 14336}


def test_the_catalogue_has_ninety_six_models():
    assert len(model_names()) == 96


@pytest.mark.parametrize("name", model_names())
def test_parameters_are_those_that_the_collector_of_the_shapes_counted(name):
    check = ENTRIES[name]["check"]
    shape = find_model(name)
    assert shape.parameters == check["parameters"]
    assert shape.active_parameters == check.get("active_parameters", check["parameters"])


@pytest.mark.parametrize(
    ("name", "published"),
    [
        ("llama-3.1-8b", 8.03e9),
        ("llama-3.1-70b", 70.6e9),
        ("mixtral-8x7b", 46.7e9),
        ("deepseek-v3", 671e9),
        ("gpt-oss-120b", 116.8e9),
        ("gemma-2-9b", 9.24e9),
        ("gpt2", 124e6),
        ("phi-3-mini-4k", 3.82e9),
    ],
)
def test_parameters_are_the_published_ones_within_one_per_cent(name, published):
    assert find_model(name).parameters == pytest.approx(published, rel=0.01)


@pytest.mark.parametrize(
    ("name", "kv_bytes"),
    [
        ("llama-3.1-8b", 131072),  # 2 * 32 layers * 8 heads * 128 * 2 B
        ("llama-3.1-70b", 327680),
        ("llama-2-7b", 524288),
        ("qwen3-0.6b", 114688),
        ("deepseek-v3", 70272),  # (512 + 64) * 61 * 2 B, whatever the heads
        ("gemma-2-9b", 344064),
        ("bert-base", 0),
    ],
)
def test_kv_bytes_per_token_come_from_kv_heads_or_the_latent(name, kv_bytes):
    assert find_model(name).kv_bytes_per_token() == kv_bytes
    assert find_model(name).kv_bytes_per_token(1.0) == kv_bytes / 2


@pytest.mark.parametrize(
    ("name", "windowed", "window"),
    [
        ("gemma-2-9b", 21, 4096),  # every other layer
        ("gemma-3-27b", 52, 1024),  # 5 of 6
        ("gemma-3-1b", 22, 512),
        ("gpt-oss-20b", 12, 128),
        ("mistral-7b-v0.3", 0, 0),
        ("phi-4-mini", 0, 0),  # its window is longer than its context
    ],
)
def test_sliding_windows_are_those_of_the_family(name, windowed, window):
    shape = find_model(name)
    assert (shape.n_windowed_layers, shape.sliding_window) == (windowed, window)
    assert shape.full_layers + windowed == shape.n_layers


def test_all_layers_of_mistral_7b_v0_1_are_windowed():
    shape = find_model("mistral-7b-v0.1")
    assert (shape.n_windowed_layers, shape.full_layers) == (32, 0)


def test_attention_takes_four_flops_per_pair_and_channel():
    assert ModelShape(**LLAMA).attention_flops_per_pair == 4 * 32 * 128
    assert find_model("deepseek-v3").attention_flops_per_pair == 2 * 128 * (128 + 64 + 128)


def test_a_layer_of_linear_attention_has_projections_and_a_state():
    linear = find_model("qwen3.5-397b-a17b").linear_attention
    keys, values = 16 * 128, 64 * 128
    projections = 4096 * (2 * keys + 2 * values + 2 * 64) + values * 4096
    assert linear.parameters(4096) == projections
    assert linear.state_elements == 64 * 128 * 128
    assert linear.state_bytes == 4 * 64 * 128 * 128 + 2 * 3 * (2 * keys + values)
    assert linear.flops_per_token == 6 * 64 * 128 * 128


def test_only_layers_that_attend_have_a_kv_cache():
    shape = find_model("qwen3.5-397b-a17b")
    assert (shape.linear_layers, shape.full_layers, shape.kv_layers) == (45, 15, 15)
    assert shape.kv_bytes_per_token() == 15 * 2 * 2 * 256 * 2
    without = {"linear_attention": None, "gated_attention": False}
    plain = ModelShape.model_validate(shape.model_dump() | without)
    gate = 4096 * 32 * 256
    attends = shape.attention_parameters
    assert attends - plain.attention_parameters == gate
    linear = shape.linear_attention.parameters(4096)
    assert shape.parameters - plain.parameters == 45 * linear - 45 * (attends - gate) + 15 * gate


def test_folded_latent_attention_takes_the_latent_for_keys_and_values():
    assert ModelShape(**LLAMA).decode_flops_per_pair == 4 * 32 * 128
    assert find_model("deepseek-v3").decode_flops_per_pair == 2 * 128 * (512 + 64 + 512)


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("Meta-Llama-3.1-8B-Instruct", "llama-3.1-8b"),
        ("meta-llama/Llama-3.3-70B-Instruct", "llama-3.1-70b"),
        ("deepseek-ai/DeepSeek-R1", "deepseek-v3"),
        ("openai/gpt-oss-20b", "gpt-oss-20b"),
        ("QWEN3 32B", "qwen3-32b"),
        ("Qwen/Qwen3-32B-FP8", "qwen3-32b"),
        ("bert-base-uncased", "bert-base"),
        ("mixtral", "mixtral-8x7b"),
    ],
)
def test_a_model_is_found_by_name_alias_and_repository(name, found):
    assert find_model(name).name == found


@pytest.mark.parametrize(
    ("name", "repository"),
    [
        ("gemma-3-27b", "google/gemma-3-27b-it"),
        ("gemma-3-27b-it", "google/gemma-3-27b-it"),
        ("mixtral", "mistralai/Mixtral-8x7B-v0.1"),
        ("meta-llama/Llama-3.1-8B-Instruct", "meta-llama/Llama-3.1-8B-Instruct"),
        ("llama-3.3-70b", "meta-llama/Llama-3.3-70B-Instruct"),
        ("llama-3.3-70b-instruct", "meta-llama/Llama-3.3-70B-Instruct"),
        ("deepseek-r1", "deepseek-ai/DeepSeek-R1"),
        ("llama-3.1-8b-instruct", ""),
        ("deepseek-r1-distill-qwen-14b", ""),
    ],
)
def test_the_repository_is_that_of_the_model_asked_for_and_of_no_other_of_its_shape(
    name, repository
):
    assert find_model(name).hf_id == repository


def test_an_unknown_model_is_refused_with_near_names_and_what_would_supply_it():
    with pytest.raises(InputError, match=r"got 'llama-4-8b'; did you mean .*config.json"):
        find_model("llama-4-8b")
    with pytest.raises(InputError, match=r"must be one model, got 'gemma-3', which may be 'gemma-"):
        find_model("gemma-3")


@given(st.text(max_size=60))
def test_any_name_gives_a_model_or_an_input_error(name):
    try:
        shape = find_model(name)
    except InputError as error:
        assert "model" in str(error)  # noqa: PT017 - either outcome is right
    else:
        assert shape.name in model_names()


def test_an_inline_shape_derives_head_width_and_kv_heads():
    shape = ModelShape(**{**LLAMA, "n_kv_heads": 0})
    assert (shape.head_dim, shape.n_kv_heads) == (128, 32)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_kv_heads": 5}, r"n_kv_heads must be a divisor of n_heads \(32\), got 5"),
        ({"n_heads": 33, "n_kv_heads": 33}, "head_dim must be given where n_heads does not"),
        ({"experts_per_token": 1}, "experts_per_token must be from 1 to n_experts"),
        ({"n_experts": 8, "experts_per_token": 2}, "moe_ffn_size must be given with experts only"),
        ({"n_shared_experts": 1}, "n_shared_experts must be 0 without experts"),
        ({"n_dense_layers": 1}, "n_dense_layers must be at most n_layers"),
        ({"sliding_window": 128}, "n_windowed_layers must be from 1 to n_layers"),
        ({"n_windowed_layers": 4}, "n_windowed_layers must be from 1 to n_layers"),
        ({"kv_lora_rank": 512}, "kv_lora_rank must be given with qk_rope_dim"),
        ({"v_head_dim": 128}, "kv_lora_rank must be given with qk_rope_dim"),
        ({"arch": "enc-dec"}, "n_layers_dec must be given with arch 'enc-dec' only"),
        ({"hidden_size": 10**10}, "less than or equal to 1000000000"),
        ({"n_layers": True}, "valid integer"),
        ({"layers": 3}, "Extra inputs"),
        ({"linear_attention": {**LINEAR, "n_layers": 32}}, "n_layers must be at least the 32 of"),
        ({"linear_attention": {**LINEAR, "value_heads": 24}}, "value_heads must be a multiple of"),
        ({"linear_attention": LINEAR, "arch": "encoder"}, "arch must be 'decoder' with linear_att"),
        ({**LATENT, "gated_attention": True}, "gated_attention must be false with kv_lora_rank"),
    ],
)
def test_sizes_that_do_not_fit_together_are_refused(change, message):
    with pytest.raises(ValidationError, match=message):
        ModelShape(**{**LLAMA, **change})


def test_all_broken_rules_are_reported_at_once():
    with pytest.raises(ValidationError) as error:
        ModelShape(**{**LLAMA, "n_kv_heads": 5, "sliding_window": 128})
    (details,) = error.value.errors()
    assert [each.key for each in details["ctx"]["broken"]] == ["n_kv_heads", "n_windowed_layers"]


def test_a_token_uses_its_experts_and_the_router_of_every_layer():
    shape = ModelShape(**MOE)
    expert = 3 * 4096 * 14336
    assert shape.routed_parameters == 32 * 8 * expert
    assert shape.linear_parameters - shape.active_linear_parameters == 32 * 6 * expert
    attention = 2 * 4096 * 128 * (32 + 8)
    assert shape.fixed_parameters == 32 * (attention + 4096 * 8)
