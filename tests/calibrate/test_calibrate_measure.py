"""Measurements are kept whatever happens: kills, full disks, no memory, another machine."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import synthetic_steps as synthetic
from hypothesis import given
from hypothesis import strategies as st

from calibrate.measure.clock import Repeats, in_turns, summarise
from calibrate.measure.journal import BEGINNING, Journal, read_measurements
from calibrate.measure.points import StepPoint, gpu_points, quick_points, shuffled
from calibrate.measure.records import LeftOut, StepRecord, step_key
from calibrate.measure.tasks import Task, why_left_out, work_through
from planner.errors import InputError, PlannerError

FOREVER = float("inf")


def step(n, variant="fp32"):
    return StepRecord(variant=variant, decode=(n,), seconds=1.0, spread=0.0, samples=(1.0,))


def journal(folder, **changes):
    header = synthetic.HEADER.model_copy(update=changes)
    return Journal(folder / "m.jsonl", header)


def task(n, run=None):
    return Task.one(step(n).key, run or (lambda: step(n)))


def nothing(_share):
    pass


def test_what_is_written_is_read_back(tmp_path):
    records = synthetic.records(synthetic.SHARED, 0.0, np.random.default_rng(0))
    with journal(tmp_path) as file:
        for each in records[1:]:
            file.append(each)
    found = read_measurements(tmp_path / "m.jsonl")
    assert found.header == synthetic.HEADER
    assert list(found.records.values()) == records[1:]
    assert found.torn == 0


def test_a_line_torn_by_a_kill_is_cut_off_and_measured_again(tmp_path):
    with journal(tmp_path) as file:
        file.append(step(1))
        file.append(step(2))
    path = tmp_path / "m.jsonl"
    whole = path.read_bytes()
    for cut in range(1, 40):
        path.write_bytes(whole[:-cut])
        assert read_measurements(path).torn > 0
        with journal(tmp_path) as file:
            assert step(1).key in file
            assert step(2).key not in file
            file.append(step(2))
        assert path.read_bytes() == whole


@pytest.mark.parametrize("length", [0, 1, 12, 200])
def test_a_file_torn_in_its_first_line_is_begun_anew(tmp_path, length):
    (tmp_path / "m.jsonl").write_bytes(synthetic.HEADER.model_dump_json().encode()[:length])
    with journal(tmp_path) as file:
        file.append(step(1))
    assert len(read_measurements(tmp_path / "m.jsonl").records) == 1


KILLED = """
import sys, time
sys.path.insert(0, sys.argv[2])
import synthetic_steps as synthetic
from pathlib import Path
from calibrate.measure.journal import Journal
from calibrate.measure.records import StepRecord
from calibrate.measure.tasks import Task, work_through

folder = Path(sys.argv[1])

def run(n):
    with (folder / "runs.txt").open("a") as runs:
        runs.write(f"{n}\\n")
    time.sleep(0.005)
    return StepRecord(variant="fp32", decode=(n,), seconds=1.0, spread=0.0, samples=(1.0,) * 99)

with Journal(folder / "m.jsonl", synthetic.HEADER) as journal:
    work_through(
        [Task.one(f"step fp32: d1@{n}", lambda n=n: run(n)) for n in range(150)],
        journal, lambda _: None, float("inf"),
    )
"""


def test_a_killed_calibration_goes_on_and_measures_nothing_twice(tmp_path):
    oracles = str(Path(synthetic.__file__).parent)
    command = [sys.executable, "-c", KILLED, str(tmp_path), oracles]
    file = tmp_path / "m.jsonl"
    kills = 0
    for lines in (5, 40, 80):
        process = subprocess.Popen(command)
        deadline = time.monotonic() + 60
        while not file.exists() or file.read_bytes().count(b"\n") < lines:
            assert time.monotonic() < deadline
            assert process.poll() is None
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
        process.wait()
        kills += 1
    before = read_measurements(file).records.keys()
    assert 80 <= len(before) + 1 < 151
    subprocess.run(command, check=True, timeout=60)
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    measured = [StepRecord.model_validate(line).key for line in lines[1:]]
    assert len(measured) == len(set(measured)) == 150
    runs = [int(line) for line in (tmp_path / "runs.txt").read_text().split()]
    assert set(runs) == set(range(150))
    # only what was under way when it was killed runs again
    assert len(runs) <= 150 + kills


LIMITED = """
import resource, sys
sys.path.insert(0, sys.argv[2])
import synthetic_steps as synthetic
from pathlib import Path
from calibrate.measure.journal import Journal
from calibrate.measure.records import StepRecord

resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
with Journal(Path(sys.argv[1]) / "m.jsonl", synthetic.HEADER) as journal:
    for n in range(1000):
        journal.append(
            StepRecord(variant="fp32", decode=(n,), seconds=1.0, spread=0.0, samples=(1.0,) * 99)
        )
"""


def test_a_file_that_cannot_grow_keeps_whole_lines_and_says_how_to_go_on(tmp_path):
    oracles = str(Path(synthetic.__file__).parent)
    command = [sys.executable, "-c", LIMITED, str(tmp_path), oracles]
    failed = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert "InputError" in failed.stderr
    found = read_measurements(tmp_path / "m.jsonl")
    assert found.torn == 0
    assert len(found.records) > 10
    assert f"{len(found.records)} measurements are kept; make room on the disk" in failed.stderr
    assert "run the same command again" in failed.stderr


def test_a_full_disk_is_said_to_be_one(tmp_path, monkeypatch):
    with journal(tmp_path) as file:
        file.append(step(1))
        real = os.write

        def write(where, data):
            real(where, data[:7])  # a part gets through
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr(os, "write", write)
        with pytest.raises(PlannerError, match=r"No space left .*; 1 measurements are kept; make"):
            file.append(step(2))
        monkeypatch.undo()
        assert step(2).key not in file
    found = read_measurements(tmp_path / "m.jsonl")
    assert (list(found.records), found.torn) == ([step(1).key], 0)


@pytest.mark.parametrize(
    "content", [b"notes of mine", b"x" * 2**20, b'{"kind":"step"', BEGINNING + b" " * 2**20]
)
def test_a_file_of_something_else_is_refused_and_left_as_it_is(tmp_path, content):
    (tmp_path / "m.jsonl").write_bytes(content)
    with pytest.raises(InputError, match="must be measurements, got no whole line"):
        journal(tmp_path)
    assert (tmp_path / "m.jsonl").read_bytes() == content


@pytest.mark.parametrize("kind", ["pipe", "device", "folder"])
def test_what_is_no_file_is_refused(tmp_path, kind):
    path = tmp_path / "m.jsonl"
    {
        "pipe": os.mkfifo,
        "device": lambda path: path.symlink_to("/dev/null"),
        "folder": lambda path: path.mkdir(),
    }[kind](path)
    with pytest.raises(InputError, match=r"m\.jsonl: must be (a file|written), got"):
        journal(tmp_path)


def test_a_link_to_a_file_is_followed(tmp_path):
    (tmp_path / "m.jsonl").symlink_to(tmp_path / "elsewhere.jsonl")
    with journal(tmp_path) as file:
        file.append(step(1))
    assert step(1).key in read_measurements(tmp_path / "elsewhere.jsonl").records


def test_two_processes_do_not_write_one_file(tmp_path):
    with journal(tmp_path), pytest.raises(InputError, match="written by one process"):
        journal(tmp_path)


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"source": "gpt2"}, "source: 'small', 'gpt2'"),
        ({"base": "bf16"}, "base: 'fp32', 'bf16'"),
        (
            {"fingerprint": synthetic.FINGERPRINT.model_copy(update={"device": "a GPU"})},
            "device: 'a CPU', 'a GPU'",
        ),
        (
            {"fingerprint": synthetic.FINGERPRINT.model_copy(update={"threads": 1})},
            "threads: 2, 1",
        ),
    ],
)
def test_another_machine_or_model_does_not_continue_a_file(tmp_path, changes, rule):
    with journal(tmp_path) as file:
        file.append(step(1))
    before = (tmp_path / "m.jsonl").read_bytes()
    with pytest.raises(InputError, match=rule):
        journal(tmp_path, **changes)
    assert (tmp_path / "m.jsonl").read_bytes() == before


def test_clocks_may_drift(tmp_path):
    with journal(tmp_path) as file:
        file.append(step(1))
    drifted = synthetic.FINGERPRINT.model_copy(update={"clocks": "1800 MHz"})
    with journal(tmp_path, fingerprint=drifted) as file:
        assert step(1).key in file


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "got no whole line"),
        ("{}\n", "m.jsonl:1: "),
        ("not json\n", "m.jsonl:1: "),
        (step(1).model_dump_json() + "\n", "m.jsonl:1: must be a header"),
        ((synthetic.HEADER.model_dump_json() + "\n") * 2, "m.jsonl:2: must be one header"),
        (
            synthetic.HEADER.model_dump_json().replace('"schema_version":1', '"schema_version":9')
            + "\n",
            "m.jsonl:1: schema_version: must be 1; measure anew",
        ),
        (
            synthetic.HEADER.model_dump_json() + '\n{"kind":"step","seconds":-1}\n',
            "m.jsonl:2: step.seconds: must be",
        ),
    ],
)
def test_what_is_no_measurement_is_refused_with_its_line(tmp_path, text, message):
    path = tmp_path / "m.jsonl"
    path.write_text(text)
    with pytest.raises(InputError) as error:
        read_measurements(path)
    assert message in str(error.value)


HEAD = synthetic.HEADER.model_dump_json().encode() + b"\n"
LINES = st.one_of(
    st.binary(max_size=40),
    st.sampled_from(
        [
            each.model_dump_json().encode() + b"\n"
            for each in (step(1), LeftOut(what="x", reason="y"))
        ]
    ),
    st.dictionaries(
        st.sampled_from(["kind", "seconds", "variant", "decode", "x"]),
        st.one_of(st.none(), st.integers(), st.floats(), st.text(max_size=4), st.just("step")),
    ).map(lambda content: json.dumps(content).encode() + b"\n"),
)


@given(first=st.sampled_from([b"", HEAD]), lines=st.lists(LINES, max_size=4))
def test_any_bytes_are_measurements_or_an_input_error(tmp_path_factory, first, lines):
    path = tmp_path_factory.mktemp("any") / "m.jsonl"
    path.write_bytes(first + b"".join(lines))
    try:
        found = read_measurements(path)
    except InputError as error:
        places = {problem.file for problem in error.problems}
    else:
        places = {str(path)} if found.header == synthetic.HEADER else set()
    assert places == {str(path)}


def test_work_is_done_in_order_and_not_again(tmp_path):
    shares, done = [], []

    def run(n):
        done.append(n)
        return step(n)

    tasks = [task(n, lambda n=n: run(n)) for n in range(4)]
    with journal(tmp_path) as file:
        file.append(step(2))
        assert work_through(tasks, file, shares.append, FOREVER) == 0
        assert list(file.measured.records) == [step(n).key for n in (2, 0, 1, 3)]
    assert done == [0, 1, 3]
    assert shares == [0.25, 0.5, 0.75, 1.0]


def test_no_task_is_begun_after_the_time_is_up(tmp_path):
    now = iter([0.0, 1.0, 2.0, 3.0])
    with journal(tmp_path) as file:
        late = work_through([task(n) for n in range(4)], file, nothing, 1.5, lambda: next(now))
        assert late == 2
        assert list(file.measured.records) == [step(0).key, step(1).key]


class OutOfMemoryError(RuntimeError):
    """As torch has it."""


def failing(error):
    def run():
        raise error

    return run


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (MemoryError(), "out of memory: MemoryError"),
        (OutOfMemoryError("CUDA out of memory. Tried\nmore"), "out of memory: CUDA out of memory"),
        (RuntimeError("DefaultCPUAllocator: can't allocate 9 bytes"), "out of memory: Default"),
        (InputError("a cache must fit"), "a cache must fit"),
        (OSError(errno.ENOSPC, "No space left on device"), "No space left on device"),
    ],
)
def test_what_does_not_fit_is_noted_and_the_rest_measured(tmp_path, error, reason):
    tasks = [task(0), task(1, failing(error)), task(2)]
    with journal(tmp_path) as file:
        assert work_through(tasks, file, nothing, FOREVER) == 0
        left = file.measured.left_out()
        assert [each.what for each in left] == [step(1).key]
        assert left[0].reason.startswith(reason)
        assert step(2).key in file
    # a later run tries again, and what it measures is no longer left out
    with journal(tmp_path) as file:
        work_through([task(1)], file, nothing, FOREVER)
        assert file.measured.left_out() == []
    assert len(read_measurements(tmp_path / "m.jsonl").left_out()) == 0


def test_a_fault_of_ours_is_not_hidden(tmp_path):
    assert why_left_out(ValueError("x")) is None
    with journal(tmp_path) as file, pytest.raises(ZeroDivisionError):
        work_through([task(0, failing(ZeroDivisionError()))], file, nothing, FOREVER)


def test_what_a_task_yielded_before_it_failed_is_kept(tmp_path):
    def run():
        yield step(0)
        raise MemoryError

    with journal(tmp_path) as file:
        work_through([Task((step(0).key, step(1).key), run)], file, nothing, FOREVER)
        assert step(0).key in file
        assert [each.what for each in file.measured.left_out()] == [step(1).key]


def test_variants_take_turns_and_alternate_their_order():
    order = []

    def run(name):
        order.append(name)
        return 1.0

    runs = {name: (lambda name=name: run(name)) for name in "abc"}
    timings = in_turns(runs, Repeats(warmup=1, least=3, most=9))
    assert "".join(order) == "abc" + "abc" + "cba" + "abc"
    assert timings["a"].samples == (1.0, 1.0, 1.0)
    assert timings["a"].spread == 0.0


def test_a_slow_drift_of_the_machine_cancels_between_variants():
    """A run after the other would show 2x; in turns the ratio is 1 within the spread."""
    clock = iter(range(10_000))

    def run():
        return 1.0 + next(clock) / 60

    timings = in_turns({"a": run, "b": run}, Repeats(warmup=0, least=30, most=30))
    assert timings["a"].seconds / timings["b"].seconds == pytest.approx(1.0, abs=0.02)


def test_repeats_stop_when_the_spread_is_small_or_a_limit_is_reached():
    rng = np.random.default_rng(0)
    noisy = Repeats(warmup=0, least=5, most=40, spread=0.01)
    assert len(in_turns({"": lambda: 1.0}, noisy)[""].samples) == 5
    found = in_turns({"": lambda: float(rng.lognormal(0, 0.5))}, noisy)[""]
    assert len(found.samples) == 40
    some = in_turns({"": lambda: float(rng.lognormal(0, 0.03))}, noisy)[""]
    assert 5 < len(some.samples) < 40
    assert some.spread <= 0.01
    ticks = iter(range(100))
    rushed = Repeats(warmup=0, least=5, most=40, spread=0.0, seconds=3.0)
    late = in_turns({"": lambda: 1.0 + next(ticks) % 2}, rushed, lambda: float(next(ticks)))
    assert len(late[""].samples) == 5


def test_the_spread_is_the_standard_error_of_the_median():
    rng = np.random.default_rng(5)
    draws = rng.normal(1.0, 0.05, size=(2000, 41))
    claimed = np.mean([summarise(each).spread for each in draws])
    actual = np.std([summarise(each).seconds for each in draws])
    assert claimed == pytest.approx(actual, rel=0.1)


def test_points_stay_within_the_tokens_of_a_sequence_and_come_shuffled():
    for points in (quick_points(100), gpu_points(2048)):
        assert points
        assert len(set(points)) == len(points)
    assert max(each.longest for each in quick_points(100)) <= 100
    assert {each.kind for each in quick_points(2048)} == {"prefill", "decode", "mixed"}
    most = max(len(each.decode) for each in gpu_points(16_384))
    assert most == 256
    assert max(each.longest for each in gpu_points(16_384)) >= 16_000
    points = quick_points(2048)
    assert sorted(shuffled(points, 1), key=points.index) == points
    assert shuffled(points, 1) == shuffled(points, 1) != points


def test_a_step_has_one_key_whatever_made_it():
    assert step(3).key == step_key("fp32", StepPoint(decode=(3,))) == "step fp32: d1@3"
