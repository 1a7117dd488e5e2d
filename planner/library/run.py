"""What one does with a scenario: simulate it, sweep it, find its capacity, plan for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from planner.library.scenario import load

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from planner.library.choice import Plan
    from planner.library.grid import Sweep
    from planner.library.limit import Capacity
    from planner.library.result import Result
    from planner.library.scenario import Scenario


def simulate(scenario: str | Path | Scenario) -> Result:
    """Simulate a scenario.

    Parameters
    ----------
    scenario : str or Path or Scenario
        As for :func:`planner.load`.

    Raises
    ------
    InputError
        If it cannot be simulated; the message says what to do.

    Examples
    --------
    >>> p99 = simulate("article_example").metrics["e2e"]["p99"].value
    >>> round(1000 * p99, 3)  # milliseconds
    2.0
    """
    return load(scenario).simulate()


def sweep(
    scenario: str | Path | Scenario,
    vary: Mapping[str, Iterable[object] | str] | Sequence[str],
    *,
    store: str | Path | None = None,
    jobs: int = 1,
) -> Sweep:
    """Simulate a scenario at every point of a grid, all with the same random numbers.

    Parameters
    ----------
    scenario : str or Path or Scenario
        As for :func:`planner.load`.
    vary : mapping of str to iterable or str, or sequence of str
        Values by dotted key, as ``{"fleet.replicas": range(1, 9), "traffic.rate": "1:50:1"}``, or
        texts as ``--vary`` takes them. The last key varies fastest.
    store : str or Path, optional
        File that keeps each cell as it is done; what is in it is not simulated again.
    jobs : int
        Processes; -1 for one on each core. A process takes seconds to start.

    Raises
    ------
    InputError
        If the scenario or a key cannot be used, there are too many cells, or none can be
        simulated. A single cell that cannot carries its reason.

    Examples
    --------
    >>> found = sweep("article_example", {"service.stages.0.compute.degree": [4, 8]})
    >>> found.to_frame()["e2e_mean_s"].round(6).tolist()
    [0.002625, 0.002]
    """
    return load(scenario).sweep(vary, store=store, jobs=jobs)


def capacity(scenario: str | Path | Scenario) -> Capacity:
    """Find the highest rate, or number of clients, at which all objectives of a scenario hold.

    Parameters
    ----------
    scenario : str or Path or Scenario
        As for :func:`planner.load`.

    Raises
    ------
    InputError
        If it has no objectives, or no rate that could be raised.
    """
    return load(scenario).capacity()


def plan(
    scenario: str | Path | Scenario,
    *,
    target: str | None = None,
    store: str | Path | None = None,
    jobs: int | None = None,
) -> Plan:
    """Find the cheapest fleet that meets the objectives of a scenario.

    Parameters
    ----------
    scenario : str or Path or Scenario
        As for :func:`planner.load`; its ``plan`` says what may be chosen from and what a plan
        has to keep to.
    target : str, optional
        Objectives instead of the scenario's, as ``"ttft:p95<300ms; tpot:p95<40ms"``.
    store : str or Path, optional
        File that keeps each evaluation; by default one in the user's cache.
    jobs : int, optional
        Processes; by default one per core.

    Raises
    ------
    InputError
        If the scenario cannot be planned for; the message says what to do. A target that nothing
        meets is an answer: see :attr:`planner.Plan.feasible`.
    """
    return load(scenario).plan(target=target, store=store, jobs=jobs)
