"""The control plane: SimPy processes that change the fleet while the traffic runs.

One ``Environment`` is the clock. Between two of its events the data plane advances in one call, so
a process that wakes up sees everything that happened before.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING

from simpy import Environment, Event

from planner.errors import InputError, Problem

if TYPE_CHECKING:
    import numpy as np

    from planner.scenario.fleet import Event as PlannedEvent
    from planner.scenario.fleet import Failures, TargetUtilisation
    from planner.simulation.fleet import Fleet, Totals

#: Events of the clock in one run; a run of them takes some seconds.
MOST_EVENTS = 100_000
#: What a control process is: a generator of SimPy events.
Process = Generator[Event, object, None]
#: What makes one, given clock and fleet.
Control = Callable[["FleetEnvironment", "Fleet"], Process]


class FleetEnvironment(Environment):
    """A SimPy environment whose fleet has always been advanced to ``now``.

    Parameters
    ----------
    fleet : Fleet
        The fleet.
    """

    def __init__(self, fleet: Fleet) -> None:
        super().__init__(fleet.now)
        self.fleet = fleet
        self._events = 0

    def step(self) -> None:
        """Advance the fleet to the next event, then process it.

        Raises
        ------
        InputError
            If there are more than :data:`MOST_EVENTS`: the fleet changes without end.
        """
        self._events += 1
        if self._events > MOST_EVENTS:
            raise InputError(
                Problem(
                    f"must change the fleet at most {MOST_EVENTS:,} times in a run, got more by "
                    f"{self.now:g} s; use longer times between failures and decisions",
                    "fleet",
                )
            )
        self.fleet.advance(self.peek())
        super().step()


def planned_events(
    env: FleetEnvironment, fleet: Fleet, events: tuple[PlannedEvent, ...], retry_delay: float
) -> Process:
    """Let replicas leave, join or fail at their times; the youngest go first."""
    for event in sorted(events, key=lambda each: each.at):
        yield env.timeout(event.at - env.now)
        for _ in range(event.replicas):
            if event.kind == "join":
                replica = fleet.order()
                if replica is not None:
                    fleet.join(replica)
            elif fleet.up and event.kind == "leave":
                fleet.leave(fleet.up[-1])
            elif fleet.up:
                fleet.fail(fleet.up[-1], retry_delay=retry_delay, paid=False)


def random_failures(
    env: FleetEnvironment,
    fleet: Fleet,
    policy: Failures,
    rng_of: Callable[[int], np.random.Generator],
) -> Process:
    """Let each replica that is up, or joins later, fail and be repaired.

    Parameters
    ----------
    env, fleet
        Clock and fleet.
    policy : Failures
        Times between failures and to repair.
    rng_of : callable
        Returns the random stream of a replica.
    """
    streams: dict[int, np.random.Generator] = {}

    def life(replica: int) -> Process:
        """Fail after a while, unless the replica has gone or come anew; be repaired and join."""
        if replica not in streams:
            streams[replica] = rng_of(replica)
        rng, since = streams[replica], env.now
        yield env.timeout(policy.time_to_failure(rng))
        if fleet.up_since(replica) != since:
            return
        fleet.fail(replica, retry_delay=policy.retry_delay, paid=True)
        yield env.timeout(policy.time_to_repair(rng))
        fleet.join(replica)

    def watch(replica: int) -> None:
        env.process(life(replica))

    for replica in fleet.up:
        watch(replica)
    fleet.on_join.append(watch)
    yield from ()  # a process has to be a generator


def autoscale(
    env: FleetEnvironment, fleet: Fleet, policy: TargetUtilisation, cold_start_s: float
) -> Process:
    """Every `policy.interval`, order or retire replicas so that the fleet runs at its target."""
    recent: deque[tuple[float, int]] = deque()
    before = fleet.totals()
    while True:
        yield env.timeout(policy.interval)
        now = fleet.totals()
        wanted = policy.replicas(utilisation(fleet, policy.measure, before, now), fleet.ordered)
        before = now
        while recent and recent[-1][1] <= wanted:
            recent.pop()
        recent.append((env.now, wanted))
        while recent[0][0] < env.now - policy.scale_down_delay:
            recent.popleft()
        kept = recent[0][1]  # the most that was wanted at any time within the delay
        for _ in range(wanted - fleet.ordered):
            env.process(cold_start(env, fleet, cold_start_s))
        for replica in fleet.up[::-1][: max(fleet.ordered - kept, 0)]:
            fleet.leave(replica)


def utilisation(fleet: Fleet, measure: str, before: Totals, now: Totals) -> float:
    """Return the load as a share of what all replicas ordered could take [-].

    Parameters
    ----------
    fleet : Fleet
        The fleet.
    measure : {"sequences", "kv_cache", "busy"}
        ``sequences``: requests waiting and running now, over ``max_num_seqs``. ``kv_cache``: KV
        blocks in use, and ``busy``: time spent in steps, both since `before`.
    before, now : Totals
        At the last decision and now.
    """
    ordered = max(fleet.ordered, 1)
    if measure == "sequences":
        seen = fleet.snapshot()
        return (seen.waiting + seen.running) / (ordered * seen.max_num_seqs)
    config = fleet.plane.config[0]
    time = (now.time_s - before.time_s) * ordered * config.lanes_per_replica
    if measure == "kv_cache":
        return float((now.kv_block_seconds - before.kv_block_seconds) / (time * config.blocks))
    return float((now.busy - before.busy) / time)


def cold_start(env: FleetEnvironment, fleet: Fleet, seconds: float) -> Process:
    """Order a replica, which is paid for at once and joins after `seconds`."""
    replica = fleet.order()
    if replica is not None:
        yield env.timeout(seconds)
        fleet.join(replica)
