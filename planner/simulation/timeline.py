"""Samples of the fleet's state on the way."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from planner.results.records import Timeline

if TYPE_CHECKING:
    from collections.abc import Callable

    from planner.simulation.control import FleetEnvironment, Process
    from planner.simulation.fleet import Fleet, Snapshot, Totals

#: Samples of a run.
SAMPLES = 200


class Sampler:
    """Takes snapshots and totals of a fleet; the first and last bound the measured window.

    Parameters
    ----------
    fleet : Fleet
        The fleet.
    """

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._taken: list[tuple[Snapshot, Totals]] = [(fleet.snapshot(), fleet.totals())]
        self._window_from: Totals = fleet.totals()

    def take(self, at: float) -> None:
        """Take a sample, unless there is one of this moment or `at` is not finite."""
        if np.isfinite(at) and at > self._taken[-1][1].time_s:
            self._taken.append((self._fleet.snapshot(), self._fleet.totals()))

    def sample(
        self, env: FleetEnvironment, warmup: float, end_s: float, progress: Callable[[float], None]
    ) -> Process:
        """Sample evenly until `end_s`, and at the end of the warm-up; tell `progress` the share."""
        times = np.linspace(0.0, end_s, SAMPLES + 1)[1:-1]
        for time in np.union1d(times, [warmup] if 0 < warmup < end_s else []):
            yield env.timeout(time - env.now)
            self.take(env.now)
            progress(env.now / end_s)
            if time == warmup:
                self._window_from = self._taken[-1][1]

    def window(self) -> tuple[Totals, Totals]:
        """Return the totals at the end of the warm-up and at the last sample."""
        return self._window_from, self._taken[-1][1]

    def timeline(self) -> Timeline:
        """Return the samples as arrays."""
        snapshots, totals = zip(*self._taken, strict=True)
        blocks = self._fleet.plane.config[0].blocks
        shares = [shares_between(a, b, blocks) for a, b in pairwise(totals)]
        columns = {
            name: np.array([0.0, *(share[name] for share in shares)])
            for name in ("busy", "compute", "storage", "transfer", "kv_cache")
        }
        return Timeline(
            time_s=np.array([each.time_s for each in totals]),
            waiting=np.array([each.waiting for each in snapshots], dtype=np.int64),
            running=np.array([each.running for each in snapshots], dtype=np.int64),
            replicas_up=np.array([each.up for each in snapshots], dtype=np.int64),
            **columns,
        )


def shares_between(before: Totals, now: Totals, blocks: int) -> dict[str, float]:
    """Return the shares of serving time between two totals: busy, its parts, and KV blocks used."""
    time = now.lane_seconds - before.lane_seconds
    if not time > 0:
        return dict.fromkeys(("busy", "compute", "storage", "transfer", "kv_cache"), 0.0)
    shares = {
        name: (getattr(now, name) - getattr(before, name)) / time
        for name in ("busy", "compute", "storage", "transfer")
    }
    used = now.kv_block_seconds - before.kv_block_seconds
    return {**shares, "kv_cache": used / (time * blocks)}
