"""Verification: a fleet on all of the traffic, and the probability that it meets its objectives."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from planner.planning.evaluation import Variation
from planner.planning.found import Found, combined
from planner.planning.probability import joint
from planner.planning.sizing import CLEAR, least_steady
from planner.planning.uncertainty import draws

if TYPE_CHECKING:
    from collections.abc import Sequence

    from planner.catalog.devices import Device
    from planner.catalog.profile import Profile
    from planner.planning.candidate import Candidate
    from planner.planning.entries import Entry
    from planner.planning.evaluation import Evaluator
    from planner.planning.runner import Runner
    from planner.planning.workload import Level

#: Above this, up to what is clear, the decision is close, and replications are doubled, up to so
#: many times those of the last level. A fleet that is right at its bound looks worse than
#: this one time in twenty.
DOUBT, MORE = 0.05, 16


@dataclass(frozen=True)
class Verified:
    """A fleet that was simulated on all of the traffic, or on a part that stands for it.

    Parameters
    ----------
    entry : Entry
        The candidate.
    replicas : int
        Spares left out.
    found : Found
        What it did.
    probability : float
        That all objectives are met.
    outcomes : tuple of float
        The probability of each.
    spread : tuple of Found
        Its replications, where they are independent.
    traffic_share : float
        Share of the traffic that was simulated, replications included.
    drawn : int
        Draws of the profile's coefficients that the probabilities are averaged over.
    """

    entry: Entry
    replicas: int
    found: Found
    probability: float
    outcomes: tuple[float, ...]
    spread: tuple[Found, ...] = ()
    traffic_share: float = 1.0
    drawn: int = 0


@dataclass
class Verifier:
    """Simulates fleets on all of the traffic.

    Parameters
    ----------
    runner : Runner
        Where evaluations run.
    """

    runner: Runner
    _draws: dict[tuple[str, str], list[tuple[tuple[str, float], ...]]] = field(default_factory=dict)

    @property
    def drawn(self) -> int:
        """How many draws of the coefficients there were."""
        return max((len(each) for each in self._draws.values()), default=0)

    def verify(self, entry: Entry, replicas: int) -> Verified:
        """Return what a fleet does on all of the traffic, and how sure that is."""
        candidate, level = entry.candidate, self.runner.setup.workload.levels[2]
        none = tuple(0.0 for _ in self.runner.setup.workload.objectives)
        spread = self._replications(candidate, replicas, level)
        found = combined(spread)
        fewest = next(iter(self.runner.map(least_steady, [(candidate, (candidate,))])))
        if replicas < fewest:
            return Verified(entry, replicas, found, 0.0, none, spread)
        each = found.probabilities()
        likely = joint(each)
        shifts = self._shifts(candidate, replicas) if found.holds else []
        if shifts:
            likely, each = _over_draws(found, shifts)
        return Verified(entry, replicas, found, likely, each, spread, drawn=len(shifts))

    def _replications(self, candidate: Candidate, replicas: int, level: Level) -> tuple[Found, ...]:
        """Simulate replications in parallel, more of them for as long as they leave doubt.

        Two show what is hopeless, all of the level what is not; where the decision is close there
        are up to :data:`MORE` times as many.
        """
        rows: list[tuple[Candidate | None, tuple[object, ...]]]
        usual = level.replications
        most = MORE * usual if usual > 1 else usual
        rows = [(candidate, (candidate, replicas, level, k)) for k in range(most)]
        found = list(self.runner.map(replicate, rows[: min(2, usual)]))
        if combined(found).chance > CLEAR or combined(found).holds:
            found += self.runner.map(replicate, rows[len(found) : usual])
        while usual <= len(found) < most and DOUBT < combined(found).chance < 1 - CLEAR:
            found += self.runner.map(replicate, rows[len(found) : 2 * len(found)])
        return tuple(found)

    def _shifts(self, candidate: Candidate, replicas: int) -> list[tuple[float, ...]]:
        """Return, for each draw of the coefficients, what it adds to each objective's ratio."""
        level = self.runner.setup.workload.levels[1]._replace(replications=1)
        seed = self.runner.setup.workload.scenario.simulation.seed
        profile, device = next(iter(self.runner.map(numbers_of, [(candidate, (candidate,))])))
        name = profile.name, device.name
        if name not in self._draws:
            self._draws[name] = draws(profile, device, seed)
        if not self._draws[name]:
            return []
        variations = [Variation(), *(Variation(coefficients=d) for d in self._draws[name])]
        rows: list[tuple[Candidate | None, tuple[object, ...]]]
        rows = [(candidate, (candidate, replicas, level, 0, each)) for each in variations]
        plain, *drawn = self.runner.map(replicate, rows)
        return [moved(each, plain) for each in drawn]


def moved(found: Found, plain: Found) -> tuple[float, ...]:
    """Return what a change adds to the ratio of each objective: from `plain` to `found`."""
    return tuple(a.ratio - b.ratio for a, b in zip(found.tallies, plain.tallies, strict=True))


def replicate(evaluator: Evaluator, *args: object) -> Found:
    """Run :meth:`Evaluator.replicate`, as a function that can be sent."""
    return evaluator.replicate(*args)  # type: ignore[arg-type]


def numbers_of(evaluator: Evaluator, candidate: Candidate) -> tuple[Profile, Device]:
    """Return the profile and the device of a candidate."""
    system = evaluator.system(candidate)
    return system.profile, system.device


def _over_draws(found: Found, shifts: Sequence[Sequence[float]]) -> tuple[float, tuple[float, ...]]:
    """Return the probability of all objectives, and of each, averaged over draws."""
    rows = np.array(
        [
            [each.probability((shift,)) for each, shift in zip(found.tallies, row, strict=True)]
            for row in shifts
        ]
    )
    together = float(np.mean([joint(tuple(row)) for row in rows]))
    return together, tuple(map(float, rows.mean(axis=0)))
