"""Pulses: what tells how quick a core is just then, and the engine that takes one before a step."""

import itertools
import math
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calibrate.engine import Engine
from calibrate.measure.clock import Repeats, in_turns
from calibrate.pulse import Watch, beat, no_beat, pulse_of, slowness, undisturbed
from calibrate.scheduling import Limits

LIMITS = Limits(
    "chunked",
    max_num_seqs=2,
    max_num_batched_tokens=8,
    block_size=4,
    blocks=40,
    max_model_len=64,
)


def test_a_cpu_has_a_pulse_and_a_gpu_has_none():
    took = pulse_of(SimpleNamespace(type="cpu"))()
    assert 1e-6 < took < 1.0
    assert pulse_of(SimpleNamespace(type="cpu")) is beat
    assert math.isnan(pulse_of(SimpleNamespace(type="cuda"))())


@given(
    quiet=st.floats(1e-5, 1e-3),
    busy=st.floats(1.1, 3.0),
    share=st.floats(0.0, 0.85),
)
def test_an_undisturbed_pulse_is_found_among_many_that_are_not(quiet, busy, share):
    disturbed = int(100 * share)
    pulses = [quiet] * (100 - disturbed) + [busy * quiet] * disturbed + [math.nan] * 20
    assert undisturbed(pulses) == pytest.approx(quiet)


def test_without_pulses_nothing_is_known_and_nothing_is_slow():
    assert math.isnan(undisturbed([]))
    assert math.isnan(undisturbed([math.nan]))
    assert slowness(math.nan, 1e-4) == 0.0
    assert slowness(1e-4, math.nan) == 0.0


def test_slowness_is_the_share_by_which_a_pulse_took_longer():
    assert slowness(1.4e-4, 1e-4) == pytest.approx(0.4)
    assert slowness(0.9e-4, 1e-4) == pytest.approx(-0.1)
    assert slowness(1.0, 1e-4) == 1.0  # it was interrupted
    assert slowness(1e-9, 1e-4) == -0.25  # its clock was read wrong


class Clock:
    """Time that passes where we say."""

    time = 0.0

    def now(self):
        return self.time

    def wait(self, until):
        self.time = max(self.time, until)


def test_the_engine_takes_a_pulse_before_every_step_as_a_part_of_it():
    clock, taken = Clock(), itertools.count(1)
    order = []

    def pulse():
        order.append("pulse")
        clock.time += 0.001
        return float(next(taken))

    def run(chunks):
        order.append("step")
        clock.time += 0.01
        return [7] * len(chunks)

    engine = Engine(run, LIMITS, clock, pulse)
    engine.submit([1, 2, 3], 4)
    steps = [engine.step_or_wait()[0] for _ in range(4)]
    assert order == ["pulse", "step"] * 4
    assert [each.pulse for each in steps] == [1.0, 2.0, 3.0, 4.0]
    assert [each.end - each.start for each in steps] == pytest.approx([0.011] * 4)


def test_an_engine_without_pulses_has_steps_without_one():
    engine = Engine(lambda chunks: [7] * len(chunks), LIMITS, Clock())
    engine.submit([1, 2, 3], 1)
    step, _ = engine.step_or_wait()
    assert math.isnan(step.pulse)


class Core:
    """Whatever runs takes 1 s of its own time, or 1.5 s in the moments that `slow` names.

    A moment passes with every pulse.
    """

    def __init__(self, slow):
        self.moment, self.slow, self.pulses, self.ran = 0, slow, 0, []

    def pulse(self):
        self.moment += 1
        self.pulses += 1
        return 1.4e-4 if self.slow(self.moment) else 1e-4

    def run(self):
        self.ran.append(1.5 if self.slow(self.moment) else 1.0)
        return self.ran[-1]


def test_a_watch_waits_for_an_undisturbed_moment():
    core = Core(lambda moment: 20 < moment <= 50)
    watch = Watch(core.pulse, patience=1e3)
    for _ in range(10):  # it has to know what undisturbed is
        assert watch.during(core.run) == (1.0, pytest.approx(1e-4))
    assert core.pulses == 20
    assert watch.during(core.run) == (1.0, pytest.approx(1e-4))
    assert core.pulses == 52  # thirty that were slow, one that was not, and one after the run
    assert watch.longest == pytest.approx(1.2e-4)


def test_a_watch_waits_no_longer_than_its_patience():
    time = itertools.count()
    core = Core(lambda moment: moment > 20)
    watch = Watch(core.pulse, patience=5.0, clock=lambda: next(time))
    for _ in range(10):
        watch.during(core.run)
    before = core.pulses
    assert watch.during(core.run) == (1.5, pytest.approx(1.4e-4))
    assert 5 <= core.pulses - before <= 8


def test_a_watch_without_pulses_does_not_wait():
    assert Watch(no_beat).during(lambda: 1.0) == (1.0, pytest.approx(math.nan, nan_ok=True))


OFTEN = Repeats(warmup=0, least=5, most=30, spread=0.0)


def test_samples_count_that_nothing_disturbed():
    core = Core(lambda moment: moment % 8 in {3, 4, 5, 6})  # two runs of four, and their pulses
    found = in_turns({"a": core.run}, OFTEN, watch=Watch(core.pulse, patience=0.0))["a"]
    assert set(core.ran) == {1.0, 1.5}
    assert len(core.ran) > len(found.samples) >= 5
    assert set(found.samples) == {1.0}
    assert found.pulse == pytest.approx(1e-4)


def test_where_too_few_are_undisturbed_the_least_disturbed_samples_count():
    core = Core(lambda moment: moment > 6)  # three samples of thirty
    found = in_turns({"a": core.run}, OFTEN, watch=Watch(core.pulse, patience=0.0))["a"]
    assert sorted(set(found.samples)) == [1.0, 1.5]
    assert found.pulse > 1.1e-4


def test_without_a_watch_all_samples_count():
    core = Core(lambda _: False)
    found = in_turns({"a": core.run}, OFTEN)["a"]
    assert len(found.samples) == len(core.ran) == 5
    assert found.pulse is None
