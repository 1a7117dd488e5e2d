"""The engine's scheduler against the simulator, on a virtual clock, request by request."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from cases import SCHEDULERS, cases, run_plane
from hypothesis import Phase, given, seed, settings
from hypothesis import strategies as st

from calibrate.engine import Engine
from calibrate.scheduling import Limits
from planner.latency.step import step_coefficients, step_parts

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
        self.cached = {}

    def run(self, chunks):
        assert len({chunk.slot for chunk in chunks}) == len(chunks) > 0
        for chunk in chunks:
            assert chunk.start in (0, self.cached.get(chunk.slot))
            self.cached[chunk.slot] = chunk.start + len(chunk.token_ids)
        self.clock.time += sum(self._parts(chunks))
        return [7 if chunk.sample else -1 for chunk in chunks]

    def _parts(self, chunks):
        window = self.window
        tokens = attended = in_window = context = context_window = 0
        for chunk in chunks:
            positions = range(chunk.start + 1, chunk.start + len(chunk.token_ids) + 1)
            tokens += len(positions)
            attended += sum(positions)
            context += positions[-1]
            if window:
                in_window += sum(min(each, window) for each in positions)
                context_window += min(positions[0], window) + len(positions) - 1
        samples = sum(chunk.sample for chunk in chunks)
        work = (tokens, len(chunks), samples, attended, in_window, context, context_window)
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
    case = single(data.draw(cases(scheduler)))
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

    @settings(max_examples=100, database=None, phases=[Phase.generate], deadline=None)
    @seed(1)
    @given(case=cases())
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
