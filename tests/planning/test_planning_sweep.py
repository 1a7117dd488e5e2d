"""Sweeps: every cell is the simulation that `--set` would run, and none is run twice."""

import csv
import io
import json
import signal
import time

import jsonschema
import numpy as np
import pytest
from command_line import LLM, STAGES, finish, planner, process, refused, sets

from planner.planning import sweep as sweeps
from planner.planning.sweep import sweep

GRID = ("traffic.rate=2,20 req/s", "fleet.replicas=1:2")


def vary(*axes):
    return [word for each in axes for word in ("--vary", each)]


@pytest.fixture
def small(tmp_path):
    path = tmp_path / "s.yaml"
    path.write_text(LLM)
    return path


@pytest.fixture
def stages(tmp_path):
    path = tmp_path / "stages.yaml"
    path.write_text(STAGES)
    return path


@pytest.fixture
def simulated(monkeypatch):
    """Count how many cells are simulated."""
    done = []
    simulate = sweeps.simulate
    monkeypatch.setattr(sweeps, "simulate", lambda spec: done.append(spec) or simulate(spec))
    return done


def test_a_cell_is_what_simulate_says_with_its_values_set(small):
    found = json.loads(planner("sweep", small, *vary(*GRID), "--json", "-q").out)
    assert [list(cell["values"].values()) for cell in found["cells"]] == [
        [rate, n] for rate in (2, 20) for n in (1, 2)
    ]
    for cell in found["cells"]:
        rate, n = cell["values"].values()
        changes = sets(f"traffic.rate={rate} req/s", f"fleet.replicas={n}")
        alone = json.loads(planner("simulate", small, *changes, "--json", "-q").out)
        for key in ("metrics", "throughput", "utilisation", "cost", "requests", "steady"):
            assert cell[key] == alone[key], key
        assert cell["load"] == pytest.approx(
            alone["offered_requests_per_s"] / alone["saturation_requests_per_s"]
        )


def test_cells_that_differ_in_the_fleet_alone_see_the_same_requests(small):
    found = sweep(small, ["fleet.replicas=1:3"])
    assert len({cell["offered_requests_per_s"] for cell in found.cells}) == 1
    means = [cell["metrics"]["ttft_s"]["mean"]["value"] for cell in found.cells]
    assert means == sorted(means, reverse=True)


def test_several_processes_find_what_one_does(small):
    one, two = (sweep(small, GRID, jobs=jobs).to_json() for jobs in (1, 2))
    assert one == two


def test_a_cell_that_cannot_run_carries_its_reason_and_the_others_run(small):
    ran = planner("sweep", small, *vary("fleet.device=H100-SXM-80GB,H1000,TPU-v5e"), "-q")
    assert ran.code == 0
    assert "cannot run [1]" in ran.out
    assert "[1] fleet.device: must be" in ran.out
    found = sweep(small, ["fleet.device=H1000,H100-SXM-80GB"])
    assert [cell["error"] is None for cell in found.cells] == [False, True]
    assert found.cells[0]["metrics"] is None
    assert found.to_frame()["ttft_p95_s"].isna().tolist() == [True, False]


def test_a_cell_over_saturation_says_so(small):
    ran = planner(
        "sweep", small, *vary("traffic.rate=5,2000"), "--set", "traffic.duration=8s", "-q"
    )
    assert "no steady state" in ran.out
    assert "*: no steady state, more requests come than the fleet serves" in ran.out
    found = sweep(small, ["traffic.rate=2000"], overrides=["traffic.duration=8 s"])
    (cell,) = found.cells
    assert (cell["steady"], cell["objectives_met"]) == (False, False)
    assert cell["load"] > 1
    assert cell["metrics"]["ttft_s"]["p95"]["value"] is None


def test_a_sweep_goes_on_where_it_was(small, tmp_path, simulated):
    store = tmp_path / "run" / "cells.jsonl"
    first = sweep(small, ["fleet.replicas=1:2"], store=store, jobs=1)
    assert len(simulated) == 2
    more = sweep(small, ["fleet.replicas=1:3"], store=store, jobs=1)
    assert len(simulated) == 3
    assert more.cells[:2] == first.cells
    sweep(small, ["fleet.replicas=1:3"], store=store, jobs=1, seed=5)
    assert len(simulated) == 6
    small.write_text(LLM + "# a comment changes nothing\n")
    sweep(small, ["fleet.replicas=1:3"], store=store, jobs=1)
    assert len(simulated) == 6
    small.write_text(LLM.replace("prompt: 100", "prompt: 101"))
    sweep(small, ["fleet.replicas=1:3"], store=store, jobs=1)
    assert len(simulated) == 9


def test_a_cell_that_was_damaged_is_simulated_anew(small, tmp_path, simulated):
    store = tmp_path / "cells.jsonl"
    first = sweep(small, ["fleet.replicas=1:2"], store=store, jobs=1)
    store.write_text(store.read_text().replace('"result":{', '"result":{"x":{', 1))
    assert sweep(small, ["fleet.replicas=1:2"], store=store, jobs=1).cells == first.cells
    content = store.read_text()
    value = f'"offered_requests_per_s":{first.cells[1]["offered_requests_per_s"]}'
    assert value in content
    store.write_text(content.replace(value, value + "1"))
    assert sweep(small, ["fleet.replicas=1:2"], store=store, jobs=1).cells == first.cells
    assert len(simulated) == 5


def test_another_trace_under_the_same_name_is_another_sweep(tmp_path, simulated):
    (tmp_path / "s.yaml").write_text(
        LLM.replace("  duration: 40 s\n", "")
        .replace("{kind: poisson, rate: 5 req/s}", "{kind: trace, path: t.csv}")
        .replace("{kind: fixed, prompt: 100, output: 20}", "{kind: from_arrivals}")
    )
    store = tmp_path / "cells.jsonl"
    for times in (range(50), range(60), range(60)):
        rows = "".join(f"{k},100,20\n" for k in times)
        (tmp_path / "t.csv").write_text("arrival_s,prompt_tokens,output_tokens\n" + rows)
        sweep(tmp_path / "s.yaml", ["fleet.replicas=1"], store=store, jobs=1)
    assert len(simulated) == 2


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_killed_sweep_keeps_what_it_had(small, tmp_path, sent, code):
    out = tmp_path / "out"
    args = ("sweep", small, *vary("traffic.rate=1:400:0.1"), "--out", out, "--jobs", "1", "-q")
    running = process(*args)
    cells = out / "cells.jsonl"
    for _ in range(3000):
        if cells.exists() and cells.read_bytes().count(b'"key"') >= 2:
            break
        time.sleep(0.1)
    running.send_signal(sent)
    ran = finish(running)
    assert ran.code in {code, -sent}
    assert "Traceback" not in ran.err
    assert cells.read_bytes().count(b'"key"') >= 2
    assert not (out / "sweep.csv").exists()


def test_a_folder_holds_the_cells_and_the_tables(small, tmp_path):
    out = tmp_path / "out"
    ran = planner("sweep", small, *vary(*GRID), "--out", out, "--csv", "-q")
    assert sorted(each.name for each in out.iterdir()) == [
        "cells.jsonl", "run.json", "sweep.csv", "sweep.json",
    ]  # fmt: skip
    assert (out / "sweep.csv").read_text() == ran.out
    again = planner("sweep", small, *vary(*GRID), "--out", out, "--csv", "-q")
    assert again.out == ran.out
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "file").write_text("")
    assert "add --force" in refused(
        planner("sweep", small, *vary(*GRID), "--out", tmp_path / "mine", "-q")
    )


def test_outputs_agree(small):
    axes = ("fleet.replicas=0:2", "traffic.rate=2,20")
    as_json = planner("sweep", small, *vary(*axes), "--json", "-q")
    schema = json.loads(planner("schema", "sweep").out)
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.Draft202012Validator(schema).validate(json.loads(as_json.out))
    cells = json.loads(as_json.out)["cells"]
    rows = list(
        csv.DictReader(io.StringIO(planner("sweep", small, *vary(*axes), "--csv", "-q").out))
    )
    frame = sweep(small, axes).to_frame()
    assert len(cells) == len(rows) == len(frame) == 6
    assert list(frame.columns) == list(rows[0])
    for cell, row, (_, series) in zip(cells, rows, frame.iterrows(), strict=True):
        assert int(row["fleet.replicas"]) == cell["values"]["fleet.replicas"]
        if cell["error"]:
            assert row["error"] == cell["error"] == series["error"]
            assert row["ttft_p95_s"] == ""
            continue
        estimate = cell["metrics"]["ttft_s"]["p95"]
        assert float(row["ttft_p95_s"]) == estimate["value"] == series["ttft_p95_s"]
        assert row["ttft_p95_high_s"] == ("" if estimate["high"] is None else str(estimate["high"]))
        assert float(row["usd_per_hour"]) == cell["cost"]["usd_per_hour"]
        assert row["objectives_held"] == "1"


def test_stages_without_objectives_or_price_make_a_table(stages):
    ran = planner("sweep", stages, *vary("traffic.rate=10:30:10"), "-q")
    assert ran.code == 0
    assert "e2e p95, ms" in ran.out.splitlines()[2]
    assert len(ran.out.splitlines()) == 6


@pytest.mark.parametrize("name", ["p.svg", "p.PNG", "p.pdf"])
def test_a_picture_is_drawn_and_the_same_twice(small, tmp_path, name):
    axes = ("service.settings.weights=bf16,fp8", "fleet.replicas=1:2", "fleet.device=$x,L40S")
    pictures = []
    for folder in ("a", "b"):
        path = tmp_path / folder / name
        ran = planner("sweep", small, *vary(*axes), "--plot", path, "-q")
        assert ran.code == 0, ran.err
        pictures.append(path.read_bytes())
    assert pictures[0] == pictures[1]
    if name.endswith("svg"):
        assert pictures[0].rstrip().endswith(b"</svg>")


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ([], "--vary fleet.replicas=1:8"),
        (vary("fleet.replica=1:2"), "did you mean 'replicas'"),
        (vary("nothing.here=1"), "must be a known key"),
        (vary("fleet.replicas.deep=1"), "must be a mapping to hold 'deep'"),
        (vary("traffic.classes.chat.sessions=2"), "traffic.classes: must be a list"),
        (vary("fleet.replicas=1", "fleet.replicas=2"), "must be given once"),
        (vary("fleet.replicas=1:1e12"), "got 1,000,000,000,000; write larger steps"),
        (vary("fleet.replicas=1:1000", "traffic.rate=1:1000"), "got 1,000,000 (1,000 x 1,000)"),
        (vary("fleet.replicas=0,-1"), "got none of 2: fleet.replicas: must be >= 1, got 0"),
        (vary("traffic.duration=1:2"), "must be a duration with a unit, got 1"),
        ([*vary("fleet.replicas=1"), "--json", "--csv"], "must be left out beside --json"),
        (vary("fleet.replicas=1", "fleet={device: L4}"), "must not hold fleet.replicas"),
        ([*vary("simulation.seed=1:2"), "--seed", "5"], "got 5 for all"),
        ([*vary("fleet.replicas=1:2"), *sets("fleet.replicas=5")], "--vary fleet.replicas sets it"),
        ([*vary("fleet={device: L4}"), *sets("fleet.replicas=5")], "--vary fleet sets it"),
        (vary("fleet.replicas=1:" + "9" * 5000), "must make at most 100,000 cells"),
        (vary("traffic.rate=1:2:1e-300"), "got more than 1,000,000,000,000,000; write larger"),
        ([*vary("fleet.replicas=1"), "--jobs", "0"], "--jobs: must be a number of processes"),
        ([*vary("fleet.replicas=1"), "--jobs", "-2"], "--jobs: must be a number of processes"),
        ([*vary("fleet.replicas=1:90000"), "--jobs", "80000"], "got 80,000 processes of at least"),
        ([*vary("fleet.replicas=1"), "--plot", "p.gif"], "whose name ends in .svg, .png, .pdf"),
        ([*vary("fleet.replicas=1"), "--plot", "/dev/null/p.png"], "--plot: must be a file that"),
        ([*vary("fleet.replicas=1"), "--out", "/dev/null/x"], "--out: must be a"),
    ],
)
def test_what_cannot_be_swept_is_refused(small, args, message):
    assert message in refused(planner("sweep", small, *args, "-q"))


def test_a_grid_too_large_is_refused_before_it_is_made(small):
    text = refused(planner("sweep", small, *vary("fleet.replicas=1:1e100:1e-9"), "-q"))
    assert "must make at most 100,000 cells" in text


def test_progress_rises_to_the_whole(small):
    shares = []
    sweep(small, ["fleet.replicas=1:4"], jobs=1, progress=shares.append)
    assert np.all(np.diff(shares) > 0)
    assert (shares[0], shares[-1]) == (0, 1)


def test_a_scenario_that_cannot_be_served_as_it_is_has_no_provenance(tmp_path):
    (tmp_path / "s.yaml").write_text(LLM.replace("H100-SXM-80GB", "T4"))
    found = sweep(tmp_path / "s.yaml", ["fleet.device=H100-SXM-80GB,T4"]).to_json()
    assert [each["error"] is None for each in found["cells"]] == [True, False]
    assert found["provenance"] == {}
    assert found["base"]["fleet"]["device"] == "T4"
