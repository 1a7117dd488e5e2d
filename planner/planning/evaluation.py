"""One evaluation: a candidate with some replicas on a window of the traffic, and its tallies."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from planner import __version__
from planner.planning.probability import Tally, joint, merged
from planner.planning.uncertainty import changed_profile
from planner.planning.workload import cut, scaled
from planner.results.metrics import finished_in_window
from planner.results.objectives import goodput_counts, may_be_refused, refused_share
from planner.results.samples import Measured
from planner.scenario.fleet import Event
from planner.scenario.objectives import LatencyObjective
from planner.simulation.kernels.compiled import CACHE_FOLDER
from planner.simulation.run import run_llm
from planner.simulation.saturation import saturation_per_replica
from planner.simulation.system import build_system

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from planner.catalog.profile import Profile
    from planner.planning.candidate import Candidate
    from planner.planning.workload import Level, Workload
    from planner.results.records import Records
    from planner.scenario.objectives import Objective
    from planner.simulation.system import System

#: Replications from which on they, and not blocks of time, are the units of a tally.
UNITS = 5


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


class Found(NamedTuple):
    """What came of one evaluation, or of several replications of it.

    Parameters
    ----------
    tallies : tuple of Tally
        One per objective.
    values : tuple of float or None
        The statistic of each objective: seconds, or a share.
    output_tokens_per_s : float
        Finished in the window.
    kv_cache, preemptions : float
        Share of KV blocks in use; times that a request lost its own.
    """

    tallies: tuple[Tally, ...]
    values: tuple[float | None, ...]
    output_tokens_per_s: float
    kv_cache: float
    preemptions: float

    def probabilities(self, shifts: Sequence[Sequence[float]] | None = None) -> tuple[float, ...]:
        """Return the probability of each objective; `shifts` are of its ratio, by draw."""
        rows = [(0.0,)] * len(self.tallies) if shifts is None else shifts
        return tuple(each.probability(row) for each, row in zip(self.tallies, rows, strict=True))

    def probability(self) -> float:
        """Return a lower bound of the probability that all objectives are met."""
        return joint(self.probabilities())

    @property
    def chance(self) -> float:
        """An upper bound of it: the probability of the objective that is least sure."""
        return min(self.probabilities())

    @property
    def holds(self) -> bool:
        """Whether all objectives are met by what was simulated, however sure that is."""
        return all(each.ratio <= each.allowed for each in self.tallies)


class Evaluator:
    """Evaluates candidates in one process, and remembers.

    Parameters
    ----------
    workload : Workload
        Traffic and objectives.
    profile : Profile
        Of the scenario.
    known : mapping of str to JSON values
        Evaluations by key, from earlier runs.
    """

    def __init__(
        self, workload: Workload, profile: Profile, known: Mapping[str, Any] | None = None
    ) -> None:
        self.workload = workload
        self.profile = profile
        self.known: dict[str, Any] = dict(known or {})
        self.new: dict[str, Any] = {}
        self._systems: dict[tuple[str, tuple[tuple[str, float], ...]], System] = {}
        scenario = workload.scenario
        service = scenario.service.model_dump(mode="json")
        self._common = [
            __version__,
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
            profile = changed_profile(self.profile, dict(variation.coefficients))
            scenario = candidate.scenario(self.workload.scenario, 1)
            self._systems[key] = build_system(scenario, profile)
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
            self._remember(key, _packed(found), candidate)
        return _unpacked(self.known[key])

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


def tally(
    record: Records,
    objectives: Sequence[tuple[int | None, Objective]],
) -> Found:
    """Return the tallies of one replication.

    Parameters
    ----------
    record : Records
        What happened.
    objectives : sequence of (int or None, Objective)
        Class and objective.
    """
    found = [_objective(Measured(record, klass), each) for klass, each in objectives]
    window = record.measured_to_s - record.measured_from_s
    tokens = finished_in_window(record)[1]
    return Found(
        tallies=tuple(each for each, _ in found),
        values=tuple(value for _, value in found),
        output_tokens_per_s=tokens / window if window > 0 else 0.0,
        kv_cache=record.usage.get("kv_cache", 0.0),
        preemptions=float(record.preemptions.sum()),
    )


def _objective(run: Measured, objective: Objective) -> tuple[Tally, float | None]:
    """Return one objective's tally and the value of its statistic."""
    if not isinstance(objective, LatencyObjective):
        good, total = goodput_counts(objective, run)
        share = float(good.sum() / total.sum()) if total.sum() else None
        return Tally(_floats(total - good), _floats(total), 1 - objective.share), share
    sample = run.sample(objective.metric)
    known, unfinished = sample.counts(), sample.unfinished
    total = known + unfinished
    refused = refused_share([run]) > may_be_refused(objective)
    quantile = objective.quantile
    if quantile is None:
        late = bool(unfinished.sum() > 0.01 * max(total.sum(), 1.0))
        bad = np.full_like(total, np.inf) if refused or late else sample.sums()
        value = float(bad.sum() / known.sum()) if known.sum() else math.inf
        mean = Tally(_floats(bad), _floats(known), objective.seconds, is_mean=True)
        return mean, value if math.isfinite(value) else None
    bad = total if refused else sample.above(objective.seconds, or_equal=objective.strict)
    value = sample.quantile(quantile)
    tallied = Tally(_floats(bad), _floats(total), 1 - quantile)
    return tallied, value if math.isfinite(value) else None


def _floats(values: np.ndarray[Any, Any]) -> tuple[float, ...]:
    return tuple(map(float, values))


def combined(found: Sequence[Found]) -> Found:
    """Return several replications as one."""
    by_unit = len(found) < UNITS
    tallies = tuple(
        merged(each, by_unit=by_unit) for each in zip(*(one.tallies for one in found), strict=True)
    )
    values = tuple(_mean(each) for each in zip(*(one.values for one in found), strict=True))
    return Found(
        tallies,
        values,
        float(np.mean([each.output_tokens_per_s for each in found])),
        float(np.mean([each.kv_cache for each in found])),
        float(np.mean([each.preemptions for each in found])),
    )


def _mean(values: Sequence[float | None]) -> float | None:
    known = [each for each in values if each is not None]
    return sum(known) / len(known) if known and len(known) == len(values) else None


def _packed(found: Found) -> dict[str, Any]:
    """Return `found` as JSON values; what is infinite becomes null."""
    return {
        "tallies": [
            {
                "bad": [each if math.isfinite(each) else None for each in one.bad],
                "total": list(one.total),
                "allowed": one.allowed,
                "mean": one.is_mean,
            }
            for one in found.tallies
        ],
        "values": list(found.values),
        "output_tokens_per_s": found.output_tokens_per_s,
        "kv_cache": found.kv_cache,
        "preemptions": found.preemptions,
    }


def _unpacked(data: Mapping[str, Any]) -> Found:
    return Found(
        tuple(
            Tally(
                tuple(math.inf if each is None else each for each in one["bad"]),
                tuple(one["total"]),
                one["allowed"],
                one["mean"],
            )
            for one in data["tallies"]
        ),
        tuple(data["values"]),
        data["output_tokens_per_s"],
        data["kv_cache"],
        data["preemptions"],
    )
