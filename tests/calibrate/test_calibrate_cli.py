"""`planner calibrate` as a user runs it."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest
import synthetic_steps as synthetic
from command_line import is_progress
from command_line import planner as command_line

from calibrate.measure.journal import read_measurements
from calibrate.measure.records import StepRecord
from planner.catalog.profile import load_profile

NO_TORCH = "import sys; sys.modules['torch'] = None; from planner.cli import main; main()"
needs_torch = pytest.mark.skipif(
    importlib.util.find_spec("torch") is None or importlib.util.find_spec("transformers") is None,
    reason="measuring needs the extra 'calibrate'",
)


def planner(*arguments, start=("-m", "planner")):
    return subprocess.run(
        [sys.executable, *start, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


@pytest.fixture(scope="module")
def journal(tmp_path_factory):
    truth = synthetic.SHARED | synthetic.REREAD | synthetic.SPEEDUPS
    lines = synthetic.records(truth, 0.02, np.random.default_rng(0), points=synthetic.FEW_POINTS)
    return synthetic.write(tmp_path_factory.mktemp("cli") / "measurements.jsonl", lines)


@pytest.mark.parametrize("command", ["run", "quality"])
def test_torch_missing_is_one_line_that_names_the_extra(command):
    done = planner("calibrate", command, start=("-c", NO_TORCH))
    assert done.returncode == 2
    assert done.stderr == (
        "planner: this needs the package 'torch'; pip install 'latency-planner[calibrate]'\n"
    )


def test_measurements_are_fitted_and_shown_without_torch(journal):
    done = planner("calibrate", "fit", journal, "--name", "mine", start=("-c", NO_TORCH))
    assert (done.returncode, done.stderr) == (0, "")
    assert "[[Coefficients]]" in done.stdout
    assert "left out, median absolute" in done.stdout
    assert re.search(r"fp32\+structured:0.5 +\d\.\d\d \+/- ", done.stdout)
    folder = journal.parent
    assert (folder / "fit.txt").read_text() in done.stdout
    assert (folder / "residuals.png").exists()
    assert load_profile(folder / "profile.json").name == "mine"
    shown = planner("calibrate", "show", folder / "profile.json", start=("-c", NO_TORCH))
    assert (shown.returncode, shown.stderr) == (0, "")
    assert re.match(
        r"profile 'mine' of a CPU, 2 threads, 2026-11-20 \(\d+ days old\)", shown.stdout
    )
    for word in ("peak fp32", "compute_efficiency", "weights.int8-int8", "Linux 6"):
        assert word in shown.stdout
    assert "NOT this machine" not in shown.stdout


@needs_torch
def test_a_fit_tells_how_far_it_is_unless_quiet_and_prints_what_it_wrote(journal, tmp_path, bars):
    ran = command_line("calibrate", "fit", journal, "--out", tmp_path, "--json")
    assert (ran.code, ran.err) == (0, "")
    assert is_progress(bars["fitting"], 5)
    assert ran.out == (tmp_path / "fit.json").read_text()
    bars.clear()
    assert command_line("calibrate", "fit", journal, "--out", tmp_path, "-q").code == 0
    assert not bars


@needs_torch
@pytest.mark.parametrize(("times", "base"), [(1.5, "bf16"), (5.0, "fp32")])
@pytest.mark.parametrize("quick", [True, False])
def test_the_base_is_the_plain_data_type_that_the_cpu_has(monkeypatch, times, base, quick):
    import torch  # noqa: PLC0415 - only where it is there

    from calibrate.cli.run import _plan  # noqa: PLC0415
    from calibrate.compression import emulated  # noqa: PLC0415
    from calibrate.compression.variant import parse_variant  # noqa: PLC0415

    monkeypatch.setattr(emulated, "times_of_fp32", lambda *_: times)
    plan = _plan("smollm2", None, torch.device("cpu"), minutes=None, windows=None, quick=quick)
    settings = [parse_variant(each).settings for each in plan.variants]
    assert plan.variants[0] == base
    pruned = [each.weights for each in settings if each.pruning.rate]
    assert pruned == [base] * (1 if quick else 4)
    assert len(plan.variants) == (3 if quick else 10)


@needs_torch
def test_a_profile_of_another_machine_is_flagged(journal, tmp_path):
    planner("calibrate", "fit", journal, "--out", tmp_path / "new")
    shown = planner("calibrate", "show", tmp_path / "new" / "profile.json")
    assert "NOT this machine or its software: " in shown.stdout


def test_a_profile_of_another_schema_version_is_refused(tmp_path):
    path = tmp_path / "profile.json"
    content = load_profile("assumed").model_dump(mode="json") | {"schema_version": 99}
    path.write_text(json.dumps(content))
    done = planner("calibrate", "show", path)
    assert done.returncode == 2
    assert "schema_version: must be 1, got 99; make the profile anew" in done.stderr


def test_simulate_says_which_profile_it_used_and_how_old_it_is(journal, tmp_path):
    planner("calibrate", "fit", journal, "--out", tmp_path, "--name", "mine")
    scenario = tmp_path / "scenario.yaml"
    scenario.write_text(
        """
schema_version: 1
name: on this machine
traffic:
  requests: 50
  arrivals: {kind: poisson, rate: 0.2 req/s}
  lengths: {kind: fixed, prompt: 64, output: 16}
service:
  kind: llm
  model: {name: small, hidden_size: 576, n_layers: 30, n_heads: 9, n_kv_heads: 3, head_dim: 64,
          ffn_size: 1536, vocab_size: 49152, max_position: 2048, tied_embeddings: true}
  settings: {weights: fp32, kv_cache: fp32, pruning: {pattern: structured, rate: 0.5}}
  profile: profile.json
fleet: {device: from_profile, price: $1/h}
simulation: {warmup: 0 s, replications: 2}
"""
    )
    done = planner("simulate", scenario)
    assert done.returncode == 0, done.stderr
    assert re.search(r"profile 'mine' of 2026-11-20, calibrate 1 \(-?\d+ days old\)", done.stdout)
    assert "a CPU, 2 threads" in done.stdout
    numbers = json.loads(planner("simulate", scenario, "--json").stdout)["provenance"]
    assert "speedup of compute by pruning.structured" in json.dumps(numbers)
    assert "guessed" not in done.stdout
    unmeasured = (
        "--set",
        "service.settings.weights=bf16",
        "--set",
        "service.settings.kv_cache=bf16",
    )
    done = planner("simulate", scenario, *unmeasured)
    assert done.returncode == 0, done.stderr
    said = " ".join(done.stdout.split())
    assert "'mine' was measured with fp32, int8 weights; the speed of bf16 is guessed" in said


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("fit", "nothing.jsonl"), "nothing.jsonl: must be measurements, got No such file"),
        (("show", "assume"), "did you mean 'assumed'?"),
        (("frob",), "No such command 'frob'. See planner calibrate --help"),
        (("run", "--minutes", "-1"), "See planner calibrate run --help"),
        (("run", "--windows", "1"), "--windows: must be 0 or at least 2, got 1"),
        (("run", "--name", " "), "'--name': must not be empty"),
        (("fit", "m.jsonl", "--name", ""), "'--name': must not be empty"),
        (("fit", "m.csv", "--scenario", "chatbot", "--hold", "overlap=nan"), "got 'overlap=nan'"),
        (("fit", "m.csv", "--scenario", "chatbot", "--hold", "overlap"), "must be NAME=NUMBER"),
        (("fit", "m.jsonl", "--hold", "overlap=1"), "--hold: must be left out here"),
        (("fit", "m.jsonl", "--by", "tp"), "--by: must be left out here; for a CSV of measured"),
        (("fit", "m.csv", "--scenario", "chatbot", "--engine", "vllm"), "--engine: must be left"),
        (("fit", "a.csv", "b.csv"), "several files must be measured requests, with --scenario"),
        (("fit", "a.csv"), "must come with --device and --engine"),
        (
            ("fit", "a.csv", "--engine", "vllm", "--device", "A", "--device", "B", "--json"),
            "--json and --html must come with one --device, which has one profile",
        ),
    ],
)
def test_what_cannot_be_done_is_one_line(arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = planner("calibrate", *arguments)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert message in done.stderr


def test_results_that_cannot_be_written_leave_the_measurements(journal, tmp_path):
    (tmp_path / "profile.json").write_text("of before")
    (tmp_path / "fit.txt").mkdir()
    done = planner("calibrate", "fit", journal, "--out", tmp_path)
    assert done.returncode == 2
    assert (tmp_path / "profile.json").read_text() == "of before"
    assert sorted(each.name for each in tmp_path.iterdir()) == ["fit.txt", "profile.json"]
    assert "the measurements are kept, `planner calibrate fit` makes the profile" in done.stderr


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    transformers = pytest.importorskip("transformers", reason="needs the extra 'calibrate'")
    pytest.importorskip("torch", reason="needs the extra 'calibrate'")
    folder = tmp_path_factory.mktemp("model")
    config = transformers.LlamaConfig(
        hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, vocab_size=97, max_position_embeddings=600,
        bos_token_id=None, eos_token_id=None, pad_token_id=None,
    )  # fmt: skip
    transformers.LlamaForCausalLM(config).save_pretrained(folder)
    return folder


@needs_torch
@pytest.mark.parametrize("command", [("calibrate", "run"), ("validate", "chatbot", "--engine")])
@pytest.mark.parametrize("threads", [100_000, 10**20])
def test_more_threads_than_cores_are_refused(command, threads):
    done = planner(*command, "--threads", str(threads))
    assert done.returncode == 2
    cores = os.cpu_count()
    assert done.stderr == (
        f"planner: --threads: must be 1 to {cores}, the cores of this machine, got {threads}\n"
    )


@needs_torch
def test_a_tiny_model_is_calibrated_from_end_to_end(model, tmp_path):
    out = tmp_path / "out"
    command = (
        "calibrate", "run", "--quick", "--model", model, "--out", out, "--threads", "1",
        "--settings", "fp32,int8-bf16,fp32+structured:0.5", "--device", "cpu",
    )  # fmt: skip
    done = planner(*command)
    assert done.returncode == 0, done.stderr
    assert "[[Coefficients]]" in done.stdout
    assert load_profile(out / "profile.json").measured_device().kind == "cpu"
    before = (out / "measurements.jsonl").read_bytes()
    steps = read_measurements(out / "measurements.jsonl").of(StepRecord)
    assert {each.variant for each in steps} == {"fp32", "int8-bf16", "fp32+structured:0.5"}
    again = planner(*command)
    assert again.returncode == 0, again.stderr
    assert (out / "measurements.jsonl").read_bytes() == before


@needs_torch
def test_a_run_without_time_says_that_the_same_command_goes_on(model, tmp_path):
    done = planner("calibrate", "run", "--model", model, "--out", tmp_path, "--minutes", "0")
    assert done.returncode == 2
    assert re.search(r"[1-9]\d* points were left for lack of time; the same command", done.stderr)
    assert len(read_measurements(tmp_path / "measurements.jsonl").records) > 0


@needs_torch
def test_a_machine_without_the_device_and_a_file_for_a_folder_are_refused(model, tmp_path):
    done = planner("calibrate", "run", "--model", model, "--device", "nonsense")
    assert done.returncode == 2
    assert "must be a device of this machine, cpu or cuda, got 'nonsense'" in done.stderr
    (tmp_path / "file").write_text("")
    done = planner(
        "calibrate", "run", "--model", model, "--device", "cpu", "--out", tmp_path / "file" / "x"
    )
    assert done.returncode == 2
    assert "--out must be a folder" in done.stderr
