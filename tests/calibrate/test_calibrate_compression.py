"""Compression: pruned and quantised models compute what they should."""

# ruff: noqa: E402 - imports follow the check that torch is there
from __future__ import annotations

import contextlib
import copy
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch", reason="calibrate needs torch")
pytest.importorskip("transformers", reason="calibrate needs transformers")

from torch import nn

from calibrate.compression import emulated
from calibrate.compression.base import Compression, linears, weight_bytes
from calibrate.compression.compiling import Compile
from calibrate.compression.pruning import TwoOfFour, UnstructuredPruning
from calibrate.compression.quantisation import Int8Dynamic
from calibrate.compression.quantised import (
    FEW_ROWS,
    FP8_MAX,
    Fp8DynamicLinear,
    Int4WeightOnlyLinear,
    Int8DynamicLinear,
    Int8WeightOnlyLinear,
)
from calibrate.compression.structured import StructuredPruning, _parts, _rows_of
from calibrate.compression.variant import DEFAULT_VARIANTS, Variant, parse_variant
from calibrate.models.load import load_model
from planner.catalog.catalogue import find_model
from planner.catalog.formats import formats
from planner.catalog.models import ModelShape
from planner.errors import InputError

CPU = torch.device("cpu")
SIZES = {
    "hidden_size": 64,
    "n_layers": 2,
    "n_heads": 8,
    "ffn_size": 128,
    "vocab_size": 96,
    "max_position": 64,
}
SHAPES = {
    "llama": ModelShape(**SIZES, n_kv_heads=4, tied_embeddings=True),
    "gpt2": ModelShape(**SIZES, ffn_gated=False, tied_embeddings=True),
    "bert": ModelShape(**SIZES, ffn_gated=False, arch="encoder"),
}
IDS = torch.arange(20)[None]
QUANTISED = [Int8WeightOnlyLinear, Int8DynamicLinear, Int4WeightOnlyLinear, Fp8DynamicLinear]
needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


def fresh(family, seed=0):
    """Return a model whose biases are not zero, so that forgetting one shows."""
    model = load_model(SHAPES[family], "fp32", "cpu", seed=seed).model
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):
            parameter.data = torch.randn(parameter.shape, generator=generator) / 10
    return model


@torch.inference_mode()
def output(model):
    return model(IDS)[0]


def weights(model):
    return [place.linear.weight for place in linears(model)]


# ---- pruning of single weights


@pytest.mark.parametrize("criterion", ["random", "magnitude"])
@given(rate=st.floats(0.001, 0.999), seed=st.integers(0, 2**31))
@settings(max_examples=15, deadline=None)
def test_unstructured_pruning_removes_its_rate_of_each_matrix_to_the_weight(criterion, rate, seed):
    model = fresh("llama")
    pruned = UnstructuredPruning(rate=rate, criterion=criterion, seed=seed).apply(
        copy.deepcopy(model)
    )
    for before, after in zip(weights(model), weights(pruned), strict=True):
        assert int((after == 0).sum()) == round(rate * before.numel())
        kept = after != 0
        assert torch.equal(after[kept], before[kept])
        if criterion == "magnitude" and kept.any() and not kept.all():
            assert before[kept].abs().min() >= before[~kept].abs().max()


def test_random_pruning_follows_from_its_seed():
    one, same, other = (
        weights(UnstructuredPruning(rate=0.3, criterion="random", seed=s).apply(fresh("llama")))
        for s in (1, 1, 2)
    )
    assert all(torch.equal(a, b) for a, b in zip(one, same, strict=True))
    assert not torch.equal(one[0] == 0, other[0] == 0)


def test_unstructured_pruning_leaves_memory_and_shape_alone():
    model = fresh("llama")
    before = weight_bytes(model)
    pruning = UnstructuredPruning(rate=0.5)
    assert weight_bytes(pruning.apply(model)) == before
    assert pruning.compressed(SHAPES["llama"]) == SHAPES["llama"]


@given(
    rows=st.integers(1, 6),
    quarters=st.integers(1, 6),
    seed=st.integers(0, 2**31),
    levels=st.integers(1, 8),
)
def test_two_of_four_keeps_exactly_the_two_largest_of_every_four(rows, quarters, seed, levels):
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randint(-levels, levels + 1, (rows, 4 * quarters), generator=generator).float()
    mask = TwoOfFour.mask(weight)
    groups, kept = weight.abs().view(-1, 4), mask.view(-1, 4)
    assert (kept.sum(dim=1) == 2).all()
    sums = (groups * kept).sum(dim=1)
    assert torch.equal(sums, groups.sort(dim=1).values[:, 2:].sum(dim=1))


def test_two_of_four_prunes_every_matrix_of_the_layers_and_nothing_else():
    model = fresh("gpt2")
    pruned = TwoOfFour().apply(copy.deepcopy(model))
    assert all(int((each == 0).sum()) == each.numel() // 2 for each in weights(pruned))
    assert torch.equal(pruned.transformer.wte.weight, model.transformer.wte.weight)


# ---- structured pruning


@pytest.mark.parametrize("family", SHAPES)
@pytest.mark.parametrize("criterion", ["random", "magnitude"])
@pytest.mark.parametrize("rate", [0.1, 0.25, 0.5, 0.9])
def test_a_structurally_pruned_model_equals_the_original_with_those_channels_zeroed(
    family, criterion, rate
):
    original = fresh(family)
    pruning = StructuredPruning(rate=rate, criterion=criterion)
    kept = pruning.kept(original)
    smaller = pruning.apply(copy.deepcopy(original))
    blocks_ = (
        original.base_model.encoder.layer
        if family == "bert"
        else (original.base_model.layers if family == "llama" else original.base_model.h)
    )
    for block, left in zip(blocks_, kept, strict=True):
        parts = _parts(block)
        size = parts.shared * parts.head_dim
        gone = torch.ones(parts.attention_out.linear.in_features, dtype=torch.bool)
        gone[_rows_of(left.groups, size)] = False
        parts.attention_out.linear.weight.data[:, gone] = 0
        gone = torch.ones(parts.ffn_out.linear.in_features, dtype=torch.bool)
        gone[left.channels] = False
        parts.ffn_out.linear.weight.data[:, gone] = 0
    torch.testing.assert_close(output(smaller), output(original), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("family", SHAPES)
@pytest.mark.parametrize("rate", [0.1, 0.25, 0.5, 0.75])
def test_structured_pruning_builds_the_shape_that_it_says(family, rate):
    pruning = StructuredPruning(rate=rate)
    model = pruning.apply(fresh(family))
    shape = pruning.compressed(SHAPES[family])
    assert sum(each.numel() for each in weights(model)) == shape.linear_parameters
    assert model.config.num_attention_heads == shape.n_heads
    # within half of a multiple of 8 channels
    original = SHAPES[family]
    off = shape.linear_parameters - (1 - rate) * original.linear_parameters
    channel = original.ffn_matrices * original.hidden_size * original.n_layers
    assert abs(off) <= 4 * channel


@pytest.mark.parametrize("family", SHAPES)
def test_structured_pruning_by_half_halves_every_matrix(family):
    model = fresh(family)
    before = [each.numel() for each in weights(model)]
    memory = sum(each.nbytes for each in weights(model))
    after = weights(StructuredPruning(rate=0.5).apply(model))
    assert [2 * each.numel() for each in after] == before
    assert 2 * sum(each.nbytes for each in after) == memory
    assert all(each.is_contiguous() for each in after)
    assert all(each.untyped_storage().nbytes() == each.nbytes for each in after)


@pytest.mark.parametrize("name", ["llama-3.2-1b", "llama-3.1-8b", "gpt2", "bert-base"])
@pytest.mark.parametrize("rate", [0.25, 0.5])
def test_shapes_of_the_catalogue_lose_the_rate_within_half_a_per_cent(name, rate):
    shape = find_model(name)
    left = StructuredPruning(rate=rate).compressed(shape).linear_parameters
    assert left / shape.linear_parameters == pytest.approx(1 - rate, abs=0.005)


def test_the_lightest_heads_and_channels_go_first():
    model = fresh("llama")
    block = model.model.layers[0]
    block.mlp.down_proj.weight.data[:, 7] = 0
    for name in ("gate_proj", "up_proj"):
        getattr(block.mlp, name).weight.data[7] = 0
    for name, rows in (("q_proj", 16), ("k_proj", 8), ("v_proj", 8)):
        getattr(block.self_attn, name).weight.data[2 * rows : 3 * rows] = 0
    block.self_attn.o_proj.weight.data[:, 32:48] = 0
    kept = StructuredPruning(rate=0.25).kept(model)[0]
    assert kept.groups.tolist() == [0, 1, 3]
    assert 7 not in kept.channels.tolist()


def test_a_pruned_model_can_be_saved_and_loaded(tmp_path):
    pruned = parse_variant("fp32+structured:0.5").load(SHAPES["llama"], "cpu")
    pruned.model.save_pretrained(tmp_path)
    again = load_model(tmp_path, "fp32", "cpu")
    assert torch.equal(output(again.model), output(pruned.model))
    assert again.shape.linear_parameters == pruned.shape.linear_parameters


def test_structured_pruning_of_blocks_it_does_not_know_is_refused():
    class Odd(nn.Module):
        config = type("Config", (), {"num_hidden_layers": 1})

        def __init__(self):
            super().__init__()
            self.layers = nn.ModuleList([nn.Linear(4, 4)])

    with pytest.raises(InputError, match="blocks of the kind of Llama, GPT-2 or BERT, got Linear"):
        StructuredPruning(rate=0.5).apply(Odd())


# ---- quantisation


def linear_of(seed, outputs=32, inputs=96, dtype=torch.bfloat16):
    generator = torch.Generator().manual_seed(seed)
    linear = nn.Linear(inputs, outputs, dtype=torch.float32)
    spread = torch.rand(outputs, 1, generator=generator) * 10
    linear.weight.data = torch.randn(outputs, inputs, generator=generator) * spread
    linear.bias.data = torch.randn(outputs, generator=generator)
    return linear.to(dtype).requires_grad_(requires_grad=False)


@pytest.mark.parametrize("layer", [Int8WeightOnlyLinear, Int8DynamicLinear])
@given(seed=st.integers(0, 2**31))
def test_int8_weights_are_off_by_half_a_step_of_their_row_at_most(layer, seed):
    linear = linear_of(seed)
    weight = linear.weight.float()
    made = layer(linear)
    step = made.scale.float()[:, None]
    assert ((made.dequantised() - weight).abs() <= step * 0.5 * (1 + 1e-5)).all()
    torch.testing.assert_close(127 * step[:, 0], weight.abs().amax(1), rtol=2**-8, atol=0)


@given(seed=st.integers(0, 2**31))
@settings(max_examples=30)
def test_int4_weights_are_off_by_half_a_step_of_their_group_at_most(seed):
    linear = linear_of(seed)
    made = Int4WeightOnlyLinear(linear)
    assert made.group == 32
    groups = linear.weight.float().view(32, 3, 32)
    step = (groups.amax(2, keepdim=True) - groups.amin(2, keepdim=True)) / 15
    largest = groups.abs().amax(2, keepdim=True)
    # scale, zero point and product are 16-bit: 2**-8 of what they are made of
    bound = step / 2 + (15 * step + largest) * 2**-7
    found = made.dequantised().view(32, 3, 32)
    assert ((found - groups).abs() <= bound).all()
    assert all(len(row.unique()) <= 16 for row in found.flatten(0, 1))


@given(seed=st.integers(0, 2**31))
def test_fp8_weights_are_off_by_a_sixteenth_of_themselves_at_most(seed):
    linear = linear_of(seed)
    weight = linear.weight.float()
    made = Fp8DynamicLinear(linear)
    step = made.scale[:, None]
    # 3 bits of mantissa round to 2**-4 of the value, and below 2**-6 to steps of 2**-9
    bound = torch.maximum(weight.abs() * 2**-4, step * 2**-10) * (1 + 1e-5)
    assert ((made.dequantised() - weight).abs() <= bound).all()
    torch.testing.assert_close(FP8_MAX * step[:, 0], weight.abs().amax(1))


@pytest.mark.parametrize("layer", QUANTISED)
@pytest.mark.parametrize("shape", [(1,), (7,), (FEW_ROWS,), (2, FEW_ROWS)])
def test_a_quantised_layer_computes_with_the_weights_that_it_stands_for(layer, shape):
    linear = linear_of(1)
    made = layer(linear)
    inputs = torch.randn(*shape, 96, generator=torch.Generator().manual_seed(2)).bfloat16()
    expected = nn.functional.linear(inputs.float(), made.dequantised(), linear.bias.float())
    found = made(inputs)
    assert found.dtype is torch.bfloat16
    assert found.shape == (*shape, 32)
    # activations lose 1/254 (int8) or 1/16 (fp8) of the largest or themselves; products add up
    rough = {Int8DynamicLinear: 0.02, Fp8DynamicLinear: 0.06}.get(layer, 0.01)
    error = (found.float() - expected).norm() / expected.norm()
    assert error < rough


@pytest.mark.parametrize("inputs", [24, 40, 56, 100])
@pytest.mark.parametrize("rows", [1, 3, FEW_ROWS])
def test_no_kernel_looks_beyond_weights_and_inputs_of_odd_widths(inputs, rows):
    made = Int8WeightOnlyLinear(linear_of(1, inputs=inputs))
    x = torch.randn(rows, inputs, generator=torch.Generator().manual_seed(2)).bfloat16()
    expected = made(x)
    beyond = torch.full((made.weight.numel() + 4096,), 127, dtype=torch.int8)
    beyond[: made.weight.numel()] = made.weight.flatten()
    made.weight = beyond[: made.weight.numel()].view_as(made.weight)
    large = torch.full((x.numel() + 4096,), 1e4, dtype=torch.bfloat16)
    large[: x.numel()] = x.flatten()
    found = made(large[: x.numel()].view_as(x))
    assert torch.equal(found, expected)
    exact = nn.functional.linear(x.float(), made.dequantised(), made.bias.float())
    torch.testing.assert_close(
        found.float(), exact, rtol=0.02, atol=0.05 * exact.abs().mean().item()
    )


def test_int8_dynamic_products_are_exact_where_nothing_is_rounded():
    linear = nn.Linear(96, 32, bias=False)
    generator = torch.Generator().manual_seed(0)
    linear.weight.data = torch.randint(-127, 128, (32, 96), generator=generator).float()
    linear.weight.data[:, 0] = 127
    inputs = torch.randint(-127, 128, (5, 96), generator=generator).float()
    inputs[:, 0] = 127
    assert torch.equal(Int8DynamicLinear(linear)(inputs), linear(inputs))


@pytest.mark.parametrize("layer", QUANTISED)
def test_rows_of_zeros_stay_zeros(layer):
    linear = linear_of(3)
    linear.weight.data[5] = 0
    made = layer(linear)
    assert (made.dequantised()[5] == 0).all()
    inputs = torch.zeros(3, 96, dtype=torch.bfloat16)
    assert torch.equal(made(inputs), linear.bias.expand(3, -1))


@pytest.mark.parametrize(("name", "bits"), [("int8", 8), ("int8-bf16", 8), ("fp8", 8), ("int4", 4)])
def test_quantised_layers_take_the_bytes_that_their_name_says(name, bits):
    shape = ModelShape(**SIZES | {"hidden_size": 256, "ffn_size": 512, "n_heads": 4})
    plain = load_model(shape, "bf16", "cpu")
    rest = weight_bytes(plain.model) - 2 * shape.linear_parameters
    made = parse_variant(name).apply(plain)
    per_weight = (weight_bytes(made.model) - rest) / shape.linear_parameters
    # scales come on top: 4 bytes per row, or 4 bytes per group of 128
    assert bits / 8 <= per_weight <= bits / 8 + 4 / 128 + 1e-9
    assert not list(linears(made.model))


def test_int4_says_which_sizes_it_needs():
    with pytest.raises(InputError, match=r"groups of 32 and outputs in groups of 16, got 40 -> 32"):
        Int4WeightOnlyLinear(nn.Linear(40, 32))


@pytest.mark.parametrize("family", SHAPES)
@pytest.mark.parametrize("name", ["int8", "int8-bf16", "int4", "fp8"])
def test_quantisation_changes_outputs_a_little_and_not_embeddings(family, name):
    plain = load_model(SHAPES[family], "bf16", "cpu")
    before = output(plain.model).float()
    tables = {n: p.clone() for n, p in plain.model.named_parameters() if "emb" in n or "wte" in n}
    made = parse_variant(name).apply(plain)
    after = output(made.model).float()
    assert 0 < (after - before).norm() / before.norm() < 0.3
    now = dict(made.model.named_parameters())
    assert tables
    assert all(torch.equal(now[key], value) for key, value in tables.items())


# ---- variants


def members(base):
    for each in base.__subclasses__():
        yield each
        yield from members(each)


def test_every_compression_is_reached_by_a_default_variant():
    used = {type(step) for name in DEFAULT_VARIANTS for step in parse_variant(name).compressions()}
    public = {each for each in members(Compression) if not each.__name__.startswith("_")}
    assert used == public


@pytest.mark.parametrize("name", DEFAULT_VARIANTS)
def test_every_default_variant_has_a_name_of_its_own_and_settings_of_the_catalogue(name):
    variant = parse_variant(name)
    assert variant.name == name
    assert variant.settings.weights in formats().weights
    assert variant.settings.pruning.pattern in formats().pruning


@pytest.mark.parametrize("name", [n for n in DEFAULT_VARIANTS if "+" not in n])
@pytest.mark.parametrize("family", SHAPES)
def test_every_variant_runs_on_the_cpu_or_says_why_it_would_be_slow(family, name):
    variant = parse_variant(name)
    made = variant.load(SHAPES[family], "cpu")
    assert torch.isfinite(output(made.model)).all()
    expected = {
        "fp8": "no kernel for fp8 on cpu: products are emulated",
        "2:4": "no kernel for 2:4 on cpu: the zeros are multiplied like other weights",
    }
    reason = variant.supported(CPU)
    if name == "int8" and reason is not None:  # a CPU without instructions for it
        assert re.fullmatch(r"products take \d+ times as long as in fp32 on this CPU: .*", reason)
    else:
        assert reason == expected.get(name)
    assert made.dtype == variant.dtype


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("fp4", "no kernel here for fp4 weights with fp4 activations"),
        ("int4-int8", "no kernel here for int4 weights with int8 activations"),
        ("fp8-bf16", "no kernel here for fp8 weights with bf16 activations"),
        ("int8+2:4", "no kernel here for 2:4 with int8 weights"),
    ],
)
def test_a_setting_that_is_missing_says_so_and_is_not_made(name, reason):
    variant = parse_variant(name)
    assert variant.supported(CPU) == reason
    with pytest.raises(InputError, match=reason):
        variant.load(SHAPES["llama"], "cpu")


def test_a_kv_cache_of_another_type_is_missing():
    variant = Variant.model_validate({"settings": {"kv_cache": "fp8"}})
    assert "keeps its KV cache in bf16" in variant.supported(CPU)


def test_kernels_that_the_device_lacks_are_reported_with_their_error(monkeypatch):
    def broken(*_):
        raise RuntimeError("no such instruction\nat line 3")

    monkeypatch.setattr(torch, "_int_mm", broken)
    assert Int8Dynamic().supported(CPU) == "RuntimeError: no such instruction"


@pytest.mark.parametrize(
    ("times", "plain", "reason"),
    [
        (0.4, "bf16", None),
        (2.9, "bf16", None),
        (5.3, "fp32", None),
        (9.9, "fp32", None),
        (21.6, "fp32", "products take 22 times as long as in fp32 on this CPU: they are emulated"),
    ],
)
def test_what_a_cpu_has_no_instructions_for_is_found_by_its_time(monkeypatch, times, plain, reason):
    slower = [1.0, 1.4, 1.2, 1.0, 1.6]  # by what else runs on the core
    plain_runs, runs = (iter([first, *slower] * 99) for first in (9.0, 50.0))

    def seconds(layer, _):
        is_fp32 = type(layer) is nn.Linear and layer.weight.dtype is torch.float32
        return next(plain_runs) if is_fp32 else times * next(runs)

    monkeypatch.setattr(emulated, "_seconds", seconds)
    assert emulated.quickest_plain(CPU) == plain
    assert Int8Dynamic().supported(CPU) == reason
    assert parse_variant("fp16").supported(CPU) == reason
    assert parse_variant("bf16+structured:0.5").supported(CPU) == reason
    assert parse_variant("fp32").supported(CPU) is None
    gpu = torch.device("cuda")
    assert emulated.quickest_plain(gpu) == "bf16"
    assert emulated.why_emulated(Int8DynamicLinear, "bf16", gpu) is None


def test_a_product_in_fp32_takes_as_long_as_one_in_fp32():
    plain, threads = emulated.linear("fp32", CPU), []
    plain.register_forward_hook(lambda *_: threads.append(torch.get_num_threads()))
    before = torch.get_num_threads()
    assert emulated.times_of_fp32(plain, "fp32", CPU) < emulated.EMULATED
    assert set(threads) == {1}
    assert torch.get_num_threads() == before


def test_cuda_graphs_are_not_supported_on_a_cpu():
    assert parse_variant("bf16+cuda_graphs").supported(CPU) == "CUDA graphs need CUDA, got cpu"


def test_compiling_without_a_compiler_is_not_supported(monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert Compile().supported(CPU) == "torch.compile needs a C++ compiler, such as g++"


def test_compiled_blocks_compute_the_same(monkeypatch):
    model = fresh("llama")
    expected = output(model)
    calls = []

    def compiled(function, **options):
        calls.append(options)
        return function

    monkeypatch.setattr(torch, "compile", compiled)
    assert torch.equal(output(Compile().apply(model)), expected)
    assert calls == [{"dynamic": True, "mode": "default"}] * 2


@given(
    weights=st.sampled_from(sorted(formats().weights)),
    pattern=st.sampled_from(["", "unstructured", "random", "structured", "random_structured"]),
    rate=st.floats(0, 1, exclude_min=True, exclude_max=True),
    two=st.booleans(),
    launch=st.sampled_from(["", "compile", "cuda_graphs"]),
    data=st.data(),
)
def test_names_of_variants_are_read_back(weights, pattern, rate, two, launch, data):
    computes = data.draw(st.sampled_from(["", *formats().weights[weights].computes_in]))
    words = [f"{weights}-{computes}" if computes else weights]
    words += [f"{pattern}:{rate!r}"] if pattern else ["2:4"] * two
    words += [launch] * bool(launch)
    variant = parse_variant("+".join(data.draw(st.permutations(words))))
    assert parse_variant(variant.name) == variant
    assert variant.settings.weights == weights
    assert variant.settings.pruning.rate == (rate if pattern else 0.5 * two)


@given(text=st.text(max_size=30) | st.text(alphabet="intbfp48:+-.%016 compile2rad", max_size=20))
def test_any_text_is_a_variant_or_an_error(text):
    with contextlib.suppress(InputError):
        variant = parse_variant(text)
        assert parse_variant(variant.name) == variant


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("int9", r"got 'int9' in 'int9'; did you mean"),
        ("structured", r"must give a rate such as 0.5 or 50%, got ''"),
        ("structured:1.5", r"pruning\.rate: must be valid, got 1\.5"),
        ("structured:0", "above 0 and below 1"),
        ("int8+bf16", "must have one weights, got two"),
        ("bf16-int8", "must be one of bf16 for bf16 weights"),
        ("", "got '' in ''"),
    ],
)
def test_what_is_no_variant_says_what_is_wrong(text, message):
    with pytest.raises(InputError, match=message):
        parse_variant(text)


def test_a_rate_may_be_a_percentage():
    assert parse_variant("structured:25%") == parse_variant("structured:0.25")


# ---- on a GPU


@needs_cuda
@pytest.mark.parametrize("name", [n for n in DEFAULT_VARIANTS if "+" not in n])
def test_on_cuda_every_supported_variant_computes_what_the_cpu_does(name):
    variant = parse_variant(name)
    shape = ModelShape(**SIZES | {"hidden_size": 256, "ffn_size": 512, "n_heads": 4})
    device = torch.device("cuda")
    reason = variant.supported(device)
    if reason is not None:
        pytest.skip(reason)
    state = load_model(shape, "fp32", "cpu").model.state_dict()
    outputs = []
    for place in ("cpu", "cuda"):
        loaded = load_model(shape, "fp32", place)
        loaded.model.load_state_dict(state)
        model = variant.apply(loaded).model
        with torch.inference_mode():
            outputs.append(model(IDS.to(place)).logits.float().cpu())
    error = (outputs[1] - outputs[0]).norm() / outputs[0].norm()
    assert error < 0.05
