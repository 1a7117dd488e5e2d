"""A tiny model served in real time and simulated, end to end; and what the command prints."""

import dataclasses
import json
import math
import re
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the engine needs the extra 'calibrate'")
pytest.importorskip("transformers", reason="the engine needs the extra 'calibrate'")

import calibrate.programme  # noqa: E402 - after the skip
import calibrate.server  # noqa: E402 - after the skip
import calibrate.validate as module  # noqa: E402 - after the skip
from calibrate.compression.compiling import Compile  # noqa: E402
from calibrate.engine import StepLog  # noqa: E402
from calibrate.measure.fingerprint import fingerprint  # noqa: E402
from calibrate.models.load import load_model  # noqa: E402
from calibrate.server import Server, limits_of  # noqa: E402
from calibrate.speed import Reading, Speed, Speedometer  # noqa: E402
from calibrate.validate import Validation, validate  # noqa: E402
from planner.cli import main  # noqa: E402
from planner.errors import InputError  # noqa: E402
from planner.results.measured import Measured  # noqa: E402
from planner.results.records import FINISHED, REJECTED  # noqa: E402
from planner.scenario.reader import load_scenario  # noqa: E402
from planner.simulation.run import admissible, run_llm  # noqa: E402
from planner.simulation.system import build_system  # noqa: E402
from planner.validation.compare import Comparison, Row  # noqa: E402

#: A device on which the planner believes the model to be slow, so that no queue builds up here.
SCENARIO = """
name: tiny
traffic:
  duration: 2 s
  arrivals: {kind: poisson, rate: 20 req/s}
  lengths:
    kind: lognormal
    prompt: {mean: 12, cv: 0.8, max: 70}
    output: {mean: 5, cv: 0.8, max: 12}
service:
  kind: llm
  model:
    {name: tiny, hidden_size: 32, n_layers: 2, n_heads: 4, n_kv_heads: 2, head_dim: 8,
     ffn_size: 64, vocab_size: 97, max_position: 64, tied_embeddings: true}
  settings: {weights: fp32, kv_cache: fp32}
  engine: {max_num_seqs: 4, max_num_batched_tokens: 16, block_size: 4, kv_tokens: 160}
  network: 50 ms
fleet:
  device: {name: here, kind: cpu, peaks: {fp32: 0.05 GFLOP/s}, bandwidth: 20 MB/s}
  price: $1/h
simulation: {warmup: 0.2 s, seed: 3}
"""
PEAKS = "fleet.device.peaks={bf16: 1 GFLOP/s, fp8: 1 GFLOP/s}"


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "tiny.yaml"
    path.write_text(SCENARIO)
    return path


def load(file, *overrides):
    return load_scenario(file, overrides, None)


def served(scenario):
    system = build_system(scenario)
    requests = scenario.traffic.draw(1, 0, scenario.base_dir)
    taken = admissible(requests, system)
    server = Server.start(scenario, system, [taken.requests])
    real = server.serve(taken.requests, taken.rejected).records
    return real, run_llm(scenario, system, requests, replication=0)


def test_the_engine_leaves_the_records_that_a_simulation_leaves(file):
    real, simulated = served(load(file, "service.network=0 s"))
    for name in ("arrival_s", "prompt_tokens", "output_tokens", "class_id", "status", "replica"):
        np.testing.assert_array_equal(getattr(real, name), getattr(simulated, name), err_msg=name)
    assert set(real.status) == {FINISHED, REJECTED}  # some prompts fill the context
    done = real.status == FINISHED
    assert (real.admitted_s >= real.arrival_s)[done].all()
    assert (real.first_token_s > real.admitted_s)[done].all()
    more = done & (real.output_tokens > 1)
    assert (real.finished_s > real.first_token_s)[more].all()
    assert real.itl_counts.shape == simulated.itl_counts.shape
    assert real.itl_counts.sum() == (real.output_tokens - 1)[done].sum()
    assert real.measured_from_s == 0.2
    assert real.usage.keys() == simulated.usage.keys()
    assert 0 < real.usage["busy"] <= 1
    assert 0 < real.usage["kv_cache"] <= 1
    gaps = Measured(real).sample("itl")
    assert 0 < gaps.quantile(0.5) < 1


def test_clients_of_a_closed_loop_wait_for_their_answers(file):
    scenario = load(
        file,
        "service.network=0 s",
        "traffic.duration=1 s",
        "traffic.arrivals={kind: closed_loop, clients: 3, think: 20 ms}",
        "traffic.lengths.prompt.max=40",
    )
    real, _ = served(scenario)
    assert len(real.arrival_s) > 3
    assert real.arrival_s.max() < 1.0
    for time in np.linspace(0, 1, 50):  # never more than one request of each client
        assert ((real.arrival_s <= time) & ~(real.finished_s <= time)).sum() <= 3


def test_a_profile_of_another_machine_or_number_of_threads_is_flagged(file):
    scenario = load(file)
    system = build_system(scenario)
    server = SimpleNamespace(device=torch.device("cpu"), about="a model")
    here = fingerprint(server.device)
    for measured_on, flagged in (
        (None, False),
        (here.text, False),
        (here.model_copy(update={"threads": 999}).text, True),
        (here.model_copy(update={"device": "another"}).text, True),
    ):
        profile = system.profile.model_copy(update={"fingerprint": measured_on})
        other = dataclasses.replace(system, profile=profile)
        facts = module.facts_of(scenario, other, server, saturation=1.0, runs=3)
        assert ("NOT of this machine, its software" in facts["profile"]) == flagged


def test_requests_of_which_none_is_taken_are_refused_before_anything_runs(file):
    scenario = load(file, "traffic.lengths={kind: fixed, prompt: 200, output: 5}")
    said = []
    with pytest.raises(InputError, match="must be longer than the prompts, got 64 tokens"):
        validate(scenario, runs=1, threads=1, say=said.append)
    assert not said


def test_a_validation_compares_every_load_and_the_saturation(file, monkeypatch):
    monkeypatch.setattr(calibrate.programme, "BACKLOG_S", 1.0)
    said = []
    found = validate(load(file), loads=(0.3, 0.6), runs=2, threads=1, say=said.append)
    assert [each.label for each in found.comparisons] == ["30 %", "60 %", "saturation"]
    low, high, saturation = found.comparisons
    assert high.rate / low.rate == pytest.approx(2.0, rel=0.5)
    for row in (*low.rows, *high.rows, *saturation.rows):
        assert math.isfinite(row.error), row
        assert len(row.runs) == 2
    ttft = next(row for row in low.rows if row.metric == "ttft")
    assert ttft.predicted < 1  # the network is left out on both sides
    here = fingerprint(torch.device("cpu")).device
    assert found.facts["device"] == f"{here}, 1 thread"
    assert torch.__version__ in found.facts["engine"]
    assert said[0].startswith("building ")
    assert said[1] == "first steps of every size"
    assert [line.split(":")[0] for line in said[2:]] == [
        f"run {run} of 2{what}" for run in (1, 2) for what in ("", ", 30 %", ", 60 %", ", backlog")
    ]
    both, one = (
        float(re.search(r"about ([\d.]+) s left", line)[1]) for line in said if "left" in line
    )
    assert both == pytest.approx(2 * one, abs=1)


def reading(ratio, pulse=1e-4):
    return Reading((ratio,), (1.0,), (pulse,))


def test_predictions_by_a_profile_of_here_are_for_the_speed_of_now(file, monkeypatch):
    monkeypatch.setattr(calibrate.programme, "BACKLOG_S", 1.0)
    monkeypatch.setattr(module, "is_of_here", lambda *_: True)
    monkeypatch.setattr(calibrate.server, "pulse_of", lambda _: lambda: 1e-4)
    ratios = iter((0.5, 0.9, 0.6))
    monkeypatch.setattr(
        Speedometer, "read", lambda meter, _server: meter.readings.append(reading(next(ratios)))
    )
    said = []
    found = validate(load(file), loads=(0.3,), runs=2, threads=1, say=said.append)
    load_, saturation = found.comparisons
    for row in load_.rows:
        assert row.by_profile is not None
        if row.metric == "tpot":  # 0.6 times as long, and less where batches are smaller for it
            assert 0.3 * row.by_profile < row.predicted < 0.61 * row.by_profile
    (row,) = saturation.rows
    assert row.predicted == pytest.approx(row.by_profile / 0.6, rel=1e-6)
    assert found.facts["speed"].startswith("steps take 40.0 +/- 12.0 % less time")
    assert sum("speed of the machine" in line for line in said) == 3


def test_predictions_are_as_slow_as_pulses_say_that_the_core_was(file, monkeypatch):
    """All pulses of the second run take half as long again as those of the clients."""
    monkeypatch.setattr(calibrate.programme, "BACKLOG_S", 1.0)
    monkeypatch.setattr(module, "is_of_here", lambda *_: True)
    monkeypatch.setattr(
        Speedometer,
        "read",  # a step is delayed as a pulse is
        lambda meter, _server: meter.readings.append(
            Reading((1.0, 1.5), (1.0, 1.0), (1e-4, 1.5e-4))
        ),
    )
    served, pulse = [], {}
    serve = Server.serve

    def watched(server, *arguments):
        pulse["now"] = 1e-4 if len(served) < 2 else 1.5e-4  # a load and a backlog in each run
        served.append(arguments)
        return serve(server, *arguments)

    monkeypatch.setattr(Server, "serve", watched)
    monkeypatch.setattr(calibrate.server, "pulse_of", lambda _: lambda: pulse["now"])
    found = validate(load(file), loads=(0.3,), runs=2, threads=1)
    load_, saturation = found.comparisons
    assert len(served) == 4
    (row,) = saturation.rows
    assert row.predicted == pytest.approx(row.by_profile * (1 + 1 / 1.5) / 2, rel=1e-3)
    for row in load_.rows:
        if row.metric == "tpot":
            assert 1.2 * row.by_profile < row.predicted < 2 * row.by_profile
    assert "(0.0 to 50.0 % in a run), as pulses between steps show" in found.facts["speed"]


def test_without_pulses_one_prediction_is_for_all_runs(file, monkeypatch):
    """As on a GPU: only the speed is known."""
    monkeypatch.setattr(calibrate.programme, "BACKLOG_S", 1.0)
    monkeypatch.setattr(module, "is_of_here", lambda *_: True)
    monkeypatch.setattr(calibrate.server, "pulse_of", lambda _: lambda: math.nan)
    monkeypatch.setattr(
        Speedometer, "read", lambda meter, _server: meter.readings.append(reading(0.6, math.nan))
    )
    found = validate(load(file), loads=(0.3,), runs=2, threads=1)
    for row in (row for each in found.comparisons for row in each.rows):
        assert row.of_runs == ()
    (row,) = found.comparisons[-1].rows
    assert row.predicted == pytest.approx(row.by_profile / 0.6, rel=1e-6)
    assert "own prediction" not in found.facts.get("WARNING", "")
    assert "pulses" not in found.facts["speed"]


def test_a_replay_without_steps_says_nothing_about_what_slowed_the_core():
    idle, slow = SimpleNamespace(steps=()), SimpleNamespace(steps=(step_of(1.2e-4),))
    measured = SimpleNamespace(loads=[[idle]], backlogs=[slow])
    line = module._speed_line(Speed((1.0,), slowing=1.0, quiet=1e-4), measured)
    assert "and 20.0 % more for what slowed the core meanwhile (20.0 to 20.0 % in a run)" in line


def step_of(pulse):
    return StepLog(0.0, 0.01, (), 0, pulse)


def test_a_profile_of_elsewhere_predicts_as_it_is(file, monkeypatch):
    monkeypatch.setattr(calibrate.programme, "BACKLOG_S", 1.0)
    monkeypatch.setattr(Speedometer, "read", lambda *_: pytest.fail("it is not of this machine"))
    found = validate(load(file), runs=1, threads=1)
    assert "speed" not in found.facts
    assert all(row.by_profile is None for each in found.comparisons for row in each.rows)


@pytest.mark.parametrize(
    ("runs", "warned"),
    [((1.0, 1.02, 0.98), None), ((1.0, 1.6, 0.4), "differ by 60 %"), ((1.0,), None)],
)
def test_runs_that_differ_too_much_to_tell_anything_are_warned_of(runs, warned):
    rows = tuple(Row("ttft", name, "s", 1.0, runs) for name in ("p50", "p95"))
    found = module.disturbed((Comparison("30 %", 1.0, 9, rows),))
    assert (warned in found["WARNING"]) if warned else not found
    assert "own prediction" not in found.get("WARNING", "")


def test_the_warning_says_how_much_predictions_of_each_run_leave():
    row = Row("ttft", "p50", "s", 1.0, (1.0, 1.6, 0.4), of_runs=(1.0, 1.5, 0.4))
    found = module.disturbed((Comparison("30 %", 1.0, 9, (row,)),))
    assert "says little (4 % from its own prediction)" in found["WARNING"]


@pytest.mark.parametrize(
    ("override", "key"),
    [
        ("fleet.replicas=2", "fleet.replicas"),
        ("fleet.events=[{at: 1 s, kind: join}]", "fleet.events"),
        ("fleet.failures={mtbf: 1 h, mttr: 1 min}", "fleet.failures"),
        ("fleet.autoscaler={max_replicas: 2}", "fleet.autoscaler"),
        ("service.before=[{name: ears, compute: {time: 1 ms}}]", "service.before"),
        ("service.after=[{name: voice, compute: {time: 1 ms}}]", "service.after"),
        ("traffic.arrivals={kind: closed_loop, clients: 3, think: 1 s}", "traffic"),
    ],
)
def test_what_one_engine_does_not_have_is_refused(file, override, key):
    with pytest.raises(InputError) as error:
        validate(load(file, override), loads=(0.5,))
    assert key in [each.path for each in error.value.problems]


@pytest.mark.parametrize(
    ("override", "key", "reason"),
    [
        ("service.settings.weights=fp8", "service.settings", "products are emulated"),
        ("service.settings.launch=cuda_graphs", "service.settings", "CUDA graphs need CUDA"),
    ],
)
def test_settings_whose_speed_this_machine_does_not_have_are_not_served(
    file, override, key, reason
):
    settings = "service.settings={weights: bf16, kv_cache: bf16}"
    with pytest.raises(InputError, match=reason) as error:
        validate(load(file, settings, PEAKS, override))
    assert [each.path for each in error.value.problems] == [key]


def test_cuda_graphs_are_not_served_where_they_could_be_recorded(file, monkeypatch):
    monkeypatch.setattr(Compile, "supported", lambda *_: None)
    settings = "service.settings={weights: bf16, kv_cache: bf16, launch: cuda_graphs}"
    with pytest.raises(InputError, match="record a graph for every number of tokens"):
        validate(load(file, settings, PEAKS))


def test_stages_are_not_served_by_an_engine(file):
    file.write_text(
        "name: stages\ntraffic: {duration: 1 h, arrivals: {kind: poisson, rate: 1 req/s},\n"
        "  lengths: {kind: fixed, prompt: 1, output: 1}}\n"
        "service: {kind: stages, stages: [{name: one, compute: {time: 1 ms}}]}\n"
    )
    with pytest.raises(InputError, match="must be an LLM"):
        validate(load(file))


def test_limits_are_those_of_the_simulated_replica(file):
    limits = limits_of(build_system(load(file, "service.engine.scheduler.kind=prefill_first")))
    assert (limits.scheduler, limits.blocks, limits.block_size) == ("prefill_first", 40, 4)
    assert (limits.max_num_seqs, limits.max_num_batched_tokens) == (4, 16)
    assert limits.max_model_len == 64


def test_the_scenario_that_comes_with_the_engine_is_one_that_it_serves():
    folder = Path(module.__file__).parent / "data"
    scenario = load_scenario(folder / "engine.yaml", (), None)
    module._check_is_one_engine(scenario, (0.5,))
    loaded = load_model(folder / "llama-40m" / "config.json")
    assert loaded.shape == build_system(scenario).shape
    parameters = sum(each.numel() for each in loaded.model.parameters())
    assert parameters == pytest.approx(40e6, rel=0.05)
    assert not loaded.trained


# -- the command ------------------------------------------------------------------------------

FOUND = Validation(
    (
        Comparison(
            "30 %",
            2.5,
            100,
            (
                Row("ttft", "p50", "s", 0.11, (0.10, 0.102, 0.098)),
                Row("e2e", "p95", "s", 1.5, (1.0, 1.01, 0.99)),
                Row("output tokens", "", "1/s", 100.0, (100.0, 100.0, 100.0)),
            ),
        ),
    ),
    {"scenario": "tiny"},
)


def run_command(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["planner", "validate", *arguments])
    with pytest.raises(SystemExit) as stop:
        main()
    return stop.value.code or 0


def test_the_table_and_the_exit_code_of_a_miss(file, monkeypatch, capsys):
    monkeypatch.setattr(module, "validate", lambda *_args, **_options: FOUND)
    assert run_command(monkeypatch, str(file), "--engine", "--tolerance", "10%") == 5
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["load", "predicted", "measured", "spread", "error", "allowed"]
    assert lines[1] == "30 %, 2.5 req/s"
    assert lines[3].split() == (
        ["e2e", "p95,", "ms", "1,500", "1,000", "1.0", "%", "+50.0", "%", "10", "%", "missed"]
    )
    assert max(map(len, lines)) <= 80
    assert run_command(monkeypatch, str(file), "--engine", "--tolerance", "60%") == 0
    assert "missed" not in capsys.readouterr().out
    assert run_command(monkeypatch, str(file), "--engine") == 0
    assert "allowed" not in capsys.readouterr().out


def test_no_word_of_the_table_is_cut_where_much_is_shown(file, monkeypatch, capsys):
    rows = (
        Row("ttft", "p95", "s", 0.686, (0.5, 0.55, 0.6), 2.625),
        Row("output tokens", "", "1/s", 2.0, (1.0, 1.01, 0.99), 3.0),
    )
    found = Validation((Comparison("85 %", 5.33, 100, rows),), {})
    monkeypatch.setattr(module, "validate", lambda *_args, **_options: found)
    assert run_command(monkeypatch, str(file), "--engine", "--tolerance", "10%") == 5
    head, *lines = capsys.readouterr().out.splitlines()
    assert head.split()[:3] == ["load", "by", "profile"]
    assert lines[-2].split()[-5:] == ["+100.0", "%", "10", "%", "missed"]
    assert max(map(len, lines)) <= 80


def test_the_json_of_a_validation(file, monkeypatch, capsys):
    monkeypatch.setattr(module, "validate", lambda *_args, **_options: FOUND)
    assert run_command(monkeypatch, str(file), "--engine", "--json", "--tolerance", "0.1") == 5
    content = json.loads(capsys.readouterr().out)
    assert content["tolerance"] == 0.1
    rows = content["comparisons"][0]["rows"]
    assert [row["met"] for row in rows] == [True, False, True]
    assert rows[0]["error"] == pytest.approx(0.1)
    assert rows[0]["runs"] == [0.10, 0.102, 0.098]


def test_without_an_engine_there_is_nothing_to_compare_with(file, monkeypatch, capsys):
    assert run_command(monkeypatch, str(file)) == 2
    assert "add --engine" in capsys.readouterr().err


def test_a_problem_is_named_with_its_place(file, monkeypatch, capsys):
    assert run_command(monkeypatch, str(file), "--engine", "--set", "fleet.replicas=2") == 2
    assert "fleet.replicas: must be 1" in capsys.readouterr().err


def test_our_own_engine_keeps_every_token_and_says_so(file):
    windows = ("service.model.sliding_window=16", "service.model.n_windowed_layers=1")
    system = build_system(load(file, *windows))
    with pytest.raises(InputError, match="must be true, since this engine keeps every token"):
        limits_of(system)
    kept = load(file, *windows, "service.engine.disable_hybrid_kv_cache_manager=true")
    assert limits_of(build_system(kept)).blocks == 40
