"""Small random cases that the data plane and the plain stepper both run."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st
from stepper import Limits, Seq, Stepper

from planner.latency.step import step_coefficients
from planner.results.records import ITL_BINS, ITL_MIN, ITL_RATIO
from planner.simulation import layout
from planner.simulation.fleet import Fleet
from planner.traffic.requests import ClosedLoop, Requests

SCHEDULERS = {"chunked": 0, "prefill_first": 1, "static": 2}
ROUTERS = {
    name: number
    for number, name in enumerate(
        ("round_robin", "random", "power_of_two", "least_outstanding", "least_kv",
         "session_affinity")
    )
}  # fmt: skip


@dataclass
class Case:
    limits: Limits
    coefficients: dict
    replicas: int
    up: int
    requests: Requests
    rejected: np.ndarray
    changes: list


@st.composite
def cases(draw, scheduler=None, closed=None, changes=False, hybrid=False, states=True, paces=False):
    """Up to 40 requests on up to 3 replicas, with little cache so that preemption is common.

    With `hybrid`, some groups of layers keep a window only; the chunked scheduler alone has that.
    With `states`, others may hold some blocks for a request of any length. With `paces`, all steps
    become slower and quicker on the way.
    """
    scheduler = "chunked" if hybrid else scheduler
    scheduler = scheduler or draw(st.sampled_from(sorted(SCHEDULERS)))
    block = draw(st.sampled_from([1, 3, 4, 16]))
    longest = draw(st.integers(2, 40))
    window = draw(st.sampled_from([1, 5, 12] if hybrid else [0, 0, 1, 5, 12]))
    full, windowed = draw(st.sampled_from([(1, 1), (2, 3), (0, 1)])) if hybrid else (1, 0)
    states = draw(st.sampled_from([0, 0, 0, 1, 4])) if states else 0
    seqs = draw(st.sampled_from([1, 3, 5, 8]))
    budget = seqs + draw(st.integers(0, 60))
    whole = math.ceil(2 * longest / block)  # enough for any one request
    seen = min(whole, math.ceil((window - 1 + budget) / block) + 1)
    limits = Limits(
        scheduler=scheduler,
        router=draw(st.sampled_from(sorted(ROUTERS))),
        max_num_seqs=seqs,
        max_num_batched_tokens=budget,
        block_size=block,
        blocks=full * whole + windowed * seen + states + draw(st.sampled_from([0, 0, 0, 1, 4, 40])),
        full_groups=full,
        window_groups=windowed,
        state_blocks=states,
        recv_interval=draw(st.sampled_from([1, 1, 2, 7])),
        watermark=draw(st.integers(0, 3)),
        reserve_full=draw(st.booleans()),
        batch_size=draw(st.integers(1, seqs)),
        timeout=draw(st.floats(0, 3)),
        lanes_per_replica=draw(st.sampled_from([1, 1, 2])),
        seed=draw(st.integers(0, 2**31)),
    )
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n, classes = draw(st.sampled_from([1, 7, 20, 40])), draw(st.integers(1, 2))
    arrivals = np.cumsum(rng.exponential(draw(st.sampled_from([0.01, 0.3, 3.0])), n))
    if draw(st.booleans()):
        arrivals = np.floor(arrivals)  # ties
    think, loops = np.zeros(n), ()
    if closed if closed is not None else draw(st.booleans()):
        start = draw(st.integers(0, n - 1))
        clients = draw(st.integers(1, 5))
        think[start:] = rng.choice([0.0, 0.7], n - start)
        arrivals[start:] = np.inf
        arrivals[start : start + clients] = rng.choice(
            [0.0, 0.5], len(arrivals[start : start + clients])
        )
        loops = (ClosedLoop(0, start, n, clients),)
    requests = Requests(
        arrival_s=arrivals,
        prompt_tokens=rng.integers(1, longest + 1, n, dtype=np.int32),
        output_tokens=rng.integers(1, longest + 1, n, dtype=np.int32),
        class_id=rng.integers(0, classes, n).astype(np.int16),
        session_id=rng.integers(0, 5, n),
        think_s=think,
        class_names=tuple(map(str, range(classes))),
        closed=loops,
        end_s=draw(st.sampled_from([np.inf, 6.0])) if loops else np.inf,
    )
    coefficients = {
        "compute_per_token": draw(st.floats(0.001, 0.1)),
        "compute_per_sample": draw(st.floats(0, 0.05)),
        "compute_per_context": draw(st.floats(0, 0.01)),
        "compute_per_context_window": draw(st.floats(0, 0.01)) * (window > 0),
        "compute_per_context_decode": draw(st.sampled_from([0.0, 0.003])),
        "storage_fixed": draw(st.floats(0.01, 0.5)),
        "storage_experts": draw(st.sampled_from([0.0, 0.3])),
        "experts_log_miss": math.log1p(-0.25),
        "experts_free": draw(st.sampled_from([0.0, 1.0])),
        "storage_per_context": draw(st.floats(0, 0.01)),
        "storage_per_context_window": draw(st.floats(0, 0.01)) * (window > 0),
        "storage_per_token": draw(st.floats(0, 0.01)),
        "storage_per_sequence": draw(st.sampled_from([0.0, 0.02])),
        "transfer_fixed": draw(st.floats(0, 0.1)),
        "transfer_per_token": draw(st.floats(0, 0.01)),
        "overhead_fixed": draw(st.floats(0, 0.1)),
        "overhead_per_sequence": draw(st.floats(0, 0.05)),
        "overlap": draw(st.sampled_from([1.0, 1.7, 2.0, 8.0, 1e6])),
        "window": float(window),
    }
    replicas = draw(st.integers(1, 3))
    planned = _changes(draw, replicas) if changes else []
    if paces:
        times = np.cumsum(rng.exponential(draw(st.sampled_from([0.05, 0.5, 3.0])), 12))
        planned += [(float(at), "pace", 0, float(rng.uniform(0.3, 3.0))) for at in times]
        planned.sort()
    rejected = rng.random(n) < 0.1
    return Case(limits, coefficients, replicas, replicas, requests, rejected, planned)


def _changes(draw, replicas):
    """Failures, repairs and departures at distinct times that make sense for the replicas."""
    changes, up, off = [], set(range(replicas)), set()
    time = 0.0
    for _ in range(draw(st.integers(1, 4))):
        time += draw(st.floats(0.1, 5.0))
        kinds = [kind for kind, there in (("fail", up), ("join", off)) if there]
        kind = draw(st.sampled_from(kinds))
        replica = draw(st.sampled_from(sorted(up if kind == "fail" else off)))
        (up if kind == "fail" else off).discard(replica)
        (off if kind == "fail" else up).add(replica)
        changes.append((time, kind, replica, draw(st.sampled_from([0.0, 0.4]))))
    if not up:
        changes.append((time + 1.0, "join", min(off), 0.0))
    return changes


def run_stepper(case):
    """Run the case on the plain stepper; return it."""
    r = case.requests
    loop = np.full(len(r), -1)
    for k, each in enumerate(r.closed):
        loop[each.start : each.stop] = k
    seqs = [
        Seq(i, float(r.arrival_s[i]), int(r.prompt_tokens[i]), int(r.output_tokens[i]),
            int(r.class_id[i]), int(r.session_id[i]), int(loop[i]), float(r.think_s[i]),
            bool(case.rejected[i]))
        for i in range(len(r))
    ]  # fmt: skip
    loops = [range(min(each.start + each.clients, each.stop), each.stop) for each in r.closed]
    coefficients = step_coefficients(**case.coefficients)[0]
    stepper = Stepper(
        seqs,
        case.limits,
        coefficients,
        case.replicas,
        case.up,
        loops,
        case.changes,
        issue_before=r.end_s,
    )
    stepper.run()
    return stepper


def make_fleet(case):
    """Return the compiled data plane with the case loaded."""
    config = layout.record(layout.CONFIG_DTYPE, 1)
    row, limits = config[0], case.limits
    for name in ("max_num_seqs", "max_num_batched_tokens", "block_size", "blocks", "watermark",
                 "reserve_full", "batch_size", "timeout", "lanes_per_replica", "seed"):  # fmt: skip
        setattr(row, name, getattr(limits, name))
    row.scheduler, row.router = SCHEDULERS[limits.scheduler], ROUTERS[limits.router]
    row.window = int(case.coefficients["window"])
    row.full_groups, row.window_groups = limits.full_groups, limits.window_groups
    row.state_blocks, row.recv_interval = limits.state_blocks, limits.recv_interval
    row.window_blocks = -(-(row.window - 1 + row.max_num_batched_tokens) // row.block_size) + 1
    return Fleet(
        layout.build_plane(
            case.requests,
            config=config,
            coefficients=step_coefficients(**case.coefficients),
            replicas=case.replicas,
            replicas_up=case.up,
            block_edges_s=np.array([0.0, 3.0, 9.0]),
            rejected=case.rejected,
            output_tokens=case.requests.output_tokens,
        )
    )


def run_plane(case, stops=()):
    """Run the case on the compiled data plane, stopping at `stops` on the way; return the fleet."""
    fleet = make_fleet(case)
    todo = sorted([*((t, "stop", 0, 0.0) for t in stops), *case.changes], key=lambda each: each[0])
    for time, kind, replica, delay in todo:
        fleet.advance(time)
        if kind == "fail":
            fleet.fail(replica, retry_delay=delay, paid=True)
        elif kind == "join":
            fleet.join(replica)
        elif kind == "pace":
            fleet.pace = delay
    fleet.advance(math.inf)
    return fleet


def gap_histogram(stepper, classes):
    """Return the stepper's token gaps as counts by time block and class."""
    counts = np.zeros((3, classes), int)
    for time, _, klass in stepper.gaps:
        counts[np.searchsorted([3.0, 9.0], time, side="right"), klass] += 1
    return counts


def gap_bins(stepper):
    """Return the sorted bins of the stepper's token gaps."""
    gaps = np.array([gap for _, gap, _ in stepper.gaps])
    bins = np.log(np.maximum(gaps, ITL_MIN) / ITL_MIN) / math.log(ITL_RATIO)
    return np.sort(np.clip(bins, 0, ITL_BINS - 1))
