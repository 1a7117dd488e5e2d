"""First times: after the warm-up no step makes a kernel, as oneDNN itself logs it."""

import itertools

import pytest

torch = pytest.importorskip("torch", reason="the runner needs the extra 'calibrate'")
pytest.importorskip("transformers", reason="the runner needs the extra 'calibrate'")

import calibrate.measure.serving as module  # noqa: E402 - after the skip
from calibrate.compression.variant import parse_variant  # noqa: E402
from calibrate.measure.plan import Serving  # noqa: E402
from calibrate.measure.steps import Loaded  # noqa: E402
from calibrate.models.first_times import MOST_TOKENS, run_every_size  # noqa: E402
from calibrate.models.runner import Chunk, Runner  # noqa: E402
from calibrate.server import Server  # noqa: E402
from planner.catalog.models import ModelShape  # noqa: E402
from planner.scenario.reader import load_scenario  # noqa: E402
from planner.simulation.run import admissible  # noqa: E402
from planner.simulation.system import build_system  # noqa: E402

VERBOSE_ON_CREATION = torch.backends.mkldnn.VERBOSE_ON_CREATION
#: Of the steps that try whether kernels are made at all: each is made once in a process.
LENGTHS = itertools.count(20)
SCENARIO = """
name: tiny
traffic:
  duration: 1 s
  arrivals: {kind: poisson, rate: 30 req/s}
  lengths:
    kind: lognormal
    prompt: {mean: 12, cv: 0.8, max: 50}
    output: {mean: 5, cv: 0.5, max: 9}
service:
  kind: llm
  model:
    {name: tiny, hidden_size: 96, n_layers: 2, n_heads: 4, n_kv_heads: 2, head_dim: 24,
     ffn_size: 64, vocab_size: 97, max_position: 128, tied_embeddings: true}
  engine: {max_num_seqs: 4, max_num_batched_tokens: 48, block_size: 4, kv_tokens: 400}
  network: 0 s
fleet:
  device: {name: here, kind: cpu, peaks: {bf16: 10 GFLOP/s}, bandwidth: 1 GB/s, memory: 1 GiB}
  price: $1/h
simulation: {warmup: 0 s}
"""


pytestmark = pytest.mark.usefixtures("one_thread")


def load(width, setting="bf16"):
    """A tiny model; kernels are shared by all of a width in a process."""
    shape = ModelShape(
        name="tiny", hidden_size=width, n_layers=2, n_heads=2, n_kv_heads=2, head_dim=width // 2,
        ffn_size=2 * width, vocab_size=97, max_position=128, tied_embeddings=True,
    )  # fmt: skip
    variant = parse_variant(setting)
    return Loaded(variant, variant.load(shape, "cpu"))


@pytest.fixture
def made(capfd):
    """Runs something and returns how many kernels of oneDNN it made."""

    def count(run):
        capfd.readouterr()
        with torch.backends.mkldnn.verbose(VERBOSE_ON_CREATION):
            run()
        return capfd.readouterr().out.count("create:cache_miss")

    runner = Runner(load(40).model.model, 4, 64)
    if not count(lambda: runner.step([Chunk(0, [0] * next(LENGTHS), 0)])):
        pytest.skip("torch makes no kernels for sizes on this CPU")
    return count


def prompts(runner):
    """Prompts of many lengths, alone and beside sequences that decode."""
    for length in range(1, 38):
        runner.step([Chunk(3, [0] * length, 0)])
        runner.step([Chunk(0, [0] * length, 0), Chunk(3, [0], 1), Chunk(2, [0], 0)])


@pytest.mark.parametrize(("width", "setting"), [(48, "bf16"), (56, "int8-bf16"), (64, "int8")])
def test_no_step_makes_a_kernel_once_every_size_was_run(made, width, setting):
    runner = Runner(load(width, setting).model.model, 4, 64)
    runner.warm_up(40)
    assert made(lambda: prompts(runner)) == 0


def test_without_that_every_new_length_makes_some(made):
    runner = Runner(load(72).model.model, 4, 64)
    assert made(lambda: prompts(runner)) > 37


def test_a_server_is_warm_when_it_serves(made, tmp_path):
    path = tmp_path / "tiny.yaml"
    path.write_text(SCENARIO)
    scenario = load_scenario(path, (), None)
    system = build_system(scenario)
    requests = scenario.traffic.draw(1, 0, scenario.base_dir)
    taken = admissible(requests, system)
    server = Server.start(scenario, system, [taken.requests])
    assert made(lambda: server.serve(taken.requests, taken.rejected)) == 0


def test_what_is_measured_in_serving_is_warm_too(made, monkeypatch):
    serve, kernels = module.serve_clients, []

    def watched(*arguments):
        found = []
        kernels.append(made(lambda: found.extend(serve(*arguments))))
        return found

    monkeypatch.setattr(module, "serve_clients", watched)
    loaded = load(80)
    record = module.measure_served(loaded, loaded, Serving((3,), 0.5, 32, 128), 3)
    assert kernels == [0]
    assert len(record.stretches) > 5


@pytest.mark.parametrize(("tokens", "most"), [(5, 5), (10 * MOST_TOKENS, MOST_TOKENS)])
def test_one_layer_of_each_size_is_run_with_every_number_of_tokens(tokens, most):
    model = load(8).model.model
    seen = {}
    for name, layer in model.named_modules():
        layer.register_forward_pre_hook(
            lambda _, inputs, name=name: seen.setdefault(name, []).append(inputs[0].shape[1])
        )
    run_every_size(model, tokens)
    every = list(range(1, most + 1))
    first = ["self_attn.q_proj", "mlp.gate_proj", "mlp.down_proj"]  # the others are as large
    assert seen == {f"model.layers.0.{name}": every for name in first}
