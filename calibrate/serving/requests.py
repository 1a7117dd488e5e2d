"""Measured requests as experiments: replayed through the simulator, percentiles compared.

A run is replayed as it was: each request arrives when it was sent, with its own lengths, at the
engine that a scenario describes. What is simulated differs from what was measured by the step time
and the scheduler alone, not by the traffic.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from planner.errors import InputError, Problem
from planner.latency.model_step import step_time
from planner.scenario.service import LlmService
from planner.simulation.run import run_llm
from planner.simulation.system import System, build_system
from planner.traffic.requests import Requests
from planner.validation.compare import Comparison, Row

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from calibrate.importers.rows import FloatArray, RequestRows
    from planner.catalog.profile import Profile
    from planner.scenario.model import Scenario

#: Percentiles that a fit is held to; a comparison shows :data:`SHOWN`.
QUANTILES, SHOWN = (10, 25, 50, 75, 90, 95), (50, 95)
#: Consecutive requests whose mean a fit is held to as well, and the most such means of a run: they
#: rise and fall with the load of their time, which percentiles of the whole run do not tell.
BLOCK, MOST_BLOCKS = 20, 30
#: Latencies of a request.
METRICS = ("ttft", "tpot", "e2e")
#: By how much the time that repeats took to send their requests may differ. [-]
SAME_RATE = 0.05


@dataclass(frozen=True)
class RequestRun:
    """One run of measured requests, replayed by :meth:`predict`; an ``Experiment`` of a fit.

    Parameters
    ----------
    scenario : Scenario
        One replica of an LLM: model, engine, device. Its traffic is not used.
    system : System
        Of the scenario.
    rows : RequestRows
        The requests of one run, all answered and with an arrival.
    spread : mapping of str to float
        Relative standard deviation of a metric between runs of the same requests. [-]
    """

    scenario: Scenario
    system: System
    rows: RequestRows
    spread: Mapping[str, float] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Name of the run."""
        return self.rows.run_names[0]

    @property
    def groups(self) -> dict[str, str]:
        """The run itself, for cross-validation."""
        return {"run": self.name}

    @cached_property
    def measured(self) -> dict[str, float]:
        """Of each latency mean, :data:`QUANTILES` and means of blocks: ``tpot.p95``, ... [s]."""
        return _statistics(self.rows.ttft_s, self.rows.tpot_s, self.rows.e2e_s)

    def predict(self, profile: Profile) -> dict[str, float]:
        """Return the same statistics of the simulation, were the engine as `profile` says [s]."""
        fleet = self.scenario.fleet
        assert fleet is not None  # noqa: S101 - runs_of has checked it
        system = replace(
            self.system,
            profile=profile,
            step=step_time(
                self.system.shape,
                self.system.device,
                self.system.service.settings,
                profile,
                tensor_parallel=fleet.tensor_parallel,
                pipeline_parallel=fleet.pipeline_parallel,
            ),
        )
        done = run_llm(self.scenario, system, self.requests, replication=0)
        # what an overload leaves unfinished has waited until the end, at least
        last = np.nanmax(done.finished_s, initial=float(done.arrival_s[-1]))
        ttft = np.nan_to_num(done.first_token_s, nan=last) - done.arrival_s
        e2e = np.nan_to_num(done.finished_s, nan=last) - done.arrival_s
        gaps = np.where(done.output_tokens > 1, done.output_tokens - 1, np.nan)
        return _statistics(ttft, (e2e - ttft) / gaps, e2e)

    @cached_property
    def requests(self) -> Requests:
        """The traffic: what was sent, when it was sent."""
        rows, n = self.rows, len(self.rows)
        return Requests(
            arrival_s=rows.arrival_s,
            prompt_tokens=rows.prompt_tokens.astype(np.int32),
            output_tokens=rows.output_tokens.astype(np.int32),
            class_id=np.zeros(n, np.int16),
            session_id=np.zeros(n, np.int64),
            think_s=np.zeros(n),
            class_names=("all",),
            end_s=float(rows.arrival_s[-1]),
            random=False,
        )


def _statistics(ttft: FloatArray, tpot: FloatArray, e2e: FloatArray) -> dict[str, float]:
    """Return means and quantiles by name; requests of one token have no tpot."""
    found = {}
    blocks = np.array_split(np.arange(len(ttft)), min(max(len(ttft) // BLOCK, 1), MOST_BLOCKS))
    for metric, values in zip(METRICS, (ttft, tpot, e2e), strict=True):
        known = values[~np.isnan(values)]
        if len(known) == 0:
            continue
        found[f"{metric}.mean"] = float(known.mean())
        levels = np.percentile(known, QUANTILES).tolist()
        found |= {f"{metric}.p{q}": level for q, level in zip(QUANTILES, levels, strict=True)}
        for k, block in enumerate(blocks, start=1):
            there = values[block][~np.isnan(values[block])]
            if len(there):
                found[f"{metric}.block {k}"] = float(there.mean())
    return found


def runs_of(scenario: Scenario, rows: RequestRows, only: Sequence[str] = ()) -> list[RequestRun]:
    """Return the runs among measured requests, each to be replayed at `scenario`'s engine.

    Runs with the same requests in the same order are repeats: each knows their spread.

    Parameters
    ----------
    scenario : Scenario
        One replica of an LLM; its own traffic, warm-up and objectives are not used.
    rows : RequestRows
        Measured requests. Those that failed are left out.
    only : sequence of str
        Names of the runs to take; empty for all.

    Raises
    ------
    InputError
        If the scenario is more than one replica of an LLM, a run is not there, or requests have
        no arrival, prompt or ttft.
    """
    _check_is_one_replica(scenario)
    simulation = scenario.simulation.model_copy(update={"warmup": 0.0})
    scenario = scenario.model_copy(update={"simulation": simulation})
    system = build_system(scenario)
    missing = sorted(set(only) - set(rows.run_names))
    if missing:
        raise InputError(
            f"--run must be one of {', '.join(rows.run_names)}, got {', '.join(missing)}"
        )
    runs = [
        RequestRun(scenario, system, _complete(rows.of_run(name)))
        for name in (only or rows.run_names)
    ]
    spreads = [_spread(group) for group in repeats(runs)]
    of_run = {
        run.name: spread
        for group, spread in zip(repeats(runs), spreads, strict=True)
        for run in group
    }
    return [replace(run, spread=of_run[run.name]) for run in runs]


def repeats(runs: Sequence[RequestRun]) -> list[list[RequestRun]]:
    """Return the runs in groups of the same requests at the same rate, each group by its first."""
    groups: list[list[RequestRun]] = []
    for run in runs:
        for group in groups:
            if _repeats(run.rows, group[0].rows):
                group.append(run)
                break
        else:
            groups.append([run])
    return groups


def compare_runs(runs: Sequence[RequestRun], profile: Profile) -> list[Comparison]:
    """Return what `profile` predicts beside what was measured, repeats together.

    The prediction of repeats is the mean of their replays, whose arrivals differ by what the
    client's clock did.
    """
    found = []
    for group in repeats(runs):
        predicted = [run.predict(profile) for run in group]
        rows = tuple(
            Row(
                metric,
                f"p{q}",
                "s",
                float(np.mean([each[f"{metric}.p{q}"] for each in predicted])),
                tuple(run.measured[f"{metric}.p{q}"] for run in group),
            )
            for metric in METRICS
            for q in SHOWN
            if f"{metric}.p{q}" in group[0].measured
        )
        first = group[0]
        label = first.name if len(group) == 1 else f"{first.name} x{len(group)}"
        rate = (len(first.rows) - 1) / first.rows.arrival_s[-1]
        found.append(Comparison(label, float(rate), len(first.rows), rows))
    return found


def _repeats(rows: RequestRows, others: RequestRows) -> bool:
    """Return whether the requests are the same, and took about as long to send."""
    return (
        np.array_equal(rows.prompt_tokens, others.prompt_tokens)
        and np.array_equal(rows.output_tokens, others.output_tokens)
        and abs(rows.arrival_s[-1] / others.arrival_s[-1] - 1) < SAME_RATE
    )


def _spread(group: Sequence[RequestRun]) -> dict[str, float]:
    """Return the relative standard deviation of each metric over repeats; empty for one run."""
    if len(group) < 2:
        return {}
    values = {metric: [run.measured[metric] for run in group] for metric in group[0].measured}
    return {metric: float(np.std(each, ddof=1) / np.mean(each)) for metric, each in values.items()}


def _complete(rows: RequestRows) -> RequestRows:
    """Return the answered requests, all of which can be replayed and compared.

    Raises
    ------
    InputError
        If an arrival, a prompt's length or a ttft is not known, or there are too few.
    """
    name = rows.run_names[0]
    there = rows.select(rows.ok)
    unknown = {
        "arrival": np.isnan(there.arrival_s),
        "prompt_tokens": there.prompt_tokens < 1,
        "ttft": np.isnan(there.ttft_s),
    }
    for what, bad in unknown.items():
        if bad.any():
            raise InputError(
                f"run {name!r} must give {what} of every request to be replayed, got "
                f"{int(bad.sum())} of {len(there)} without"
            )
    if len(there) < 2 or not there.arrival_s[-1] > 0:
        raise InputError(f"run {name!r} must hold requests that arrived one after the other")
    return there


def _check_is_one_replica(scenario: Scenario) -> None:
    """Refuse what a replay on one replica leaves out; all of it is named."""
    problems = list(_beside_one_replica(scenario))
    if problems:
        raise InputError(problems)


def _beside_one_replica(scenario: Scenario) -> Iterator[Problem]:
    service, fleet = scenario.service, scenario.fleet
    if not isinstance(service, LlmService) or fleet is None:
        yield Problem("must be an LLM, whose requests were measured", "service")
        return
    for key in ("before", "after"):
        if getattr(service, key):
            yield Problem("must be left out: the requests were measured at the engine", key)
    if fleet.replicas != 1:
        yield Problem(f"must be 1 for a replay, got {fleet.replicas}", "fleet.replicas")
    for key in ("events", "failures", "autoscaler"):
        if getattr(fleet, key):
            yield Problem("must be left out: the engine was there all the time", f"fleet.{key}")
