"""A scenario as the library hands it out: read, changed by key, checked."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from planner import evaluate
from planner.errors import InputError
from planner.library.choice import Plan
from planner.library.grid import Sweep
from planner.library.limit import Capacity
from planner.library.result import Result
from planner.library.values import axis_texts, located, override_texts
from planner.planning.capacity import capacity as find_capacity
from planner.planning.grid import Source
from planner.planning.plan import plan as find_plan
from planner.planning.sweep import sweep_source
from planner.report.document import Answer, Document
from planner.report.html.fragment import render_fragment
from planner.scenario.bundled import find_scenario
from planner.scenario.document import read_text
from planner.scenario.dump import scenario_yaml
from planner.scenario.reader import read_scenario

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from planner.scenario.model import Scenario as Spec


def load(
    scenario: str | Path | Scenario,
    values: Mapping[str, object] | Sequence[str] = (),
    *,
    seed: int | None = None,
) -> Scenario:
    """Return the scenario in a file, or the bundled one of that name.

    Parameters
    ----------
    scenario : str or Path or Scenario
        Path of a file, or a name that ``planner init`` lists; relative paths in the scenario
        start from its folder. A scenario that is loaded already is changed as
        :meth:`Scenario.with_values` does.
    values : mapping of str to object, or sequence of str
        Values to change by their dotted keys, as ``{"fleet.replicas": 3}``, or texts as ``--set``
        takes them, as ``["fleet.replicas=3"]``.
    seed : int, optional
        Instead of the scenario's.

    Raises
    ------
    InputError
        With every problem, each with its line or key and what to do about it.

    Examples
    --------
    >>> load("chatbot", {"fleet.replicas": 3}).spec.fleet.replicas
    3
    """
    if not isinstance(scenario, Scenario):
        path = find_scenario(scenario)
        scenario = _scenario(Source(read_text(path), str(path), path.parent))
    return scenario.with_values(values, seed=seed) if values or seed is not None else scenario


def parse(
    text: str,
    values: Mapping[str, object] | Sequence[str] = (),
    *,
    folder: str | Path = ".",
    seed: int | None = None,
) -> Scenario:
    """Return the scenario that a YAML text describes.

    Parameters
    ----------
    text : str
        As a scenario's file has it.
    values, seed
        As for :func:`load`.
    folder : str or Path
        Folder that relative paths in it start from.

    Raises
    ------
    InputError
        With every problem.
    """
    read = Source(text, "<text>", Path(folder), tuple(override_texts(values)), seed)
    return _scenario(read)


@dataclass(frozen=True)
class Scenario:
    """What a user wants to know the latency of; made by :func:`load` and :func:`parse`.

    Parameters
    ----------
    source : Source
        As it was written, and what was changed.
    spec : planner.scenario.model.Scenario
        As it was read: every key, defaults filled in.
    """

    source: Source = field(repr=False)
    spec: Spec = field(repr=False)

    @property
    def name(self) -> str:
        """What it is called."""
        return self.spec.name

    def with_values(
        self, values: Mapping[str, object] | Sequence[str], *, seed: int | None = None
    ) -> Scenario:
        """Return the scenario with other values; this one stays as it is.

        Parameters
        ----------
        values : mapping of str to object, or sequence of str
            As for :func:`load`.
        seed : int, optional
            Another seed.

        Raises
        ------
        InputError
            If a key or value cannot be.
        """
        overrides = (*self.source.overrides, *override_texts(values))
        kept = self.source.seed if seed is None else seed
        return _scenario(self.source._replace(overrides=overrides, seed=kept))

    def check(self) -> list[str]:
        """Return what the scenario amounts to, as ``planner check`` prints it, without a run.

        Raises
        ------
        InputError
            If it cannot be simulated.
        """
        with located(self.source):
            return evaluate.check(self.spec).lines()

    def simulate(self) -> Result:
        """Return what comes of it, as :func:`simulate` does."""
        with located(self.source):
            return Result(evaluate.simulate(self.spec))

    def sweep(
        self,
        vary: Mapping[str, Iterable[object] | str] | Sequence[str],
        *,
        store: str | Path | None = None,
        jobs: int = 1,
    ) -> Sweep:
        """Return what comes of it at every point of a grid, as :func:`sweep` does."""
        if jobs == 0:
            raise InputError("jobs: must be a number of processes, or -1 for one a core, got 0")
        kept = None if store is None else Path(store)
        with located(self.source):
            return Sweep(sweep_source(self.source, axis_texts(vary), store=kept, jobs=jobs))

    def capacity(self) -> Capacity:
        """Return the highest rate at which its objectives hold, as :func:`capacity` does."""
        with located(self.source):
            return Capacity(find_capacity(self.spec))

    def plan(
        self,
        *,
        target: str | None = None,
        store: str | Path | None = None,
        jobs: int | None = None,
    ) -> Plan:
        """Return the cheapest fleet that meets its objectives, as :func:`plan` does."""
        if target is not None:
            return self.with_values({"objectives": target}).plan(store=store, jobs=jobs)
        kept = None if store is None else Path(store)
        with located(self.source):
            return Plan(find_plan(self.spec, store=kept, jobs=jobs))

    def to_yaml(self) -> str:
        """Return it as a file that :func:`load` reads, defaults filled in."""
        return scenario_yaml(self.spec)

    def __repr__(self) -> str:
        return f"<Scenario {self.name!r}>"

    def _repr_html_(self) -> str:
        """Return what it amounts to, for a notebook."""
        first, *others = self.check()
        return render_fragment(
            Document(
                title=self.name,
                subtitle="scenario",
                answer=Answer(first, sentences=(self.spec.description, *others)),
                sections=(),
            )
        )


def _scenario(source: Source) -> Scenario:
    with located(source):
        return Scenario(source, read_scenario(*source))
