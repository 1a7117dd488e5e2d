"""The speed of the machine now: recovered exactly from steps that last as long as we say."""

import dataclasses
import math
from types import SimpleNamespace

import numpy as np
import pytest
import simpy

torch = pytest.importorskip("torch", reason="the engine needs the extra 'calibrate'")
pytest.importorskip("transformers", reason="the engine needs the extra 'calibrate'")

import calibrate.engine  # noqa: E402 - after the skip
import calibrate.measure.serving  # noqa: E402 - after the skip
from calibrate.engine import StepLog  # noqa: E402
from calibrate.pulse import MOST_SLOWING  # noqa: E402
from calibrate.scheduling import Limits  # noqa: E402
from calibrate.speed import Reading, Speed, Speedometer, at_speed  # noqa: E402
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


#: Times at which another shares the core: then pulses take so much longer.
PERIOD_S, BUSY = 1.3, 0.4


def busy(time):
    return BUSY * (time % PERIOD_S > 0.7 * PERIOD_S)


def pulse():
    return 7e-5 * (1 + busy(Clock.time))


@pytest.fixture(autouse=True)
def _virtual_time(monkeypatch):
    monkeypatch.setattr(Clock, "time", 0.0)
    monkeypatch.setattr(calibrate.engine, "WallClock", Clock)
    monkeypatch.setattr(calibrate.measure.serving, "pulse_of", lambda _: lambda: 7e-5)


@pytest.fixture
def shared(monkeypatch):
    monkeypatch.setattr(calibrate.measure.serving, "pulse_of", lambda _: pulse)


class Machine:
    """Runs no model: a step takes `slower` times what it is predicted to take."""

    max_model_len = 800
    device = torch.device("cpu")
    model = SimpleNamespace(config=SimpleNamespace(vocab_size=100))

    def __init__(self, slower, slowing=0.0):
        self.slower, self.slowing, self.work = slower, slowing, []

    def step(self, chunks):
        prefill = [
            (len(c.token_ids), c.start) for c in chunks if len(c.token_ids) > 1 or not c.start
        ]
        decode = [c.start for c in chunks if len(c.token_ids) == 1 and c.start]
        self.work.append((prefill, decode))
        factor = self.slower * (1 + self.slowing * busy(Clock.time))
        Clock.time += factor * STEP.seconds(prefill, decode)
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
    assert meter.speed.level == pytest.approx(slower, rel=1e-3)  # waits below 1 ms count as work
    assert meter.speed.usual == pytest.approx(slower, rel=1e-3)
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
    assert meter.readings[0] == meter.readings[1]


@pytest.mark.parametrize("factor", [0.9, 1.016, 2.0])
def test_every_step_takes_so_many_times_as_long(factor):
    prefill, decode = [(100, 0), (28, 300)], [5, 70, 700]
    slower = StepTime(scaled_coefficients(STEP.coefficients, factor), [])
    assert slower.seconds(prefill, decode) == pytest.approx(factor * STEP.seconds(prefill, decode))
    for name in ("overlap", "experts_log_miss", "experts_free", "window"):
        assert slower.coefficients[name] == STEP.coefficients[name]
    assert STEP.coefficients.storage_fixed[0] == 5e-3  # the original is as it was
    assert set(STEP_FIELDS) == set(STEP.coefficients.dtype.names)


def test_a_system_at_a_speed_has_such_steps_and_keeps_the_rest():
    @dataclasses.dataclass(frozen=True)
    class System:
        step: StepTime
        other: str = "kept"

    there = at_speed(System(STEP), 1.2)
    assert there.step.seconds((), [10]) == pytest.approx(1.2 * STEP.seconds((), [10]))
    assert there.step.request_overhead == pytest.approx(1.2 * 4e-3)
    assert there.other == "kept"


def test_a_speed_says_how_sure_it_is():
    speed = Speed((1.01, 1.03, 1.02))
    assert speed.level == speed.usual == pytest.approx(1.02)
    assert speed.stderr == pytest.approx(0.01 / np.sqrt(3))
    assert str(speed).startswith("steps take 2.0 +/- 0.6 % more time than by the profile")
    assert str(Speed((0.95,))).startswith("steps take 5.0 % less time than by the profile")


@pytest.mark.usefixtures("shared")
@pytest.mark.parametrize("slowing", [0.7, 1.2])
def test_what_slows_a_shared_core_is_told_from_how_fast_it_is_otherwise(slowing):
    meter = Speedometer.of(SimpleNamespace(runner=Machine(1.1, slowing), limits=LIMITS), STEP)
    for _ in range(3):
        meter.read(SimpleNamespace(runner=Machine(1.1, slowing), limits=LIMITS))
    speed = meter.speed
    assert speed.quiet == pytest.approx(7e-5)
    # a step in which the core changes its state is told by the pulses before and after it
    assert speed.slowing == pytest.approx(slowing, rel=0.05)
    assert speed.level == pytest.approx(1.1, rel=0.01)
    slow = 0.3 / (1 + slowing * BUSY)  # fewer steps fit into the time in which they take longer
    assert speed.slowness == pytest.approx(BUSY * slow / (slow + 0.7), rel=0.1)
    assert speed.usual == pytest.approx(1.1 * (1 + slowing * speed.slowness), rel=0.01)
    assert speed.stderr < 0.01


def test_a_core_that_nothing_slows_leaves_the_slowing_at_that_of_pulses():
    meter = Speedometer.of(SimpleNamespace(runner=Machine(1.0), limits=LIMITS), STEP)
    meter.read(SimpleNamespace(runner=Machine(1.0), limits=LIMITS))
    assert meter.speed.slowing == pytest.approx(1.0)  # nothing says that steps are delayed less
    assert meter.speed.slowness == 0.0


def steps_like(starts, pulses):
    return [StepLog(at, at + 0.01, (), 0, p) for at, p in zip(starts, pulses, strict=True)]


def test_steps_are_delayed_by_their_share_of_what_pulses_are():
    speed = Speed((1.0,), slowing=0.5, quiet=1e-4)
    steps = steps_like((0.0, 0.1, 0.2), (1e-4, 1.4e-4, 1.4e-4))
    assert speed.delays(steps) == pytest.approx([1.1, 1.2, 1.2])
    blind = Speed((1.0,))
    assert blind.delays(steps_like((0.0, 0.1), (math.nan, math.nan))) == pytest.approx([1.0, 1.0])


@pytest.mark.parametrize("odd", [1e-9, 0.5e-4, 1.0])
def test_no_step_is_delayed_to_less_than_nothing_whatever_the_pulses(odd):
    # slow pulses tell of steps that took a hundred times as long: that was something else
    pulses = (*[1e-4] * 8, 1.1e-4, 1.1e-4)
    meter = Speedometer(STEP, 64, [Reading((*[1.0] * 8, 100.0, 100.0), (1.0,) * 10, pulses)])
    speed = meter.speed
    assert speed.slowing == MOST_SLOWING
    delays = speed.delays(steps_like((0.0, 0.1, 0.2), (odd, odd, odd)))
    assert (delays > 0).all()
    assert (delays <= 1 + MOST_SLOWING).all()


class Paced:
    """A fleet that notes when its pace is set, and to what."""

    def __init__(self, env):
        self.env, self.found = env, []

    def _note(self, factor):
        self.found.append((self.env.now, pytest.approx(factor)))

    pace = property(None, _note)


def followed(control):
    """Return times and paces that `control` gives a fleet."""
    env = simpy.Environment()
    fleet = Paced(env)
    env.process(control(env, fleet))
    env.run()
    return fleet.found


def test_a_simulated_fleet_is_slow_when_the_core_was():
    speed = Speed((1.3,), slowing=1.0, quiet=1e-4)
    steps = steps_like((0.0, 0.02, 1.0, 2.0), (1e-4, 1e-4, 1.5e-4, 1.5e-4))
    # the first two within 50 ms: 1.0 and 1.25, the pulse of the next step being the slow one
    assert followed(speed.pace(steps)) == [(0.0, 1.125), (1.0, 1.5), (2.0, 1.5)]
    assert followed(speed.pace(steps[:2])) == [(0.0, 1.0)]


def test_a_long_replay_changes_the_pace_no_more_often_than_a_run_may():
    speed = Speed((1.0,), slowing=1.0, quiet=1e-4)
    every = np.arange(0.0, 20_000.0, 0.1)
    fleet, changes = SimpleNamespace(pace=1.0), 0
    env = simpy.Environment()
    for _ in speed.pace(steps_like(every, np.full(len(every), 1e-4)))(env, fleet):
        changes += 1
    assert 40_000 < changes <= 50_000
