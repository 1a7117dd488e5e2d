"""What is done on a GPU only, with stand-ins for torch's CUDA calls: no device is needed."""

from types import SimpleNamespace

import pytest

torch = pytest.importorskip("torch", reason="measuring needs the extra 'calibrate'")
pytest.importorskip("transformers", reason="measuring needs the extra 'calibrate'")

from calibrate.cli.run import _plan  # noqa: E402 - after the skip
from calibrate.compression import emulated  # noqa: E402
from calibrate.compression.compiling import Compile  # noqa: E402
from calibrate.compression.quantised import Int8DynamicLinear, _inner_tiles  # noqa: E402
from calibrate.compression.variant import parse_variant  # noqa: E402
from calibrate.measure import steps as steps_module  # noqa: E402
from calibrate.measure.clock import Repeats  # noqa: E402
from calibrate.measure.hardware import timer  # noqa: E402
from calibrate.measure.plan import Plan, Serving, Sizes  # noqa: E402
from calibrate.measure.points import grid  # noqa: E402
from calibrate.measure.records import StepRecord, VariantRecord  # noqa: E402
from calibrate.measure.session import calibrate  # noqa: E402
from calibrate.measure.stretches import ServedRecord  # noqa: E402
from calibrate.models.load import load_model  # noqa: E402
from calibrate.models.runner import Chunk, Runner  # noqa: E402
from planner.catalog.models import ModelShape  # noqa: E402

CPU, GPU = torch.device("cpu"), torch.device("cuda", 1)
TINY = ModelShape(
    name="tiny", hidden_size=32, n_layers=2, n_heads=4, n_kv_heads=2, ffn_size=64,
    vocab_size=97, max_position=128,
)  # fmt: skip


def ignore(_share):
    pass


class Device:
    """A stream on which time passes as work is put there, and what was asked of it."""

    def __init__(self, monkeypatch):
        self.ms, self.asked = 0.0, []
        monkeypatch.setattr(torch.cuda, "current_stream", self._stream)
        monkeypatch.setattr(torch.cuda, "synchronize", self.asked.append)
        monkeypatch.setattr(torch.cuda, "Event", self._event)

    def _stream(self, device):
        return device

    def _event(self, *, enable_timing):
        assert enable_timing
        device = self

        class Event:
            at = None

            def record(self, stream):
                assert stream == GPU  # not of whatever device is the current one
                self.at = device.ms
                device.asked.append("record")

            def synchronize(self):
                device.asked.append("wait")

            def elapsed_time(self, other):
                return other.at - self.at

        return Event()


def test_a_gpu_is_timed_by_events_of_its_own_stream(monkeypatch):
    device = Device(monkeypatch)

    def work():
        device.ms += 250.0

    assert timer(GPU)(work) == 0.25
    assert device.asked == [GPU, "record", "record", "wait"]  # idle before, done after


def test_the_peak_of_a_variant_leaves_out_what_others_hold(monkeypatch):
    held, peak = 700, 700 + 90
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", lambda _: None)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda _: held)
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda _: peak)
    runner = SimpleNamespace(step=lambda _: None, kv_bytes=60)
    monkeypatch.setattr(steps_module, "_prepared", lambda *_: (runner, []))
    model = torch.nn.Linear(5, 2, bias=False)  # 40 bytes
    loaded = SimpleNamespace(
        model=SimpleNamespace(device=GPU, model=model), variant=SimpleNamespace(name="bf16")
    )
    found = steps_module.measure_memory(loaded, None)
    assert (found.weights, found.kv_cache, found.peak) == (40, 60, 40 + 90)


def test_a_step_with_cuda_graphs_begins_once_for_all_its_blocks(monkeypatch):
    begun = []
    monkeypatch.setattr(torch.compiler, "cudagraph_mark_step_begin", lambda: begun.append("step"))
    monkeypatch.setattr(torch, "compile", lambda function, **_: function)
    model = load_model(TINY, "fp32", CPU).model
    runner = Runner(Compile(mode="reduce-overhead").apply(model), 2, 16)
    begun.clear()
    runner.step([Chunk(0, [1, 2, 3], 0, sample=False)])
    runner.step([Chunk(0, [4], 3), Chunk(1, [5], 0)])
    assert begun == ["step"] * 2


@pytest.mark.parametrize(
    ("width", "tiles"), [(4096, 8), (1024, 8), (576, 4), (192, 4), (96, 2), (32, 2)]
)
def test_int4_takes_as_many_tiles_at_once_as_a_width_has(width, tiles):
    assert _inner_tiles(width) == tiles


def points(limit):
    found = grid((1, 2), (4, 16), (1, 2), (8, 40), max_tokens=64, max_context=200)
    return [each for each in found if each.longest <= limit]


def plan(*variants):
    return Plan(
        source=TINY,
        variants=variants,
        points=points,
        device=CPU,
        repeats=Repeats(warmup=0, least=1, most=1, spread=1.0, seconds=0.1),
        sizes=Sizes(matmul=(64,), memory=2**16, disk=2**16, host=2**16, links=(), split=()),
        serving=Serving((1,), 0.3, 16, 64),
        windows=0,
    )


def test_a_variant_whose_kernels_do_not_take_the_model_is_unsupported_and_the_rest_measured(
    tmp_path, monkeypatch
):
    real = Int8DynamicLinear.product

    def picky(layer, rows):
        if layer.in_features == 32 and len(rows) > 16:  # not the sizes that `supported` tries
            raise RuntimeError("CUDA error: widths must be a multiple of 128\nin line 3")
        return real(layer, rows)

    monkeypatch.setattr(Int8DynamicLinear, "product", picky)
    monkeypatch.setattr(emulated, "times_of_fp32", lambda *_: 1.0)
    path, wanted = tmp_path / "m.jsonl", ("fp32", "int8", "fp32+unstructured:0.5")
    for _ in range(2):  # a second run tries it no more
        found = calibrate(plan(*wanted), path, ignore).measured
        variants = {each.variant: each.unsupported for each in found.of(VariantRecord)}
        reason = "RuntimeError: CUDA error: widths must be a multiple of 128"
        assert variants == {"fp32": None, "fp32+unstructured:0.5": None, "int8": reason}
        assert {each.variant for each in found.of(StepRecord)} == {"fp32", "fp32+unstructured:0.5"}
        monkeypatch.setattr(steps_module, "in_turns", lambda *_: pytest.fail("all is measured"))


def test_cuda_graphs_are_measured_step_by_step_and_not_in_serving(tmp_path, monkeypatch):
    monkeypatch.setattr(Compile, "supported", lambda *_: None)
    monkeypatch.setattr(torch.compiler, "cudagraph_mark_step_begin", lambda: None)
    monkeypatch.setattr(torch, "compile", lambda function, **_: function)
    path = tmp_path / "m.jsonl"
    found = calibrate(plan("bf16", "bf16+cuda_graphs"), path, ignore).measured
    assert {each.variant for each in found.of(StepRecord)} == {"bf16", "bf16+cuda_graphs"}
    assert {each.variant for each in found.of(ServedRecord)} == {"bf16"}
    before = path.read_bytes()
    calibrate(plan("bf16", "bf16+cuda_graphs"), path, ignore)
    assert path.read_bytes() == before


def test_the_plan_for_a_gpu_has_the_batches_contexts_and_settings_that_it_is_for():
    found = _plan("llama-3.1-8b", None, GPU, minutes=None, windows=None, quick=False)
    steps = found.points(131_072)
    batches = {each.sequences for each in steps if each.kind == "decode"}
    assert {1, 256} <= batches
    contexts = {done for each in steps if each.kind == "decode" for done in each.decode}
    assert (min(contexts), max(contexts)) == (128, 16_000)
    names = {parse_variant(name).name for name in found.variants}
    assert names >= {
        "bf16", "fp8", "int8", "int4", "2:4", "structured:0.25", "structured:0.5",
        "bf16+cuda_graphs",
    }  # fmt: skip
    assert found.repeats.warmup > 2  # kernels compiled, graphs recorded


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("name", ["bf16+compile", "bf16+cuda_graphs"])
def test_on_cuda_compiled_steps_bring_the_tokens_of_plain_ones(name):
    variant, place = parse_variant(name), torch.device("cuda")
    reason = variant.supported(place)
    if reason is not None:
        pytest.skip(reason)
    logits = []
    for change in (None, variant):
        loaded = load_model(TINY, "bf16", place)
        model = (loaded if change is None else change.apply(loaded)).model
        runner = Runner(model, 2, 32)
        runner.step([Chunk(0, [1, 2, 3], 0, sample=False)])
        for start in range(3, 8):  # compiled, recorded, then replayed
            runner.step([Chunk(0, [start], start), Chunk(1, [start], start - 3)])
        logits.append(runner.logits([Chunk(0, [9], 8), Chunk(1, [9], 5)]).float())
    assert (logits[1] - logits[0]).norm() < 0.05 * logits[0].norm()
