"""The speed of the machine now: recovered exactly from steps that last as long as we say."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the engine needs the extra 'calibrate'")
pytest.importorskip("transformers", reason="the engine needs the extra 'calibrate'")

import calibrate.engine  # noqa: E402 - after the skip
from calibrate.scheduling import Limits  # noqa: E402
from calibrate.speed import Speed, Speedometer, at_speed  # noqa: E402
from planner.latency.step import STEP_FIELDS, scaled_coefficients, step_coefficients  # noqa: E402
from planner.latency.step_time import StepTime  # noqa: E402

STEP = StepTime(
    step_coefficients(
        compute_per_token=2e-4,
        compute_per_context=1e-7,
        storage_fixed=5e-3,
        storage_per_context=1e-6,
        overhead_fixed=1e-3,
        overhead_per_sequence=1e-4,
        overlap=2.0,
    ),
    [],
    request_overhead=4e-3,
)
LIMITS = Limits(
    "chunked",
    max_num_seqs=8,
    max_num_batched_tokens=128,
    block_size=16,
    blocks=400,
    max_model_len=800,
)


class Clock:
    """Time that passes in steps and waits alone."""

    time = 0.0

    def __init__(self):
        Clock.time = 0.0

    def now(self):
        return Clock.time

    def wait(self, until):
        Clock.time = max(Clock.time, until)


@pytest.fixture(autouse=True)
def _virtual_time(monkeypatch):
    monkeypatch.setattr(Clock, "time", 0.0)
    monkeypatch.setattr(calibrate.engine, "WallClock", Clock)


class Machine:
    """Runs no model: a step takes `slower` times what it is predicted to take."""

    max_model_len = 800
    model = SimpleNamespace(config=SimpleNamespace(vocab_size=100))

    def __init__(self, slower):
        self.slower, self.work = slower, []

    def step(self, chunks):
        prefill = [
            (len(c.token_ids), c.start) for c in chunks if len(c.token_ids) > 1 or not c.start
        ]
        decode = [c.start for c in chunks if len(c.token_ids) == 1 and c.start]
        self.work.append((prefill, decode))
        Clock.time += self.slower * STEP.seconds(prefill, decode)
        return [7 if c.sample else -1 for c in chunks]

    @property
    def sizes(self):
        return [len(prefill) + len(decode) for prefill, decode in self.work]


def limits_of(scheduler):
    if scheduler == "static":  # as large as the engine allows, and patient
        return dataclasses.replace(LIMITS, scheduler="static", batch_size=8, timeout=60.0)
    return dataclasses.replace(LIMITS, scheduler=scheduler)


@pytest.mark.parametrize("scheduler", ["chunked", "prefill_first", "static"])
@pytest.mark.parametrize("slower", [0.5, 1.0, 1.016, 3.0])
def test_the_factor_by_which_all_steps_are_slower_is_found(slower, scheduler):
    machine = Machine(slower)
    server = SimpleNamespace(runner=machine, limits=limits_of(scheduler))
    meter = Speedometer.of(server, STEP)
    meter.read(server)
    assert meter.speed.factor == pytest.approx(slower, rel=1e-3)  # waits below 1 ms count as work
    assert min(machine.sizes) == 1
    assert max(machine.sizes) == 4  # half of the sequences of a batch
    assert len(machine.sizes) > 300 / slower


@pytest.mark.parametrize("scheduler", ["chunked", "prefill_first", "static"])
def test_every_reading_is_of_the_same_steps_whatever_room_the_server_has(scheduler):
    limits = limits_of(scheduler)
    small, large = Machine(1.0), Machine(1.0)
    small.max_model_len = 300
    meter = Speedometer.of(SimpleNamespace(runner=small, limits=limits), STEP)
    for machine in (small, large):
        Clock.time = 0.0
        meter.read(SimpleNamespace(runner=machine, limits=limits))
    assert small.work == large.work
    assert meter.ratios[0] == meter.ratios[1]


@pytest.mark.parametrize("factor", [0.9, 1.016, 2.0])
def test_every_step_takes_so_many_times_as_long(factor):
    prefill, decode = [(100, 0), (28, 300)], [5, 70, 700]
    slower = StepTime(scaled_coefficients(STEP.coefficients, factor), [])
    assert slower.seconds(prefill, decode) == pytest.approx(factor * STEP.seconds(prefill, decode))
    for name in ("overlap", "experts_log_miss", "window"):
        assert slower.coefficients[name] == STEP.coefficients[name]
    assert STEP.coefficients.storage_fixed[0] == 5e-3  # the original is as it was
    assert set(STEP_FIELDS) == set(STEP.coefficients.dtype.names)


def test_a_system_at_a_speed_has_such_steps_and_keeps_the_rest():
    @dataclasses.dataclass(frozen=True)
    class System:
        step: StepTime
        other: str = "kept"

    there = at_speed(System(STEP), Speed((1.1, 1.3)))
    assert there.step.seconds((), [10]) == pytest.approx(1.2 * STEP.seconds((), [10]))
    assert there.step.request_overhead == pytest.approx(1.2 * 4e-3)
    assert there.other == "kept"


def test_a_speed_says_how_sure_it_is():
    speed = Speed((1.01, 1.03, 1.02))
    assert speed.factor == pytest.approx(1.02)
    assert speed.stderr == pytest.approx(0.01 / np.sqrt(3))
    assert str(speed).startswith("steps take 2.0 +/- 0.6 % more time than by the profile")
    assert str(Speed((0.95,))).startswith("steps take 5.0 % less time than by the profile")
