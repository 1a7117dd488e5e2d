"""One evaluation: a candidate with some replicas on a window of the traffic, and its tallies."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from planner.planning.found import Found, combined, packed, tally, unpacked
from planner.planning.kept import code_digest
from planner.planning.uncertainty import changed_profile
from planner.planning.workload import cut, scaled
from planner.scenario.fleet import Event
from planner.simulation.kernels.compiled import CACHE_FOLDER
from planner.simulation.run import run_llm
from planner.simulation.saturation import saturation_per_replica
from planner.simulation.system import build_system, scenario_profile

if TYPE_CHECKING:
    from collections.abc import Mapping

    from planner.catalog.profile import Profile
    from planner.planning.candidate import Candidate
    from planner.planning.workload import Level, Workload
    from planner.simulation.system import System


@dataclass(frozen=True)
class Variation:
    """What is changed against the scenario, and by which factor.

    Parameters
    ----------
    rate, prompt, output : float
        Arrivals per second and lengths.
    coefficients : tuple of (str, float)
        Of the profile, by name.
    lost : int
        Replicas that fail in the middle of the window; only requests from then on count.
    """

    rate: float = 1.0
    prompt: float = 1.0
    output: float = 1.0
    coefficients: tuple[tuple[str, float], ...] = ()
    lost: int = 0


#: As the scenario has it.
PLAIN = Variation()


class Evaluator:
    """Evaluates candidates in one process, and remembers.

    Parameters
    ----------
    workload : Workload
        Traffic and objectives.
    profile : Profile or None
        Of the scenario; None for the one that is fitted to each device.
    known : mapping of str to JSON values
        Evaluations by key, from earlier runs.
    """

    def __init__(
        self, workload: Workload, profile: Profile | None, known: Mapping[str, Any] | None = None
    ) -> None:
        self.workload = workload
        self.profile = profile
        self.known: dict[str, Any] = dict(known or {})
        self.new: dict[str, Any] = {}
        self._systems: dict[tuple[str, tuple[tuple[str, float], ...]], System] = {}
        scenario = workload.scenario
        service = scenario.service.model_dump(mode="json")
        self._common = [
            code_digest(),
            CACHE_FOLDER.name,
            workload.digest,
            [(klass, each.text) for klass, each in workload.objectives],
            [service.get(key) for key in ("network", "before", "after")],
            scenario.simulation.seed,
            scenario.simulation.warmup,
        ]

    def system(self, candidate: Candidate, variation: Variation = PLAIN) -> System:
        """Return one replica of `candidate`.

        Raises
        ------
        InputError
            If it cannot be had.
        """
        key = (candidate.key, variation.coefficients)
        if key not in self._systems:
            if len(self._systems) > 64:
                self._systems.clear()
            scenario = candidate.scenario(self.workload.scenario, 1)
            profile = self.profile or scenario_profile(scenario)
            varied = changed_profile(profile, dict(variation.coefficients))
            self._systems[key] = build_system(scenario, varied)
        return self._systems[key]

    def saturation(self, candidate: Candidate) -> float:
        """Return the highest rate that one replica sustains [1/s]."""
        system = self.system(candidate)
        key = self._key(system, "saturation")
        if key not in self.known:
            rate = saturation_per_replica(system, self.workload.draw(0))
            self._remember(key, rate, candidate)
        return float(self.known[key])

    def evaluate(
        self, candidate: Candidate, replicas: int, level: Level, variation: Variation = PLAIN
    ) -> Found:
        """Return what `replicas` of `candidate` do on all replications of a level."""
        found = [
            self.replicate(candidate, replicas, level, k, variation)
            for k in range(level.replications)
        ]
        return combined(found)

    def replicate(
        self,
        candidate: Candidate,
        replicas: int,
        level: Level,
        replication: int,
        variation: Variation = PLAIN,
    ) -> Found:
        """Return what `replicas` of `candidate` do on one replication."""
        system = self.system(candidate, variation)
        what = [replicas, level.window, replication, asdict(variation)]
        key = self._key(system, what)
        if key not in self.known:
            found = self._simulate(candidate, replicas, level, replication, variation)
            self._remember(key, packed(found), candidate)
        return unpacked(self.known[key])

    def _remember(self, key: str, value: Any, candidate: Candidate) -> None:  # noqa: ANN401 - JSON
        self.known[key] = value
        self.new[key] = {"key": key, "candidate": candidate.key, "value": value}

    def _key(self, system: System, what: object) -> str:
        """Return the name of an evaluation: of all that its numbers depend on."""
        digest = hashlib.sha256(
            json.dumps([*self._common, what], separators=(",", ":"), default=str).encode()
        )
        digest.update(system.step.coefficients.tobytes())
        digest.update(system.config(seed=0).tobytes())
        return digest.hexdigest()[:32]

    def _simulate(
        self,
        candidate: Candidate,
        replicas: int,
        level: Level,
        replication: int,
        variation: Variation,
    ) -> Found:
        workload = self.workload
        scenario = candidate.scenario(workload.scenario, replicas)
        requests = cut(workload.draw(replication), level.window)
        requests = scaled(requests, variation.rate, variation.prompt, variation.output)
        warmup = level.window.warmup_s if level.window else scenario.simulation.warmup
        warmup = min(warmup, requests.end_s / 2) if math.isfinite(requests.end_s) else warmup
        system = self.system(candidate, variation)
        fleet = scenario.fleet
        assert fleet is not None  # noqa: S101 - a candidate's scenario has one
        if variation.lost:
            warmup = (warmup + requests.end_s) / 2
            event = Event(at=warmup, kind="fail", replicas=variation.lost)
            fleet = fleet.model_copy(update={"events": (event,)})
        simulation = scenario.simulation.model_copy(update={"warmup": warmup})
        scenario = scenario.model_copy(update={"simulation": simulation, "fleet": fleet})
        system = replace(system, fleet=fleet)
        record = run_llm(scenario, system, requests, replication=replication)
        return tally(record, workload.objectives)
