"""``planner sweep``: a scenario simulated at every point of a grid, under common random numbers.

Each cell is the scenario with one value of every axis set, as ``--set`` sets it. All cells share
the scenario's seed, and the streams of random numbers are named after what they are for: cells
that differ in the fleet alone see the same requests, so that their differences are not noise.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from planner import __version__
from planner.errors import InputError, Problem
from planner.evaluate import simulate
from planner.planning.cells import cell_of, flat
from planner.planning.grid import Source, document_of, read_axes, today
from planner.planning.kept import Kept, code_digest, digest, files_digest
from planner.planning.knobs import knob_of
from planner.planning.processes import processes
from planner.scenario.document import read_text
from planner.scenario.dump import scenario_json
from planner.scenario.reader import read_scenario
from planner.scenario.service import StagesService
from planner.simulation.provenance import model_provenance
from planner.simulation.system import build_system

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    import pandas as pd

    from planner.planning.vary import Axis
    from planner.scenario.model import Scenario

#: Version of the JSON layout.
SCHEMA_VERSION = 1

#: Reasons that are told when no cell can be simulated.
MOST_REASONS = 5


@dataclass(frozen=True)
class Sweep:
    """A grid and what came of its cells.

    Parameters
    ----------
    title : str
        Name of the scenario.
    axes : tuple of Axis
        What was varied, the last fastest.
    cells : tuple of dict
        One for each point, in the order of the grid, as the JSON has them: ``values`` by key,
        ``error`` (the reason why it could not be simulated, or None) and the results.
    today : tuple of int or None
        By axis the place of the value that leaves the scenario as it is; None where none does.
    command : str
        Command line.
    rate : float or None
        Mean rate of requests of the scenario as it is; None for closed loops. [1/s]
    base : mapping
        The scenario as it is, resolved.
    provenance : mapping
        Where its numbers come from; empty where it cannot be served as it is.
    """

    title: str
    axes: tuple[Axis, ...]
    cells: tuple[dict[str, Any], ...]
    today: tuple[int | None, ...] = ()
    command: str = ""
    rate: float | None = None
    base: Mapping[str, Any] = field(default_factory=dict)
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def rows(self) -> list[dict[str, Any]]:
        """Return one flat row for each cell: the varied keys, then columns with their units."""
        return [flat(cell) for cell in self.cells]

    def to_frame(self) -> pd.DataFrame:
        """Return the rows as a pandas frame, one column for each varied key and each metric."""
        import pandas as pd  # noqa: PLC0415 - start-up

        return pd.DataFrame(self.rows())

    def to_json(self) -> dict[str, Any]:
        """Return the sweep as JSON values; ``planner schema sweep`` describes them."""
        return {
            "schema_version": SCHEMA_VERSION,
            "tool_version": __version__,
            "command": self.command,
            "scenario": self.title,
            "requests_per_s": self.rate,
            "base": dict(self.base),
            "provenance": dict(self.provenance),
            "vary": [
                {
                    "key": axis.key,
                    "unit": axis.unit or None,
                    "values": [each.data for each in axis.choices],
                    "today": today,
                }
                for axis, today in zip(self.axes, self.today, strict=True)
            ],
            "cells": list(self.cells),
        }


def sweep(
    path: Path,
    vary: Sequence[str],
    *,
    overrides: Sequence[str] = (),
    seed: int | None = None,
    store: Path | None = None,
    jobs: int = -1,
    command: str = "",
    progress: Callable[[float], None] = lambda share: None,  # noqa: ARG005 - shows nothing
) -> Sweep:
    """Simulate a scenario at every point of a grid.

    Parameters
    ----------
    path : Path
        The scenario's file.
    vary : sequence of str
        Axes as :func:`planner.planning.vary.parse_vary` reads them, at least one.
    overrides : sequence of str
        As for :func:`planner.scenario.reader.load_scenario`, in every cell.
    seed : int, optional
        Instead of the scenario's.
    store : Path, optional
        File that keeps each cell as it is done; cells in it are not simulated again.
    jobs : int
        Processes; -1 for one on each core.
    command : str
        Command line, for the result.
    progress : callable
        Called now and then with the share of the cells that are done.

    Raises
    ------
    InputError
        If the scenario or an axis cannot be used, the grid is too large, or none of its cells can
        be simulated. A single cell that cannot be simulated carries its reason.

    Examples
    --------
    >>> from planner.scenario.bundled import find_scenario
    >>> found = sweep(find_scenario("article_example"), ["simulation.seed=1,2"])
    >>> found.to_frame()[["simulation.seed", "e2e_mean_s"]].values.tolist()
    [[1.0, 0.002], [2.0, 0.002]]
    """
    source = Source(read_text(path), str(path), path.parent, tuple(overrides), seed)
    return sweep_source(source, vary, store=store, jobs=jobs, command=command, progress=progress)


def sweep_source(
    source: Source,
    vary: Sequence[str],
    *,
    store: Path | None = None,
    jobs: int = -1,
    command: str = "",
    progress: Callable[[float], None] = lambda share: None,  # noqa: ARG005 - shows nothing
) -> Sweep:
    """Simulate a scenario that has been read at every point of a grid, as :func:`sweep` does.

    Raises
    ------
    InputError
        As there.
    """
    scenario = read_scenario(*source)
    axes = read_axes(source, vary)
    points = list(itertools.product(*(axis.choices for axis in axes)))
    settings = [
        tuple(f"{axis.key}={value.text}" for axis, value in zip(axes, point, strict=True))
        for point in points
    ]
    kept = Kept(store) if store is not None else None
    keys = _keys(source, settings) if kept else [""] * len(settings)
    known = _known(kept) if kept else {}
    done = {k: known[key] for k, key in enumerate(keys) if key in known}
    left = [k for k in range(len(settings)) if k not in done]
    progress(len(done) / len(settings))
    for k, result in _evaluate(source, [(k, settings[k]) for k in left], jobs):
        done[k] = result
        if kept is not None and result["error"] is None:  # a reason may go away: memory, a file
            kept.add([{"key": keys[k], "result": result}])
        progress(len(done) / len(settings))
    _refuse_if_all_failed([done[k] for k in sorted(done)])
    cells = tuple(
        {
            "values": {a.key: value.data for a, value in zip(axes, points[k], strict=True)},
            **done[k],
        }
        for k in range(len(points))
    )
    places = tuple(today(source, axis) for axis in axes)
    return Sweep(
        scenario.name,
        axes,
        cells,
        places,
        command,
        _rate(scenario),
        scenario_json(scenario),
        _provenance(scenario),
    )


def _provenance(scenario: Scenario) -> dict[str, Any]:
    """Return where the numbers of a scenario come from; empty where it cannot be served so."""
    if isinstance(scenario.service, StagesService):
        return {}
    try:
        return model_provenance(build_system(scenario))
    except InputError:  # what is varied may mend it
        return {}


def _rate(scenario: Scenario) -> float | None:
    """Return the mean rate of requests of a scenario; None where it has none [1/s]."""
    try:
        knob = knob_of(scenario)
    except InputError:  # a trace of a single moment, as capacity says
        return None
    return knob.own if knob.unit == "req/s" else None


def _known(kept: Kept) -> dict[str, dict[str, Any]]:
    """Return the cells of a file by key; of two with one key the later."""
    return {row["key"]: row["result"] for row in kept.rows()}


def _keys(source: Source, settings: Sequence[tuple[str, ...]]) -> list[str]:
    """Return the key of each cell in the store: of all that its result follows from."""
    document = document_of(source)
    base = digest(
        code_digest(),
        source.seed,
        document.data,
        files_digest(_texts(document.data), source.folder),
    )
    values = {each.partition("=")[2].strip() for cell in settings for each in cell}
    files = files_digest(values, source.folder)
    return [
        digest(base, cell, [files.get(each.partition("=")[2].strip()) for each in cell])
        for cell in settings
    ]


def _texts(data: object) -> Iterator[str]:
    """Yield every text in the data of a scenario."""
    if isinstance(data, str):
        yield data
    elif isinstance(data, dict | list):
        for child in data.values() if isinstance(data, dict) else data:
            yield from _texts(child)


def evaluate_cell(
    source: Source, number: int, settings: Sequence[str]
) -> tuple[int, dict[str, Any]]:
    """Return the number of a cell and its results, or the reason why there are none.

    Parameters
    ----------
    source : Source
        The scenario.
    number : int
        Which cell, handed back.
    settings : sequence of str
        Overrides of the cell.
    """
    try:
        spec = read_scenario(*source._replace(overrides=(*source.overrides, *settings)))
        return number, cell_of(simulate(spec).result)
    except InputError as error:
        return number, cell_of(None, "; ".join(_without_place(each) for each in error.problems))
    except MemoryError:
        return number, cell_of(None, "must fit into memory, got more than there is")


def _without_place(problem: Problem) -> str:
    """Return a problem as the reason of a cell, whose row says where the values come from."""
    file = "" if problem.file.startswith("--") or not problem.line else problem.file
    return str(Problem(problem.message, problem.path, file, problem.line if file else 0))


def _evaluate(
    source: Source, cells: Sequence[tuple[int, tuple[str, ...]]], jobs: int
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the result of each cell as it is done."""
    import joblib  # noqa: PLC0415 - start-up

    workers = min(joblib.effective_n_jobs(jobs), len(cells))
    if workers <= 1:
        yield from (evaluate_cell(source, k, settings) for k, settings in cells)
        return
    run = processes(workers, "generator_unordered")
    yield from run(joblib.delayed(evaluate_cell)(source, k, settings) for k, settings in cells)


def _refuse_if_all_failed(cells: Sequence[dict[str, Any]]) -> None:
    reasons = dict.fromkeys(each["error"] for each in cells)
    if None in reasons:
        return
    told = list(reasons)[:MOST_REASONS]
    more = len(reasons) - len(told)
    head = f"sweep must have a cell that can be simulated, got none of {len(cells):,}"
    lines = [f"{head}: {told[0]}", *told[1:]] + [f"and {more:,} more reasons"] * bool(more)
    raise InputError([Problem(line) for line in lines])
