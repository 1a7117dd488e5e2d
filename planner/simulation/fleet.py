"""The fleet as control processes see it: replicas that come, go and fail between two advances."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from planner.latency.step import scaled_coefficients
from planner.results.records import FleetChange
from planner.simulation.kernels.advance import advance
from planner.simulation.kernels.changes import lose, release_held
from planner.simulation.layout import DRAINING, OFF, UP, Plane

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True)
class Totals:
    """Totals since the start, over all replicas; two of them give averages over an interval.

    Parameters
    ----------
    time_s : float
        When. [s]
    busy, compute, storage, transfer, overhead : float
        Lane time in steps, and in each part of them. [s]
    kv_block_seconds : float
        Integral of KV blocks in use. [s]
    lane_seconds : float
        Lane time of replicas able to serve. [s]
    paid_seconds : float
        Replica time paid for. [s]
    steps : int
        Steps ended.
    """

    time_s: float
    busy: float
    compute: float
    storage: float
    transfer: float
    overhead: float
    kv_block_seconds: float
    lane_seconds: float
    paid_seconds: float
    steps: int


@dataclass(frozen=True)
class Snapshot:
    """What a control process may know of the fleet.

    Parameters
    ----------
    time_s : float
        Now. [s]
    waiting, running : int
        Requests queued, and in a batch.
    up, starting, draining, failed : int
        Replicas that take requests, are ordered but not up yet, finish what they have, are broken.
    max_num_seqs : int
        Sequences that one replica can run at once.
    """

    time_s: float
    waiting: int
    running: int
    up: int
    starting: int
    draining: int
    failed: int
    max_num_seqs: int


@dataclass
class Fleet:
    """Replicas, their router and their requests.

    All methods act at ``now``, the time that the data plane was advanced to.

    Parameters
    ----------
    plane : Plane
        State of the data plane.
    now : float
        Time that it was advanced to. [s]
    on_join : list of callable
        Called with the number of a replica that has joined.
    changes : list of FleetChange
        What happened to the replicas, in order.
    """

    plane: Plane
    now: float = 0.0
    _paid_from: dict[int, float] = field(default_factory=dict)
    _paid: float = 0.0
    _up_since: dict[int, float] = field(default_factory=dict)
    _up_time: float = 0.0
    _failed: set[int] = field(default_factory=set)
    _pace: float = 1.0
    on_join: list[Callable[[int], None]] = field(default_factory=list)
    changes: list[FleetChange] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._by_profile = self.plane.coefficients
        for replica in self.up:
            self._paid_from[replica] = self._up_since[replica] = self.now

    @property
    def up(self) -> list[int]:
        """Replicas that take requests, in order."""
        return [int(each) for each in self.plane.replicas["up"][: self.plane.fleet[0].up]]

    @property
    def ordered(self) -> int:
        """Replicas that take requests or will: up, starting or failed."""
        return sum(self.plane.replicas["state"][each] != DRAINING for each in self._paid_from)

    @property
    def done(self) -> bool:
        """Whether all that will ever arrive has arrived, and has finished or was rejected."""
        fleet = self.plane.fleet[0]
        open_left = fleet.open_stop - fleet.next_open
        unfinished = fleet.arrived - fleet.finished - fleet.rejected
        return bool(open_left + fleet.late + unfinished == 0)

    def advance(self, until: float) -> None:
        """Let the data plane run to `until`; an earlier time does nothing."""
        if until <= self.now and until != 0.0:
            return
        advance(self.plane, until)
        self.now = until
        self._settle()

    def _settle(self) -> None:
        """Stop paying for replicas that have drained."""
        drained = self.plane.replicas["drained_at"]
        for replica in np.flatnonzero(~np.isnan(drained)):
            self._stop(int(replica), float(drained[replica]))
            self.plane.replicas[replica].state = OFF
            self.plane.replicas[replica].drained_at = math.nan

    def _stop(self, replica: int, at: float) -> None:
        self._paid += at - self._paid_from.pop(replica)
        if replica in self._up_since:
            self._up_time += at - self._up_since.pop(replica)

    def _set_up(self, up: list[int]) -> None:
        self.plane.replicas["up"][: len(up)] = up
        self.plane.fleet[0].up = len(up)

    def _changed(self, kind: str) -> None:
        self.changes.append(FleetChange(self.now, kind, int(self.plane.fleet[0].up)))

    def order(self) -> int | None:
        """Reserve and start to pay for a replica; return it, or None if there are no more."""
        for replica in range(len(self.plane.replicas)):
            if replica not in self._paid_from and self.plane.replicas[replica].state == OFF:
                self._paid_from[replica] = self.now
                self._changed("order")
                return replica
        return None

    def join(self, replica: int) -> None:
        """Let `replica`, ordered or repaired, take requests; those held find it first."""
        self._failed.discard(replica)
        self.plane.replicas[replica].state = UP
        self._up_since[replica] = self.now
        self._set_up(sorted([*self.up, replica]))
        self._changed("join")
        release_held(self.plane, self.now)
        for call in self.on_join:
            call(replica)

    def up_since(self, replica: int) -> float | None:
        """Return since when [s] `replica` takes requests; None if it does not."""
        return self._up_since.get(replica) if replica in self.up else None

    def leave(self, replica: int) -> None:
        """Give `replica` no more requests; it stops once it has finished those it has."""
        self._set_up([each for each in self.up if each != replica])
        self._changed("leave")
        state = self.plane.replicas[replica]
        if state.outstanding == 0:
            state.state = OFF
            self._stop(replica, self.now)
        else:
            state.state = DRAINING

    def fail(self, replica: int, *, retry_delay: float, paid: bool) -> None:
        """Lose `replica` and all it has; its requests arrive again after `retry_delay` seconds.

        A replica that will be repaired stays paid for.
        """
        self._set_up([each for each in self.up if each != replica])
        self._changed("fail")
        lose(self.plane, replica, self.now, self.now + retry_delay)
        self.plane.replicas[replica].state = OFF
        self.plane.replicas[replica].drained_at = math.nan
        self._up_time += self.now - self._up_since.pop(replica)
        if paid:
            self._failed.add(replica)
        else:
            self._paid += self.now - self._paid_from.pop(replica)

    @property
    def pace(self) -> float:
        """How many times as long as by the profile a step takes that begins now [-]."""
        return self._pace

    @pace.setter
    def pace(self, factor: float) -> None:
        """Let every step that begins from now on take `factor` times as long as by the profile.

        Parameters
        ----------
        factor : float
            1 for the profile's own time; more as where a device is throttled. > 0. [-]

        Raises
        ------
        ValueError
            If it is not a positive number.
        """
        try:
            pace = math.nan if isinstance(factor, str) else float(factor)
        except (TypeError, ValueError, OverflowError):
            pace = math.nan
        if not 0 < pace < math.inf:
            raise ValueError(f"the pace must be a number greater than 0, got {factor!r:.60}")
        self._pace = factor = pace
        # a plane of its own: the profile's coefficients belong to all runs
        own = scaled_coefficients(self._by_profile, factor)
        self.plane = self.plane._replace(coefficients=own)

    def snapshot(self) -> Snapshot:
        """Return what can be known of the fleet now."""
        lanes, states = self.plane.lanes, self.plane.replicas["state"]
        up, draining = int((states == UP).sum()), int((states == DRAINING).sum())
        config = self.plane.config[0]
        return Snapshot(
            time_s=self.now,
            waiting=int(lanes["waiting"].sum() + self.plane.fleet[0].held),
            running=int(lanes["running"].sum()),
            up=up,
            starting=len(self._paid_from) - up - draining - len(self._failed),
            draining=draining,
            failed=len(self._failed),
            max_num_seqs=int(config.max_num_seqs * config.lanes_per_replica),
        )

    def totals(self) -> Totals:
        """Return the totals up to now, the part of steps under way included that has passed."""
        lanes, width = self.plane.lanes, self.plane.config[0].lanes_per_replica
        under_way = lanes["stepping"] == 1
        passed = np.where(under_way, self.now - lanes["step_start"], 0.0)
        duration = np.where(under_way, lanes["step_end"] - lanes["step_start"], 1.0)
        share = np.divide(passed, duration, out=np.zeros(len(lanes)), where=duration > 0)
        used = self.plane.config[0].blocks - lanes["free_blocks"]

        def total(name: str) -> float:
            return float((lanes[name] + share * lanes[f"step_{name}"]).sum())

        up = self._up_time + sum(self.now - since for since in self._up_since.values())
        paid = self._paid + sum(self.now - since for since in self._paid_from.values())
        return Totals(
            time_s=self.now,
            busy=float((lanes["busy"] + passed).sum()),
            compute=total("compute"),
            storage=total("storage"),
            transfer=total("transfer"),
            overhead=total("overhead"),
            kv_block_seconds=float((lanes["block_seconds"] + passed * used).sum()),
            lane_seconds=float(up * width),
            paid_seconds=float(paid),
            steps=int(lanes["steps"].sum()),
        )
