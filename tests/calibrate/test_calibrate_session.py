"""A tiny real model measured from end to end: every part on the CPU, and what cannot be run."""

from __future__ import annotations

import dataclasses
import re

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="measuring needs the extra 'calibrate'")
pytest.importorskip("transformers", reason="measuring needs the extra 'calibrate'")

from calibrate.compression import emulated  # noqa: E402 - after the skip
from calibrate.compression.quantised import Int8DynamicLinear  # noqa: E402
from calibrate.compression.variant import parse_variant  # noqa: E402
from calibrate.fit.profile import calibration_of  # noqa: E402
from calibrate.fit.show import measured_text  # noqa: E402
from calibrate.measure import fingerprint as fingerprints  # noqa: E402
from calibrate.measure import session as session_module  # noqa: E402
from calibrate.measure import steps as steps_module  # noqa: E402
from calibrate.measure.clock import Repeats  # noqa: E402
from calibrate.measure.device_tasks import hardware_tasks  # noqa: E402
from calibrate.measure.fingerprint import fingerprint  # noqa: E402
from calibrate.measure.hardware import (  # noqa: E402
    device_named,
    matmul_product,
    measure_disk,
    measure_matmul,
    measure_memory_bandwidth,
)
from calibrate.measure.journal import Journal  # noqa: E402
from calibrate.measure.links import measure_links, measure_split  # noqa: E402
from calibrate.measure.plan import Plan, Serving, Sizes  # noqa: E402
from calibrate.measure.points import StepPoint, grid  # noqa: E402
from calibrate.measure.records import (  # noqa: E402
    MemoryRecord,
    QualityRecord,
    StepRecord,
    VariantRecord,
)
from calibrate.measure.session import calibrate  # noqa: E402
from calibrate.measure.steps import Loaded, measure_memory, measure_point  # noqa: E402
from calibrate.measure.stretches import ServedRecord  # noqa: E402
from calibrate.models.load import load_model  # noqa: E402
from planner.catalog.models import ModelShape  # noqa: E402
from planner.errors import InputError, PlannerError  # noqa: E402

CPU = torch.device("cpu")
TINY = ModelShape(
    name="tiny", hidden_size=32, n_layers=2, n_heads=4, n_kv_heads=2, ffn_size=64,
    vocab_size=97, max_position=128,
)  # fmt: skip
NOT_SERVED = TINY.model_copy(update={"arch": "enc-dec", "n_layers_dec": 2})
ONCE = Repeats(warmup=0, least=1, most=2, spread=1.0, seconds=0.1)
SERVING = Serving((1, 3), 1.0, 16, 64)
SIZES = Sizes(matmul=(64,), memory=2**16, disk=2**16, host=2**16, links=(), split=())


@pytest.fixture(autouse=True, scope="module")
def _instructions_for_all():
    """Let no product be emulated: what is measured then depends on no machine, nor on its noise."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(emulated, "times_of_fp32", lambda *_: 1.0)
        yield


def points(limit):
    found = grid((1, 2), (4, 16), (1, 2), (8, 40), max_tokens=64, max_context=200)
    return [each for each in found if each.longest <= limit]


def plan(*variants, **changes):
    settings = {"source": TINY, "variants": variants, "points": points, "device": CPU}
    return Plan(**settings | {"repeats": ONCE, "sizes": SIZES, "serving": SERVING} | changes)


def timed_alike(measured):
    """Return the measurements with durations that depend on sizes alone, on any machine."""

    def seconds(point):
        return 1e-3 + 1e-5 * point.tokens + 1e-6 * point.context

    def alike(record):
        if record.kind == "step":
            return record.model_copy(update={"seconds": seconds(record.point), "reference": 1e-3})
        if record.kind == "served":
            stretches = tuple(
                each.model_copy(update={"seconds": sum(seconds(s.point) for s in each.steps)})
                for each in record.stretches
            )
            return record.model_copy(update={"stretches": stretches, "reference": 1e-3})
        if record.kind in {"matmul", "bytes"}:
            return record.model_copy(update={"seconds": record.size**2 / 1e9})
        return record

    records = {key: alike(record) for key, record in measured.records.items()}
    return dataclasses.replace(measured, records=records)


def ignore(_share):
    pass


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    folder = tmp_path_factory.mktemp("session")
    shares = []
    variants = ("fp32", "int8-bf16", "fp32+structured:0.5", "cuda_graphs")
    outcome = calibrate(plan(*variants), folder / "m.jsonl", shares.append)
    return folder / "m.jsonl", outcome, shares


def test_every_point_of_every_variant_is_measured(measured):
    _, outcome, shares = measured
    found = outcome.measured
    keys = {(each.variant, each.point.key) for each in found.of(StepRecord)}
    wanted = {each.key for each in points(128)}
    assert keys == {
        (variant, key) for variant in ("fp32", "int8-bf16", "fp32+structured:0.5") for key in wanted
    }
    assert outcome.late == 0
    assert shares == sorted(shares)
    assert shares[-1] == pytest.approx(1.0)
    assert all(each.reference for each in found.of(StepRecord))


def test_every_variant_serves_and_its_steps_are_timed_from_token_to_token(measured):
    found = measured[1].measured.of(ServedRecord)
    assert {(each.variant, each.clients) for each in found} == {
        (variant, clients)
        for variant in ("fp32", "int8-bf16", "fp32+structured:0.5")
        for clients in (1, 3)
    }
    for each in found:
        points = [step.point for stretch in each.stretches for step in stretch.steps]
        assert max(point.sequences for point in points) <= each.clients
        assert max(point.tokens for point in points) <= 16
        assert {"prefill", "decode"} <= {point.kind for point in points}


def test_what_the_device_cannot_run_is_recorded_with_the_reason(measured):
    variants = {each.variant: each for each in measured[1].measured.of(VariantRecord)}
    graphs = variants["bf16+cuda_graphs"]
    assert "CUDA" in graphs.unsupported
    assert graphs.settings.launch == "cuda_graphs"
    assert variants["int8-bf16"].unsupported is None
    assert variants["fp32"].weight_bytes > variants["fp32+structured:0.5"].weight_bytes > 0


def test_random_weights_have_no_quality(measured):
    found = measured[1].measured.of(QualityRecord)
    assert {each.variant for each in found} == {"fp32", "int8-bf16", "fp32+structured:0.5"}
    assert all(each.metrics == {} for each in found)
    assert all(each.about.startswith("unknown: ") for each in found)


def test_memory_is_that_of_weights_and_cache(measured):
    found = {each.variant: each for each in measured[1].measured.of(MemoryRecord)}
    largest = max(points(128), key=lambda each: each.context)
    tokens = largest.sequences * largest.longest
    assert found["fp32"].kv_cache == tokens * TINY.kv_bytes_per_token(4.0)
    assert found["fp32"].peak is None


def test_a_second_run_measures_nothing(measured, monkeypatch):
    path, outcome, _ = measured
    before = path.read_bytes()

    def never(*_args, **_kwargs):
        raise AssertionError

    monkeypatch.setattr(steps_module, "in_turns", never)
    variants = ("fp32", "int8-bf16", "fp32+structured:0.5", "cuda_graphs")
    again = calibrate(plan(*variants), path, ignore)
    assert path.read_bytes() == before
    assert again.measured.records.keys() == outcome.measured.records.keys()


def test_a_later_run_adds_a_variant_and_keeps_the_rest(measured, tmp_path):
    path = tmp_path / "m.jsonl"
    path.write_bytes(measured[0].read_bytes())
    found = calibrate(plan("fp32", "fp32+unstructured:0.5"), path, ignore).measured
    assert path.read_bytes().startswith(measured[0].read_bytes())
    assert {each.variant for each in found.of(StepRecord)} >= {"int8-bf16", "fp32+unstructured:0.5"}


def test_a_profile_is_made_of_it(measured):
    found = calibration_of(timed_alike(measured[1].measured), "tiny")
    profile = found.profile
    assert set(profile.settings) == {"weights.int8-bf16", "pruning.structured:0.5"}
    assert profile.measured_device().name.endswith(f"{torch.get_num_threads()} threads")
    assert np.isfinite(found.fit.errors).all()
    assert any("bf16+cuda_graphs was not measured" in line for line in profile.about)


def test_nothing_is_begun_after_the_time_is_up(tmp_path):
    outcome = calibrate(plan("fp32", seconds=0.0), tmp_path / "m.jsonl", ignore)
    assert outcome.late > len(points(128))
    assert outcome.measured.of(StepRecord) == []


def test_a_point_without_memory_is_left_out_and_the_others_kept(tmp_path, monkeypatch):
    class Full(steps_module.Runner):
        def __init__(self, model, max_num_seqs, max_model_len):
            if max_model_len > 40:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9 GiB")
            super().__init__(model, max_num_seqs, max_model_len)

    monkeypatch.setattr(steps_module, "Runner", Full)
    found = calibrate(plan("fp32", windows=0), tmp_path / "m.jsonl", ignore).measured
    left = {each.what: each.reason for each in found.left_out()}
    large = [each for each in points(128) if each.longest > 40]
    assert large
    for each in large:
        assert left[f"step fp32: {each.key}"].startswith("out of memory: CUDA out of memory")
    assert len(found.of(StepRecord)) == len(points(128)) - len(large)


def test_an_encoder_reads_texts_of_one_length_and_makes_no_profile(tmp_path):
    bert = TINY.model_copy(
        update={"arch": "encoder", "ffn_gated": False, "tied_embeddings": True, "n_kv_heads": 4}
    )
    path = tmp_path / "m.jsonl"
    found = calibrate(plan("fp32", "fp32+structured:0.5", source=bert), path, ignore).measured
    steps = found.of(StepRecord)
    assert {(each.point.longest, each.point.sequences) for each in steps} == {
        (4, 1), (4, 2), (16, 1), (16, 2),
    }  # fmt: skip
    assert found.left_out() == []
    text = measured_text(found, None)
    assert re.search(r"^16 x 2 +\d+\.\d+ +\d+\.\d+$", text, re.MULTILINE)
    assert re.search(r"^fp32\+structured:0\.5 +-", text, re.MULTILINE)


def test_a_base_that_is_compressed_is_refused(tmp_path):
    with pytest.raises(InputError, match="base must be a plain data type, as bf16, got 'int8'"):
        calibrate(plan("int8"), tmp_path / "m.jsonl", ignore)
    assert not (tmp_path / "m.jsonl").exists()


def test_a_plan_without_variants_is_refused(tmp_path):
    with pytest.raises(InputError, match="must have a variant to measure, got none"):
        calibrate(plan(), tmp_path / "m.jsonl", ignore)


def test_a_second_process_is_refused_before_it_loads_a_model(measured, monkeypatch):
    path, outcome, _ = measured
    monkeypatch.setattr(session_module, "load_model", None)
    with (
        Journal(path, outcome.measured.header),
        pytest.raises(InputError, match="must be written by one process, got a second"),
    ):
        calibrate(plan("fp32"), path, ignore)


def test_a_model_that_memory_does_not_hold_is_a_clear_error(tmp_path, monkeypatch):
    def full(*_args):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9 GiB\ntrace")

    monkeypatch.setattr(session_module, "load_model", full)
    with pytest.raises(PlannerError, match=r"cannot be loaded: out of memory: CUDA .* 9 GiB$"):
        calibrate(plan("fp32", source="gpt2"), tmp_path / "m.jsonl", ignore)


def test_a_variant_that_memory_does_not_hold_is_left_out_and_the_others_measured(
    tmp_path, monkeypatch
):
    def full(_model):
        raise MemoryError

    monkeypatch.setattr(session_module, "deepcopy", full)
    found = calibrate(plan("fp32", "int8-bf16", windows=0), tmp_path / "m.jsonl", ignore).measured
    assert {each.variant for each in found.of(StepRecord)} == {"fp32"}
    assert [(e.what, e.reason) for e in found.left_out()] == [
        ("variant int8-bf16", "out of memory: MemoryError")
    ]


def test_caches_that_do_not_fit_together_are_measured_one_after_the_other(monkeypatch):
    loaded = []
    for name in ("fp32", "fp32+structured:0.5"):
        variant = parse_variant(name)
        loaded.append(Loaded(variant, variant.apply(load_model(TINY, "fp32", CPU))))
    groups = []
    real = steps_module.in_turns

    def spy(runs, repeats, watch):
        groups.append(sorted(runs))
        return real(runs, repeats, watch=watch)

    monkeypatch.setattr(steps_module, "in_turns", spy)
    point = StepPoint(prefill=((4, 0),), decode=(8,))
    found = list(measure_point(point, loaded, ONCE))
    assert groups == [["fp32", "fp32+structured:0.5", "reference"]]
    monkeypatch.setattr(steps_module, "free_memory", lambda _device: 1.0)
    assert [e.variant for e in measure_point(point, loaded, ONCE)] == [e.variant for e in found]
    assert groups[1:] == [["fp32", "reference"], ["fp32+structured:0.5", "reference"]]
    small, large = (measure_memory(each, point) for each in reversed(loaded))
    assert small.weights < large.weights


def test_a_device_that_is_not_there_is_refused():
    assert device_named("cpu") == CPU
    for name in ("meta", "cuda:99", "nonsense"):
        with pytest.raises(InputError, match="must be a device of this machine, cpu or cuda"):
            device_named(name)


def test_peaks_are_of_the_order_of_a_computer(tmp_path):
    few = dataclasses.replace(ONCE, least=3, most=3)
    product = measure_matmul("fp32", 128, CPU, few)
    assert 1e8 < product.rate < 1e15
    assert 1e7 < measure_memory_bandwidth(CPU, 2**20, few).rate < 1e14
    assert 1e5 < measure_disk(tmp_path, 2**20, few).rate < 1e13
    assert list(tmp_path.iterdir()) == []
    assert measure_matmul("fp4", 128, CPU, few) == "no product of fp4 in torch"


@pytest.mark.parametrize(
    ("times", "missing"),
    [(0.5, {"matmul fp8 64"}), (30.0, {"matmul fp8 64", "matmul int8 64"})],
)
def test_a_cpu_is_not_asked_for_a_peak_that_it_emulates(tmp_path, monkeypatch, times, missing):
    monkeypatch.setattr(emulated, "times_of_fp32", lambda *_: times)
    asked = {}
    for name in ("cpu", "cuda"):
        tasks = hardware_tasks(plan(device=torch.device(name)), tmp_path)
        asked[name] = {key for task in tasks for key in task.keys}
    assert asked["cuda"] - asked["cpu"] == missing


def test_what_the_cpu_emulates_is_noted_and_not_measured_and_is_no_base(tmp_path, monkeypatch):
    def times(layer, *_):
        return 30.0 if isinstance(layer, Int8DynamicLinear) else 1.0

    monkeypatch.setattr(emulated, "times_of_fp32", times)
    found = calibrate(plan("fp32", "int8", windows=0), tmp_path / "m.jsonl", ignore).measured
    noted = {each.variant: each.unsupported for each in found.of(VariantRecord)}
    reason = "products take 30 times as long as in fp32 on this CPU: they are emulated"
    assert noted == {"fp32": None, "int8": reason}
    assert {each.variant for each in found.of(StepRecord)} == {"fp32"}
    assert f"int8 was not measured: {reason}" in measured_text(found, None)
    monkeypatch.setattr(emulated, "times_of_fp32", lambda *_: 30.0)
    with pytest.raises(InputError, match=f"base must run on cpu, got 'bf16': {reason}"):
        calibrate(plan("bf16"), tmp_path / "other.jsonl", ignore)


def test_a_peak_is_of_the_product_that_a_linear_layer_makes(monkeypatch):
    numbers = iter([torch.tensor([[1.0, 2.0], [3.0, 4.0]]), torch.tensor([[5.0, 6.0], [7.0, 8.0]])])
    monkeypatch.setattr(torch, "randn", lambda *_, **__: next(numbers))
    found = matmul_product("fp32", 2, CPU)()
    assert found.tolist() == [[17.0, 23.0], [39.0, 53.0]]  # x times the transpose of the weights


def test_the_fingerprint_names_the_machine_and_its_software():
    found = fingerprint(CPU)
    assert found.torch == torch.__version__
    assert found.threads == torch.get_num_threads()
    assert found.differences(found) == []
    assert str(found.threads) in found.text


@pytest.mark.parametrize(("flags", "tiles"), [("avx512f amx_tile amx_int8", True), ("avx2", False)])
def test_a_cpu_with_tiles_is_another_than_one_without(monkeypatch, flags, tiles):
    known = torch.backends.cpu.get_cpu_capability()
    text = f"model name\t: A CPU\nflags\t\t: fpu {flags}\n"
    monkeypatch.setattr(fingerprints, "_read", lambda _path: text)
    assert fingerprint(CPU).features == (f"{known}, AMX" if tiles else known)


def test_processes_reduce_and_send_and_split_a_batch():
    few = Repeats(warmup=1, least=2, most=2)
    found = measure_links(2, (1024,), few, cuda=False)
    assert [each.what for each in found] == ["all_reduce", "point_to_point"]
    assert all(each.backend == "gloo" and each.size == 1024 for each in found)
    split = measure_split(TINY, 2, 4, 8, few, threads=1, cuda=False)
    assert split.processes == 2
    assert 0 < split.forward <= max(split.samples)


def test_a_process_that_fails_is_an_error_of_its_own():
    with pytest.raises(PlannerError, match="a process"):
        measure_split(NOT_SERVED, 2, 4, 8, ONCE, threads=1, cuda=False)
