"""Step time of a model on a device: hand-computed numbers and scaling laws."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.catalog.catalogue import device_names, find_device, find_model, model_names
from planner.catalog.coefficients import COEFFICIENTS, FALLBACK, OPTIONAL
from planner.catalog.devices import Device, Link
from planner.catalog.models import ModelShape
from planner.catalog.profile import Profile, load_profile
from planner.errors import InputError
from planner.latency.model_step import step_time
from planner.latency.settings import Pruning, Settings
from planner.latency.step import STEP_FIELDS

LLAMA8 = find_model("llama-3.1-8b")
H100 = find_device("H100-SXM-80GB")
ASSUMED = load_profile("assumed")
BF16 = Settings()
HEAD = 128256 * 4096
LAYERS = 8029995008 - 2 * HEAD  # parameters without embedding table and output head


def profile(**values):
    """Return a profile of plain numbers: efficiencies 1, no overhead, sum, unless given."""
    neutral = {
        name: 0.0 if name.startswith(("overhead", "link_l")) else 1.0
        for name in COEFFICIENTS
        if name not in OPTIONAL and name not in FALLBACK
    }
    coefficients = {
        name: {"value": value, "provenance": "assumed", "source": "a test"}
        for name, value in (neutral | values).items()
    }
    content = ASSUMED.model_dump(mode="json") | {"coefficients": coefficients, "devices": {}}
    return Profile.model_validate(content)


PLAIN = profile()


def coefficients(shape=LLAMA8, device=H100, settings=BF16, prof=PLAIN, **degrees):
    row = step_time(shape, device, settings, prof, **degrees).coefficients[0]
    return {name: float(row[name]) for name in STEP_FIELDS}


def test_coefficients_of_llama_8b_on_an_h100_are_those_computed_by_hand():
    c = coefficients()
    kv = 131072 / 3350e9
    assert c == pytest.approx(
        dict.fromkeys(STEP_FIELDS, 0.0)
        | {
            "compute_per_token": 2 * LAYERS / 989e12,
            "compute_per_sample": 2 * HEAD / 989e12,
            "compute_per_context": 32 * 4 * 32 * 128 / 989e12,
            "storage_fixed": 2 * (LAYERS + HEAD) / 3350e9,
            "storage_per_context": kv,
            "storage_per_token": kv,
            "overlap": 1.0,
        },
        rel=1e-12,
    )


def test_linear_attention_adds_states_and_leaves_the_cache_to_the_other_layers():
    shape = find_model("qwen3.5-9b")
    c = coefficients(shape)
    state = 4 * 32 * 128 * 128 + 2 * 3 * (2 * 16 * 128 + 32 * 128)
    kv = 2 * 4 * 256 * 2
    assert c["storage_per_sequence"] == pytest.approx(2 * 24 * state / 3350e9)  # read, written
    assert c["storage_per_context"] == pytest.approx(8 * kv / 3350e9)
    assert c["storage_per_token"] == pytest.approx(8 * kv / 3350e9)
    assert c["compute_per_context"] == pytest.approx(8 * 4 * 16 * 256 / 989e12)
    states = 24 * 6 * 32 * 128 * 128
    assert c["compute_per_token"] == pytest.approx((2 * shape.fixed_parameters + states) / 989e12)
    halved = coefficients(shape, tensor_parallel=2)
    assert halved["storage_per_sequence"] == pytest.approx(c["storage_per_sequence"] / 2)


def test_a_lone_decode_step_reads_the_weights_once():
    step = step_time(LLAMA8, H100, BF16, ASSUMED)
    compute, storage, transfer, overhead = step.parts(decode=[500])
    assert compute + storage == pytest.approx(15.009e9 / (0.8 * 3.35e12), rel=0.01)
    assert (transfer, overhead) == (0, 0.0009 + 0.000015)
    assert step.seconds(decode=[500]) == pytest.approx(6.48e-3, rel=0.02)  # measured, vLLM 0.21


def test_a_prefill_step_is_its_flops():
    step = step_time(LLAMA8, H100, BF16, PLAIN)
    compute, storage, _, _ = step.parts(prefill=[(1000, 500)])
    pairs = 1000 * 500 + 1000 * 1001 / 2
    flops = 2 * LAYERS * 1000 + 2 * HEAD + 32 * 4 * 4096 * pairs
    assert compute == pytest.approx(flops / 989e12)
    assert storage == pytest.approx((2 * (LAYERS + HEAD) + 131072 * (1500 + 1000)) / 3350e9)


batches = st.tuples(
    st.lists(st.tuples(st.integers(1, 4096), st.integers(0, 8192)), max_size=3),
    st.lists(st.integers(0, 16384), max_size=5),
)


@given(
    st.sampled_from(
        [
            "llama-3.1-8b",
            "gemma-2-9b",
            "mixtral-8x7b",
            "gpt-oss-20b",
            "deepseek-v3",
            "qwen3.5-397b-a17b",
        ]
    ),
    st.sampled_from([1, 2, 8]),
    batches,
)
def test_parts_add_up_to_the_step_and_none_is_negative(model, degree, batch):
    step = step_time(find_model(model), H100, BF16, ASSUMED, tensor_parallel=degree)
    parts = step.parts(*batch)
    assert min(parts) >= 0
    assert step.seconds(*batch) == pytest.approx(sum(parts), rel=1e-15)


def twice(device, **changes):
    return device.model_copy(update=changes)


def test_twice_the_peak_halves_compute_and_nothing_else():
    fast = twice(H100, peaks={**H100.peaks, "bf16": 2 * H100.peaks["bf16"]})
    slow, quick = coefficients(), coefficients(device=fast)
    for name in STEP_FIELDS:
        assert quick[name] == pytest.approx(slow[name] / (2 if name.startswith("compute") else 1))


def test_twice_the_bandwidth_halves_storage_and_nothing_else():
    slow, quick = coefficients(), coefficients(device=twice(H100, bandwidth=2 * H100.bandwidth))
    for name in STEP_FIELDS:
        assert quick[name] == pytest.approx(slow[name] / (2 if name.startswith("storage") else 1))


def test_two_devices_halve_compute_and_storage_and_add_transfer():
    one = coefficients(prof=ASSUMED)
    two = coefficients(prof=ASSUMED, tensor_parallel=2)
    for name in STEP_FIELDS:
        if name.startswith(("compute", "storage")):
            assert two[name] == pytest.approx(one[name] / 2)
    assert two["transfer_fixed"] == pytest.approx(65 * 2 * 5e-6)
    assert two["transfer_per_token"] == pytest.approx(65 * 2 / 2 * 4096 * 2 / (0.8 * 450e9))
    assert two["overhead_fixed"] == one["overhead_fixed"]


def test_replicated_kv_heads_and_the_latent_of_mla_are_read_by_every_device():
    gb200 = find_device("GB200")
    eight, sixteen = (coefficients(device=gb200, tensor_parallel=n) for n in (8, 16))
    assert sixteen["storage_per_context"] == eight["storage_per_context"]
    assert sixteen["storage_fixed"] == pytest.approx(eight["storage_fixed"] / 2)
    deepseek = find_model("deepseek-v3")
    assert coefficients(deepseek, tensor_parallel=8)["storage_per_context"] == pytest.approx(
        70272 / 3350e9
    )


def test_a_decode_step_of_latent_attention_is_folded_as_computed_by_hand():
    layers, heads, rank, rope, nope, value = 61, 128, 512, 64, 128, 128
    context = 1000
    projections = 7168 * 1536 + 1536 * heads * (nope + rope) + 7168 * (rank + rope)
    folded = heads * nope * rank + heads * rank * value  # of the query, and of the output
    scores, values = heads * (rank + rope) * context, heads * rank * context
    attention = projections + folded + scores + values + heads * value * 7168
    feed_forward = 3 * 3 * 7168 * 18432 + 58 * (7168 * 256 + (8 + 1) * 3 * 7168 * 2048)
    flops = 2 * (layers * attention + feed_forward + 129280 * 7168)
    step = step_time(find_model("deepseek-v3"), H100, BF16, PLAIN, tensor_parallel=8)
    compute, storage, _, _ = step.parts(decode=[context - 1])
    assert compute == pytest.approx(flops / 8 / 989e12, rel=1e-12)
    further = step.parts(decode=[2 * context - 1])  # reads latents of all heads, undivided
    assert further[1] - storage == pytest.approx(context * layers * (rank + rope) * 2 / 3350e9)
    assert further[0] - compute == pytest.approx(
        2 * layers * (scores + values) / 8 / 989e12, rel=1e-9
    )


def test_a_prompt_of_latent_attention_is_unfolded_as_computed_by_hand():
    layers, heads, qk, value = 61, 128, 128 + 64, 128
    step = step_time(find_model("deepseek-v3"), H100, BF16, PLAIN, tensor_parallel=8)
    short, long = (step.parts(prefill=[(n, 0)])[0] for n in (1000, 2000))
    pairs = 2000 * 2001 / 2 - 2 * 1000 * 1001 / 2
    head = 2 * 129280 * 7168
    flops = (long - 2 * short) * 8 * 989e12 + head  # linear layers cancel; one head is left over
    assert flops == pytest.approx(2 * layers * heads * (qk + value) * pairs, rel=1e-9)


def test_a_micro_batch_passes_all_stages_of_a_pipeline_and_pays_the_hand_overs():
    one, four = coefficients(prof=ASSUMED), coefficients(prof=ASSUMED, pipeline_parallel=4)
    assert four.pop("transfer_fixed") == pytest.approx(3 * 5e-6)
    assert four.pop("transfer_per_token") == pytest.approx(3 * 4096 * 2 / (0.8 * 450e9))
    assert four == {name: value for name, value in one.items() if name in four}


def test_a_link_of_twice_the_bandwidth_halves_the_bytes_and_keeps_the_latency():
    link = Link(name="twice", bandwidth=900e9)
    slow = coefficients(prof=ASSUMED, tensor_parallel=4)
    quick = coefficients(device=twice(H100, link=link), prof=ASSUMED, tensor_parallel=4)
    assert quick["transfer_per_token"] == pytest.approx(slow["transfer_per_token"] / 2)
    assert quick["transfer_fixed"] == slow["transfer_fixed"]


def test_weight_only_int4_reads_fewer_bytes_and_computes_as_before():
    wide, int4 = coefficients(), coefficients(settings=Settings(weights="int4"))
    assert int4["compute_per_token"] == wide["compute_per_token"]
    stored = (LAYERS * (4 + 20 / 128) / 8 + 2 * HEAD) / 3350e9
    assert int4["storage_fixed"] == pytest.approx(stored)


def test_fp8_halves_the_layers_but_neither_head_nor_attention():
    wide, fp8 = coefficients(), coefficients(settings=Settings(weights="fp8"))
    assert fp8["compute_per_token"] == pytest.approx(wide["compute_per_token"] * 989 / 1979)
    for name in ("compute_per_sample", "compute_per_context", "storage_per_context"):
        assert fp8[name] == wide[name]
    assert fp8["storage_fixed"] == pytest.approx((LAYERS + 2 * HEAD) / 3350e9)


def test_fp8_kv_halves_what_is_read_and_written_of_it():
    wide, fp8 = coefficients(), coefficients(settings=Settings(kv_cache="fp8"))
    for name in ("storage_per_context", "storage_per_token"):
        assert fp8[name] == wide[name] / 2
    assert fp8["storage_fixed"] == wide["storage_fixed"]


@pytest.mark.parametrize(
    ("pattern", "rate", "compute", "storage"),
    [("unstructured", 0.5, 1, 1), ("structured", 0.5, 0.5, 0.5), ("2:4", 0.5, 1, 0.5625 / 0.867)],
)
def test_pruning_changes_the_layers_alone(pattern, rate, compute, storage):
    dense = coefficients()
    pruned = coefficients(settings=Settings(pruning=Pruning(pattern=pattern, rate=rate)))
    assert pruned["compute_per_token"] == pytest.approx(compute * dense["compute_per_token"])
    assert pruned["storage_fixed"] == pytest.approx((LAYERS * storage + HEAD) * 2 / 3350e9)
    assert pruned["compute_per_context"] == dense["compute_per_context"]


def test_a_measured_speedup_divides_its_part():
    speedup = {"compute": {"value": 0.5, "provenance": "measured", "source": "a test"}}
    measured = Profile.model_validate(
        PLAIN.model_dump(mode="json") | {"settings": {"weights.int4": speedup}}
    )
    int4 = Settings(weights="int4")
    assert coefficients(settings=int4, prof=measured)["compute_per_token"] == pytest.approx(
        2 * coefficients(settings=int4)["compute_per_token"]
    )


def test_a_mixture_reads_the_experts_that_are_hit_and_computes_those_of_its_tokens():
    mixtral = find_model("mixtral-8x7b")
    c = coefficients(mixtral)
    expert = 32 * 3 * 4096 * 14336
    assert c["storage_experts"] == pytest.approx(8 * expert * 2 / 3350e9)
    assert c["experts_log_miss"] == pytest.approx(math.log(6 / 8))
    assert c["compute_per_token"] == pytest.approx(
        (2 * 2 * expert + 2 * 32 * (41943040 + 32768)) / 989e12
    )
    step = step_time(mixtral, H100, BF16, PLAIN)
    alone, full = (step.parts(decode=[0] * n)[1] for n in (1, 200))
    assert alone - c["storage_fixed"] == pytest.approx(c["storage_experts"] * 2 / 8, rel=0.001)
    assert full - c["storage_fixed"] == pytest.approx(c["storage_experts"], rel=0.001)


def test_experts_that_every_token_uses_are_read_like_other_weights():
    sizes = LLAMA8.model_dump(exclude={"name"})
    shape = ModelShape(**sizes | {"n_experts": 4, "experts_per_token": 4, "moe_ffn_size": 3584})
    c = coefficients(shape)
    assert (c["storage_experts"], c["experts_log_miss"]) == (0, 0)
    assert c["storage_fixed"] == pytest.approx(
        2 * (shape.linear_parameters + shape.head_parameters) / 3350e9
    )


def test_windowed_layers_attend_to_their_window_only():
    gemma = find_model("gemma-2-9b")
    c = coefficients(gemma)
    assert c["window"] == 4096
    assert c["storage_per_context"] == c["storage_per_context_window"]  # 21 layers each
    step = step_time(gemma, H100, BF16, PLAIN)
    far, further = (step.parts(decode=[n]) for n in (5000, 6000))
    assert further[1] - far[1] == pytest.approx(1000 * 344064 / 2 / 3350e9)
    near, nearer = (step.parts(decode=[n]) for n in (3000, 2000))
    assert near[1] - nearer[1] == pytest.approx(1000 * 344064 / 3350e9)


@given(st.integers(1, 300), st.integers(0, 400))
def test_a_window_counts_pairs_as_token_by_token(chunk, done):
    oss = find_model("gpt-oss-20b")
    step = step_time(oss, H100, BF16, PLAIN)
    c = {name: float(step.coefficients[name][0]) for name in STEP_FIELDS}
    positions = range(done + 1, done + chunk + 1)
    expected = (
        c["compute_per_token"] * chunk
        + c["compute_per_sample"]
        + c["compute_per_context"] * sum(positions)
        + c["compute_per_context_window"] * sum(min(position, 128) for position in positions)
    )
    assert step.parts(prefill=[(chunk, done)])[0] == pytest.approx(expected)


def test_every_number_that_went_in_is_listed_with_its_source():
    numbers = step_time(
        LLAMA8, H100, Settings(weights="fp8"), ASSUMED, tensor_parallel=2
    ).provenance
    names = [number.name for number in numbers]
    assert len(names) == len(set(names))
    needed = COEFFICIENTS.keys() - OPTIONAL - FALLBACK.keys()
    assert set(names) >= {"peak fp8", "peak bf16", "bandwidth", "link bandwidth", *needed}
    assert "speedup of compute by weights.fp8" in names
    assert all(number.source for number in numbers)


def test_one_device_needs_no_coefficient_of_links():
    lone = PLAIN.model_copy(
        update={"coefficients": {k: v for k, v in PLAIN.coefficients.items() if "link" not in k}}
    )
    assert coefficients(prof=lone)["transfer_fixed"] == 0
    with pytest.raises(InputError, match="must have link_efficiency"):
        step_time(LLAMA8, H100, BF16, lone, tensor_parallel=2)


@pytest.mark.parametrize(
    ("shape", "device", "settings", "message"),
    [
        (find_model("bert-base"), H100, BF16, "must be a decoder"),
        (find_model("t5-base"), H100, BF16, "an 'enc-dec' model"),
        (LLAMA8, find_device("EPYC-9654"), BF16, "it has: none"),
        (LLAMA8, find_device("A100-PCIe-80GB"), Settings(weights="fp8"), "got fp8"),
    ],
)
def test_what_cannot_be_served_is_refused(shape, device, settings, message):
    with pytest.raises(InputError, match=message):
        step_time(shape, device, settings, ASSUMED)


def test_a_profile_of_another_device_is_refused():
    other = PLAIN.model_copy(update={"device": "L4"})
    with pytest.raises(InputError, match="must be one of device 'H100-SXM-80GB', got one of 'L4'"):
        step_time(LLAMA8, H100, BF16, other)


def test_an_inline_device_and_a_cpu_work_like_others():
    mine = Device(bandwidth=1e12, peaks={"bf16": 1e14})
    step = step_time(LLAMA8, mine, BF16, ASSUMED)
    assert step.provenance[0][1:] == (1e14, "FLOP/s", "given", "written in the scenario")
    xeon = step_time(LLAMA8, find_device("Xeon-6980P"), BF16, ASSUMED)
    assert xeon.seconds(decode=[0]) == pytest.approx(15.009e9 / (0.6 * 844.8e9), rel=0.05)


@pytest.mark.parametrize(
    "shape",
    [each for each in map(find_model, model_names()) if each.arch == "decoder"],
    ids=lambda shape: shape.name,
)
def test_every_decoder_has_a_step_time_on_every_device_with_a_peak(shape):
    for device in map(find_device, device_names()):
        if "bf16" in device.peaks:
            seconds = step_time(shape, device, BF16, ASSUMED).seconds([(128, 0)], [100])
            assert 1e-4 < seconds < 100


def test_kernels_of_few_rows_read_the_weights_again_and_again():
    again = profile(reread=2.0, reread_tokens=4.0)
    once, more = (step_time(LLAMA8, H100, BF16, each) for each in (PLAIN, again))
    weights = once.coefficients.storage_fixed[0]
    for n in (1, 4, 64):
        assert more.seconds(decode=[100] * n) - once.seconds(decode=[100] * n) == pytest.approx(
            2 * (1 - math.exp(-(n - 1) / 4)) * weights
        )
    assert {"reread", "reread_tokens"} <= {number.name for number in more.provenance}


def test_a_profile_of_kernels_that_read_again_is_refused_for_experts():
    again = profile(reread=2.0, reread_tokens=4.0)
    with pytest.raises(InputError, match="without 'reread' for a mixture of experts"):
        step_time(find_model("mixtral-8x7b"), H100, BF16, again)
    with pytest.raises(InputError, match="reread_tokens beside reread"):
        step_time(LLAMA8, H100, BF16, profile(reread=2.0))


def test_the_hosts_work_on_a_request_is_beside_the_steps():
    around = step_time(LLAMA8, H100, BF16, profile(request_overhead=0.004))
    plain = step_time(LLAMA8, H100, BF16, PLAIN)
    assert (around.request_overhead, plain.request_overhead) == (0.004, 0.0)
    assert around.seconds([(512, 0)], [100]) == plain.seconds([(512, 0)], [100])


def test_a_profile_may_read_the_kv_cache_at_another_speed_than_weights():
    c = coefficients(prof=profile(storage_efficiency=0.5, kv_efficiency=0.25))
    assert c["storage_fixed"] == pytest.approx(2 * (LAYERS + HEAD) / 3350e9 / 0.5)
    assert c["storage_per_context"] == pytest.approx(131072 / 3350e9 / 0.25)
    same = coefficients(prof=profile(storage_efficiency=0.5))
    assert same["storage_per_context"] == pytest.approx(131072 / 3350e9 / 0.5)


def test_layers_and_experts_bring_overheads_of_their_own():
    prof = profile(overhead_fixed=1e-3, overhead_per_layer=1e-5, overhead_per_moe_layer=1e-4)
    assert coefficients(prof=prof)["overhead_fixed"] == pytest.approx(1e-3 + 32e-5)
    mixtral = find_model("mixtral-8x7b")
    found = coefficients(mixtral, prof=prof, tensor_parallel=2)["overhead_fixed"]
    assert found == pytest.approx(1e-3 + 32e-5 + 32e-4)


def test_routed_experts_may_be_faster_or_slower_than_other_layers():
    mixtral = find_model("mixtral-8x7b")
    plain = coefficients(mixtral)
    c = coefficients(mixtral, prof=profile(expert_compute=0.5, expert_storage=0.8))
    routed = 32 * 2 * mixtral.expert_parameters  # two of eight experts per token
    more = 2 * routed / 989e12  # half as fast: once more
    assert c["compute_per_token"] == pytest.approx(plain["compute_per_token"] + more)
    assert c["storage_experts"] == pytest.approx(plain["storage_experts"] / 0.8)
    assert c["storage_fixed"] == plain["storage_fixed"]
