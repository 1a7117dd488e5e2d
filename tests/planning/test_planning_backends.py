"""Where a search runs changes nothing, and what cannot work is said at once."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest
from command_line import planner, process, refused

from planner.planning.runner import Done, Runner


def without_method(plan):
    data = plan.to_json()
    del data["method"]
    return data


@pytest.fixture(scope="module")
def cluster():
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
    ) as local:
        yield local.scheduler_address


@pytest.mark.filterwarnings("ignore")
def test_a_dask_cluster_of_two_workers_finds_the_same_plan(planned, tmp_path, cluster):
    here = planned(store=tmp_path / "a.jsonl")
    there = planned(store=tmp_path / "b.jsonl", backend="dask", scheduler=cluster)
    assert without_method(here) == without_method(there)


def test_what_is_sent_does_not_change_while_results_come_in():
    """The store grows between two results; a backend may still be sending what was asked for."""
    known, sent = {"before": 1.0}, []

    class Store:
        def known(self, _key):
            return known

        def add(self, new):
            known.update(new)

    def parallel(calls):
        for _function, args, _options in calls:
            sent.append(args[1])
            yield Done(None, {f"new {len(sent)}": 2.0})

    runner = Runner(None, Store())
    runner._parallel = parallel
    rows = [(SimpleNamespace(key="a"), ())] * 3
    assert list(runner.map(len, rows)) == [None] * 3
    assert len(known) == 4
    assert sent == [{"before": 1.0}] * 3


def test_a_dead_scheduler_is_an_error_within_seconds(small):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    began = time.monotonic()
    said = refused(
        planner("plan", small, "-q", "--backend", "dask", "--scheduler", f"tcp://127.0.0.1:{port}")
    )
    assert time.monotonic() - began < 60
    assert "--scheduler: must be the address of a running Dask scheduler" in said
    assert "dask scheduler" in said


@pytest.mark.parametrize("address", [None, "", "nonsense", "tcp://", "tcp://host:port"])
def test_an_address_that_is_none_is_an_error(small, address):
    given = () if address is None else ("--scheduler", address)
    assert "--scheduler" in refused(planner("plan", small, "-q", "--backend", "dask", *given))


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--max-cost", "$0/h"], "plan.max_cost: must be above $0/h"),
        (["--max-cost", "200"], "--max-cost 200: plan.max_cost: must be a price with a unit"),
        (["--max-quality-loss", "many"], "--max-quality-loss many"),
        (["--max-devices", "0"], "plan.max_devices.all: must be above 0"),
        (["--max-devices", "4", "--max-devices", "L4=8"], "at most the 4 of all types together"),
        (["--max-devices", "Q9=8"], "plan.max_devices.Q9: must be a device of the catalogue"),
        (["--max-devices", "lots"], "must be a number of devices"),
        (["--max-devices", "9" * 5000], "must be a number of devices"),
        (["--max-devices", "L4=2", "--max-devices", "L4=3"], "once for each type, got 'L4' twice"),
        (["--jobs", "90000"], "--jobs: must fit into memory"),
        (["--device", "L4", "--device", "H900"], "--device L4 --device H900: plan.devices.1"),
        (["--max-devices", "L4=8", "--max-devices", "4"], "--max-devices L4=8 --max-devices 4: "),
        (["--scheduler", "tcp://127.0.0.1:8786"], "--scheduler: must come with --backend dask"),
        (["--device", "H900"], "plan.devices.0: must be a device of the catalogue"),
        (["--target", "ttft<3"], "--target ttft<3: objectives"),
        (["--target", ""], "must have objectives to plan for"),
        (["--availability", "99%"], "must come with fleet.failures"),
        (["--availability", "99%", "--spares", "1"], "must be left out beside spares"),
        (["--confidence", "1"], "plan.confidence"),
        (["--set", "plan.devices=[]"], "plan.devices"),
        (["--set", "plan.weights=[int4]", "--set", "plan.activations=[fp32]"], "at least one"),
        (["--set", "plan.max_num_seqs=[4096]", "--set", "plan.max_num_batched_tokens=[64]"],
         "must leave at least one candidate"),
        (["--set", "service={kind: stages, stages: [{name: a, overhead: 1 ms}]}", "--target",
          "ttft:p95<1s"], "must be an LLM"),
    ],
)  # fmt: skip
def test_what_cannot_be_planned_for_is_said_with_what_to_do(small, args, said):
    assert said in refused(planner("plan", small, "-q", "--jobs", 1, *args))


def test_an_interrupted_search_keeps_what_it_evaluated_and_goes_on(small, tmp_path):
    out = tmp_path / "run"
    args = ["plan", small, "--out", out, "--jobs", "1", "--json"]
    store = out / "evaluations.jsonl"
    started = process(*args)
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and not (store.exists() and store.stat().st_size > 2000):
        time.sleep(0.02)
    os.kill(started.pid, signal.SIGINT)
    _, err = started.communicate(timeout=60)
    assert started.returncode == 130, err
    assert b"the same command goes on" in err
    assert b"Traceback" not in err
    kept = len([line for line in store.read_text().splitlines() if line.endswith("}")])
    again = planner(*args, "-q")
    assert again.code == 0
    method = json.loads(again.out)["method"]
    assert method["evaluations_reused"] >= kept - 1 > 0
    fresh = planner("plan", small, "--jobs", 1, "--json", "-q", "--out", tmp_path / "fresh")
    one, other = (json.loads(each.out) for each in (again, fresh))
    for each in (one, other):
        del each["method"], each["command"]
    assert one == other


def test_processes_of_a_search_end_with_it_even_if_it_is_killed():
    """They hold its standard output, which would not end before them."""
    code = (
        "import time; from joblib import delayed; from planner.planning.processes import processes;"
        "print(list(processes(2, 'generator')(delayed(abs)(-k) for k in (1, 2))), flush=True);"
        "time.sleep(600)"
    )
    started = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    try:
        assert started.stdout.readline() == b"[1, 2]\n"
    finally:
        started.kill()
    assert started.communicate(timeout=60) == (b"", None)


def test_workers_take_the_compiled_kernels_from_disk(tmp_path):
    """A process that evaluates loads the kernels instead of compiling them."""
    code = (
        "import sys; from planner.simulation.kernels import advance as a;"
        "from command_line import LLM; from planner.evaluate import simulate;"
        "from planner.scenario.reader import read_scenario; simulate(read_scenario(LLM));"
        "hits = sum(a.advance.stats.cache_hits.values());"
        "misses = sum(a.advance.stats.cache_misses.values()); print(hits, misses)"
    )
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, check=True, text=True, env=env,
            cwd=tmp_path,
        )  # fmt: skip
    assert done.stdout.split() == ["1", "0"]
