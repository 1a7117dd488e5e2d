"""The engine's scheduler against the simulator, on a virtual clock, request by request."""

import itertools
import threading
import time
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from cases import SCHEDULERS, cases, run_plane
from hypothesis import Phase, given, seed, settings
from hypothesis import strategies as st

from calibrate.engine import Engine
from calibrate.scheduling import Limits
from planner.errors import InputError
from planner.latency.step import step_coefficients, step_parts
from planner.traffic.requests import Requests

EXAMPLES = 150
#: A sequence in a static batch may be padded to the longest prompt and carried to the last output.
LONGEST = 200


class VirtualClock:
    def __init__(self):
        self.time = 0.0

    def now(self):
        return self.time

    def wait(self, until):
        self.time = max(self.time, until)


class SimulatedModel:
    """Runs no model: a step takes what the simulator's step model says. Checks what it is given."""

    def __init__(self, case, clock):
        self.coefficients = step_coefficients(**case.coefficients)
        self.window = int(case.coefficients["window"])
        self.clock = clock
        self.cached, self.decoding = {}, set()

    def run(self, chunks):
        assert len({chunk.slot for chunk in chunks}) == len(chunks) > 0
        for chunk in chunks:
            assert chunk.start in (0, self.cached.get(chunk.slot))
            self.cached[chunk.slot] = chunk.start + len(chunk.token_ids)
            if chunk.start == 0:
                self.decoding.discard(chunk.slot)
        self.clock.time += sum(self._parts(chunks))
        self.decoding.update(chunk.slot for chunk in chunks if chunk.sample)
        return [7 if chunk.sample else -1 for chunk in chunks]

    def _parts(self, chunks):
        window = self.window
        tokens = attended = in_window = context = context_window = decoded = 0
        for chunk in chunks:
            positions = range(chunk.start + 1, chunk.start + len(chunk.token_ids) + 1)
            tokens += len(positions)
            attended += sum(positions)
            context += positions[-1]
            decoded += positions[-1] if chunk.slot in self.decoding else 0
            if window:
                in_window += sum(min(each, window) for each in positions)
                context_window += min(positions[0], window) + len(positions) - 1
        samples = sum(chunk.sample for chunk in chunks)
        contexts = (context, context_window, decoded)
        work = (tokens, len(chunks), samples, attended, in_window, *contexts)
        return step_parts(self.coefficients[0], *map(float, work))


def single(case):
    """The same case on one replica, which is what an engine is."""
    limits = replace(case.limits, lanes_per_replica=1)
    return replace(case, limits=limits, replicas=1, up=1, changes=[])


def replay(case):
    given = case.limits
    limits = Limits(
        scheduler=given.scheduler,
        max_num_seqs=given.max_num_seqs,
        max_num_batched_tokens=given.max_num_batched_tokens,
        block_size=given.block_size,
        blocks=given.blocks,
        max_model_len=LONGEST,
        watermark=given.watermark,
        reserve_full_isl=given.reserve_full,
        recv_interval=given.recv_interval,
        batch_size=given.batch_size,
        timeout=given.timeout,
    )
    clock = VirtualClock()
    engine = Engine(SimulatedModel(case, clock).run, limits, clock)
    prompt_of = lambda row: [1] * int(case.requests.prompt_tokens[row])  # noqa: E731
    return engine.replay(case.requests, prompt_of, rejected=case.rejected)


@pytest.mark.parametrize("scheduler", sorted(SCHEDULERS))
@given(data=st.data())
@settings(max_examples=EXAMPLES, deadline=None)
def test_the_engine_schedules_as_the_simulator_does(scheduler, data):
    case = single(data.draw(cases(scheduler, states=False)))
    rows = run_plane(case).plane.requests
    seen = replay(case)
    n = len(rows)
    nan = float("nan")
    sequences = [seen.sequences.get(row) for row in range(n)]
    expected = {
        "arrival": seen.arrival,
        "admitted": [s.admitted if s else nan for s in sequences],
        "first": [s.times[0] if s else nan for s in sequences],
        "finished": [s.times[-1] if s else nan for s in sequences],
    }
    for name, values in expected.items():
        np.testing.assert_allclose(values, rows[name], atol=1e-9, rtol=1e-12, err_msg=name)
    assert [s.preemptions if s else 0 for s in sequences] == rows["preemptions"].tolist()
    sent = np.isfinite(rows["arrival"])
    assert sorted(seen.rejected) == np.flatnonzero(case.rejected & sent).tolist()


def test_the_cases_hold_what_they_are_meant_to_test():
    """Preemption, waiting, rejection and time-outs do occur among random cases."""
    seen = Counter()

    @settings(max_examples=400, database=None, phases=[Phase.generate], deadline=None)
    @seed(1)
    @given(case=cases(states=False))
    def look(case):
        result = replay(single(case))
        taken = result.sequences.values()
        seen["preempted"] += any(each.preemptions for each in taken)
        seen["waited"] += any(each.admitted > each.arrival + 1e-9 for each in taken)
        seen["rejected"] += bool(result.rejected)
        seen["amid a prefill"] += any(
            not sample for step in result.steps for *_, sample in step.chunks
        )

    look()
    assert min(seen.values()) >= 5, seen


# -- real time --------------------------------------------------------------------------------

LIMITS = Limits(
    "chunked", max_num_seqs=4, max_num_batched_tokens=8, block_size=4, blocks=20, max_model_len=20
)


def counting(chunks):
    """A model whose next token is the one after the last."""
    time.sleep(0.001)
    return [chunk.token_ids[-1] + 1 if chunk.sample else -1 for chunk in chunks]


def test_answers_of_several_threads_come_from_one_engine():
    engine, answers = Engine(counting, LIMITS), {}

    def ask(start):
        answers[start] = list(engine.respond([0, start], 12))

    threads = [threading.Thread(target=ask, args=(100 * k,)) for k in range(1, 9)]
    for each in threads:
        each.start()
    for each in threads:
        each.join(10)
    assert answers == {100 * k: [100 * k + n for n in range(1, 13)] for k in range(1, 9)}


@pytest.mark.parametrize(("prompt", "output"), [([], 3), ([1], 0), ([1] * 18, 3)])
def test_requests_that_do_not_fit_are_refused(prompt, output):
    engine = Engine(counting, LIMITS)
    with pytest.raises(InputError, match="must fit into 20 tokens"):
        engine.submit(prompt, output)


def open_loop(arrivals):
    n = len(arrivals)
    return Requests(
        arrival_s=np.array(arrivals),
        prompt_tokens=np.full(n, 3, np.int32),
        output_tokens=np.full(n, 4, np.int32),
        class_id=np.zeros(n, np.int16),
        session_id=np.arange(n),
        think_s=np.zeros(n),
        class_names=("all",),
        end_s=arrivals[-1],
    )


def test_a_replay_runs_in_real_time_and_serves_nobody_early():
    began = time.perf_counter()
    replay = Engine(counting, LIMITS).replay(open_loop([0.0, 0.05, 0.2]), lambda _: [1, 2, 3])
    assert 0.2 + 4 * 0.001 < time.perf_counter() - began < 5.0
    for row, sequence in replay.sequences.items():
        assert sequence.admitted >= sequence.arrival == replay.arrival[row]
        assert sequence.token_ids == [1, 2, 3, 4, 5, 6, 7]
    assert all(a.end <= b.start for a, b in itertools.pairwise(replay.steps))
    assert all(step.end - step.start >= 0.001 for step in replay.steps)
    assert max(step.used_blocks for step in replay.steps) >= 2  # six tokens cached, four a block


def test_a_replay_stops_when_told_with_what_is_left():
    replay = Engine(counting, LIMITS).replay(
        open_loop([0.0, 0.01, 30.0]), lambda _: [1, 2, 3], until=0.05
    )
    assert sorted(replay.sequences) == [0, 1]


def test_a_static_batch_waits_for_its_time_out():
    limits = replace(LIMITS, scheduler="static", batch_size=4, timeout=0.1)
    replay = Engine(counting, limits).replay(open_loop([0.0, 0.02]), lambda _: [1, 2, 3])
    first, second = replay.sequences.values()
    assert 0.1 <= first.admitted == second.admitted < 5.0
