"""Shapes from the config.json of a Hugging Face repository."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.catalog.catalogue import find_model
from planner.catalog.hf_config import MODEL_TYPES, from_hf_config
from planner.catalog.models import ModelShape
from planner.errors import InputError

DELTA = {
    "linear_conv_kernel_dim": 4, "linear_key_head_dim": 128, "linear_num_key_heads": 16,
    "linear_num_value_heads": 32, "linear_value_head_dim": 128, "full_attention_interval": 4,
}  # fmt: skip
SPARSE = {"num_experts": 512, "num_experts_per_tok": 10, "mlp_only_layers": []}


def like_llama(model_type, hidden, layers, heads, kv, ffn, vocab, position, **more):
    return {
        "model_type": model_type,
        "hidden_size": hidden,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": kv,
        "intermediate_size": ffn,
        "vocab_size": vocab,
        "max_position_embeddings": position,
        "torch_dtype": "bfloat16",
        **more,
    }


CONFIGS = {
    "llama-3.1-8b": like_llama("llama", 4096, 32, 32, 8, 14336, 128256, 131072),
    "mistral-7b-v0.1": like_llama(
        "mistral", 4096, 32, 32, 8, 14336, 32000, 32768, sliding_window=4096
    ),
    "mistral-7b-v0.3": like_llama(
        "mistral", 4096, 32, 32, 8, 14336, 32768, 32768, sliding_window=None
    ),
    "qwen2.5-7b": like_llama(
        "qwen2", 3584, 28, 28, 4, 18944, 152064, 131072,
        use_sliding_window=False, sliding_window=131072, max_window_layers=28,
    ),
    "qwen3-0.6b": like_llama(
        "qwen3", 1024, 28, 16, 8, 3072, 151936, 40960, head_dim=128, tie_word_embeddings=True
    ),
    "mixtral-8x7b": like_llama(
        "mixtral", 4096, 32, 32, 8, 14336, 32000, 32768, num_local_experts=8, num_experts_per_tok=2
    ),
    "qwen3-30b-a3b": like_llama(
        "qwen3_moe", 2048, 48, 32, 4, 6144, 151936, 40960, head_dim=128, num_experts=128,
        num_experts_per_tok=8, moe_intermediate_size=768, decoder_sparse_step=1, mlp_only_layers=[],
    ),
    "deepseek-v3": like_llama(
        "deepseek_v3", 7168, 61, 128, 128, 18432, 129280, 163840, n_routed_experts=256,
        num_experts_per_tok=8, moe_intermediate_size=2048, n_shared_experts=1,
        first_k_dense_replace=3, kv_lora_rank=512, q_lora_rank=1536, qk_rope_head_dim=64,
        qk_nope_head_dim=128, v_head_dim=128, quantization_config={"quant_method": "fp8"},
    ),
    "gemma-2-9b": like_llama(
        "gemma2", 3584, 42, 16, 8, 14336, 256000, 8192, head_dim=256, sliding_window=4096
    ),
    "gemma-3-27b": {
        "model_type": "gemma3",
        "text_config": like_llama(
            "gemma3_text", 5376, 62, 32, 16, 21504, 262144, 131072, head_dim=128,
            sliding_window=1024, sliding_window_pattern=6,
        ),
    },
    "qwen3-next-80b-a3b": like_llama(
        "qwen3_next", 2048, 48, 16, 2, 5120, 151936, 262144, head_dim=256, **DELTA, **SPARSE,
        moe_intermediate_size=512, shared_expert_intermediate_size=512,
    ),
    "qwen3.5-397b-a17b": {
        "model_type": "qwen3_5_moe", "tie_word_embeddings": False,
        "text_config": {
            **like_llama("qwen3_5_moe_text", 4096, 60, 32, 2, None, 248320, 262144, head_dim=256),
            **DELTA, **SPARSE, "linear_num_value_heads": 64, "moe_intermediate_size": 1024,
            "shared_expert_intermediate_size": 1024, "attn_output_gate": True,
            "layer_types": (["linear_attention"] * 3 + ["full_attention"]) * 15,
        },
    },
    "qwen3.5-9b": {
        "model_type": "qwen3_5",
        "text_config": like_llama(
            "qwen3_5_text", 4096, 32, 16, 4, 12288, 248320, 262144, head_dim=256, **DELTA
        ),
    },
    "phi-3-mini-4k": like_llama(
        "phi3", 3072, 32, 32, 32, 8192, 32064, 4096, sliding_window=2048
    ),
    "gpt-oss-20b": like_llama(
        "gpt_oss", 2880, 24, 64, 8, 2880, 201088, 131072, head_dim=64, num_local_experts=32,
        experts_per_token=4, sliding_window=128, quantization_config={"quant_method": "mxfp4"},
        layer_types=["sliding_attention", "full_attention"] * 12,
    ),
    "gpt2": {
        "model_type": "gpt2", "n_embd": 768, "n_layer": 12, "n_head": 12, "n_positions": 1024,
        "vocab_size": 50257, "n_inner": None, "torch_dtype": "float32",
    },
    "opt-13b": {
        "model_type": "opt", "hidden_size": 5120, "num_hidden_layers": 40, "ffn_dim": 20480,
        "num_attention_heads": 40, "vocab_size": 50272, "max_position_embeddings": 2048,
        "torch_dtype": "float32",
    },
    "bert-base": {
        "model_type": "bert", "hidden_size": 768, "num_hidden_layers": 12,
        "num_attention_heads": 12, "intermediate_size": 3072, "vocab_size": 30522,
        "max_position_embeddings": 512, "torch_dtype": "float32",
    },
}  # fmt: skip


def write(folder, content):
    path = folder / "config.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


@pytest.mark.parametrize("name", CONFIGS)
def test_a_configuration_gives_the_shape_of_the_catalogue(name, tmp_path):
    shape = from_hf_config(write(tmp_path, CONFIGS[name]))
    own = {"name", "hf_id", "origin"}
    if name == "mistral-7b-v0.1":
        own |= {"max_position"}  # the catalogue's source has 4096, the configuration 32768
    expected = find_model(name).model_dump(exclude=own)
    assert shape.model_dump(exclude=own) == expected
    assert shape.name == tmp_path.name
    assert shape.origin.source.endswith("config.json")


def test_every_architecture_that_is_read_has_an_example():
    seen = {config["model_type"] for config in CONFIGS.values()}
    seen |= {
        config["text_config"]["model_type"]
        for config in CONFIGS.values()
        if "text_config" in config
    }
    assert set(MODEL_TYPES) - seen == {"deepseek_v2"}


def test_gpt_oss_without_layer_types_alternates(tmp_path):
    config = {key: value for key, value in CONFIGS["gpt-oss-20b"].items() if key != "layer_types"}
    assert from_hf_config(write(tmp_path, config)).n_windowed_layers == 12


def test_qwen_windows_the_layers_after_the_first_full_ones(tmp_path):
    config = CONFIGS["qwen2.5-7b"] | {
        "use_sliding_window": True, "sliding_window": 4096, "max_window_layers": 20,
    }  # fmt: skip
    assert from_hf_config(write(tmp_path, config)).n_windowed_layers == 8


def test_linear_layers_are_those_that_are_listed_or_all_but_every_so_many(tmp_path):
    config = CONFIGS["qwen3-next-80b-a3b"]
    every = from_hf_config(write(tmp_path, config | {"full_attention_interval": 6}))
    assert every.linear_layers == 40
    listed = config | {"layer_types": ["full_attention"] * 40 + ["linear_attention"] * 8}
    assert from_hf_config(write(tmp_path, listed)).linear_layers == 8
    none = from_hf_config(write(tmp_path, config | {"layer_types": ["full_attention"] * 48}))
    assert none.linear_attention is None


def test_a_model_inside_another_has_what_the_outside_says_of_both(tmp_path):
    config = CONFIGS["qwen3.5-9b"] | {"tie_word_embeddings": True}
    config["text_config"] = {
        key: each for key, each in config["text_config"].items() if key != "tie_word_embeddings"
    }
    config["quantization_config"] = {"quant_method": "fp8"}
    shape = from_hf_config(write(tmp_path, config))
    assert shape.tied_embeddings
    assert shape.native_dtype == "fp8"


def test_shared_experts_are_whole_ones(tmp_path):
    config = CONFIGS["qwen3-next-80b-a3b"] | {"shared_expert_intermediate_size": 700}
    with pytest.raises(InputError, match=r"must be a multiple of moe_intermediate_size \(512\)"):
        from_hf_config(write(tmp_path, config))


def test_dense_layers_of_a_sparse_model_are_counted(tmp_path):
    config = CONFIGS["qwen3-30b-a3b"] | {"decoder_sparse_step": 2, "mlp_only_layers": [1, 2]}
    shape = from_hf_config(write(tmp_path, config))
    assert shape.n_dense_layers == 24 + 1  # every other layer, and layer 1 of the sparse ones


def test_dense_layers_are_counted_at_once_however_many_layers_there_are(tmp_path):
    config = CONFIGS["qwen3-30b-a3b"] | {"num_hidden_layers": 10**9, "mlp_only_layers": [-1]}
    with pytest.raises(InputError, match=r"n_layers: .* less than or equal to 100000"):
        from_hf_config(write(tmp_path, config))


@pytest.mark.parametrize(
    "types", ["linear_attention", ["linear_attention"] * 20, ["LINEAR"] * 48, [[]] * 48]
)
def test_layer_types_of_linear_attention_are_one_for_each_layer(types, tmp_path):
    config = CONFIGS["qwen3-next-80b-a3b"] | {"layer_types": types}
    rule = "layer_types: must list 'linear_attention' or 'full_attention' for each of the 48 layers"
    with pytest.raises(InputError, match=rule):
        from_hf_config(write(tmp_path, config))


@pytest.mark.parametrize("inner", [None, [1], "text"])
def test_a_model_inside_another_must_be_there(inner, tmp_path):
    config = {"model_type": "qwen3_5", "text_config": inner}
    with pytest.raises(InputError, match="text_config: must be a mapping where model_type is 'qw"):
        from_hf_config(write(tmp_path, config))


def test_missing_keys_are_all_named(tmp_path):
    config = CONFIGS["llama-3.1-8b"].copy()
    del config["hidden_size"], config["vocab_size"]
    path = write(tmp_path, config)
    with pytest.raises(InputError) as error:
        from_hf_config(path)
    assert [str(problem) for problem in error.value.problems] == [
        f"{path}: hidden_size: must be given",
        f"{path}: vocab_size: must be given",
    ]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model_type": "mamba"}, "model_type: must be one of bert, .*got 'mamba'"),
        ({"model_type": "lama"}, "did you mean 'llama'"),
        ({"model_type": None}, "got None"),
        ({"hidden_size": "4096"}, "hidden_size: must be a whole number from 1 to 1000000000"),
        ({"hidden_size": 4096.0}, "hidden_size: must be a whole number"),
        ({"vocab_size": -1}, "vocab_size: must be a whole number"),
        ({"num_key_value_heads": 5}, "n_kv_heads: must be a divisor of n_heads"),
        ({"tie_word_embeddings": "yes"}, "tie_word_embeddings: must be true or false"),
    ],
)
def test_unusable_values_are_refused_by_key(change, message, tmp_path):
    with pytest.raises(InputError, match=message):
        from_hf_config(write(tmp_path, CONFIGS["llama-3.1-8b"] | change))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", r"config.json:1:1: must be a Hugging Face config.json in JSON"),
        ("{,}", r"config.json:1:2: must be"),
        ("[1]", "a JSON object, got list"),
        ('{"a": NaN}', "NaN is no number of JSON"),
        ("[" * 100_000, "in JSON"),
        ('{"a": "' + "x" * 1_000_000 + '"}', "of at most 1,000,000 bytes"),
    ],
)
def test_a_file_that_is_no_such_json_is_refused(content, message, tmp_path):
    with pytest.raises(InputError, match=message):
        from_hf_config(write(tmp_path, content))


def test_a_file_that_cannot_be_read_is_refused(tmp_path):
    with pytest.raises(InputError, match="No such file"):
        from_hf_config(tmp_path / "config.json")
    (tmp_path / "config.json").write_bytes(b"\xff\xfe{}")
    with pytest.raises(InputError, match="in JSON"):
        from_hf_config(tmp_path / "config.json")
    with pytest.raises(InputError, match="directory"):
        from_hf_config(tmp_path)


KEYS = sorted({key for config in CONFIGS.values() for key in config} | set(CONFIGS["gemma-2-9b"]))
VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(-2, 2**40), st.floats(allow_nan=False),
    st.text(max_size=5),
    st.lists(st.integers(0, 5), max_size=3), st.dictionaries(st.text(max_size=3), st.integers()),
)  # fmt: skip


@given(
    base=st.sampled_from(sorted(CONFIGS)),
    change=st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=4),
    drop=st.sets(st.sampled_from(KEYS), max_size=2),
)
def test_any_change_of_a_configuration_gives_a_shape_or_an_input_error(base, change, drop):
    config = {key: value for key, value in (CONFIGS[base] | change).items() if key not in drop}
    assert_shape_or_input_error(json.dumps(config))


@given(
    st.recursive(VALUES, lambda inner: st.dictionaries(st.sampled_from(KEYS), inner, max_size=5))
)
def test_any_json_gives_a_shape_or_an_input_error(content):
    assert_shape_or_input_error(json.dumps(content))


def assert_shape_or_input_error(text):
    handle, name = tempfile.mkstemp(suffix=".json")
    path = Path(name)
    try:
        os.write(handle, text.encode())
        shape = from_hf_config(path)
    except InputError as error:
        assert str(path) in str(error)  # noqa: PT017 - either outcome is right
    else:
        assert isinstance(shape, ModelShape)
        assert shape.parameters > 0
    finally:
        os.close(handle)
        path.unlink()
