"""The tables of rows that no fit has seen, as docs/validation.md has them.

``python bench/points/cross_validate.py`` fits every stack of ``stacks.yaml`` and predicts every
row of it by fits without its group: once without its deployment (model and tensor-parallel
degree), once without its lengths. ``--write FOLDER`` also writes the profiles fitted to all rows,
``--only NAME`` takes the stacks whose profiles are called so. ``--errors FOLDER`` does not search:
it writes the packaged profiles with the standard errors and the covariance that their coefficients
have by the present code. All stacks take half an hour of one
core; what is done so far is printed beside the tables.
"""

from __future__ import annotations

import argparse
import datetime as dt
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import yaml

from calibrate.fitted import write_profile
from calibrate.serving.points import experiments_of
from calibrate.serving.stack import fit_stack
from planner.catalog.catalogue import find_device
from planner.catalog.profile import load_profile
from planner.spec import Spec
from planner.validation.points.table import read_points

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from calibrate.serving.fit import Row
    from calibrate.serving.points import PointExperiment
    from calibrate.serving.stack import StackFit

HERE = Path(__file__).parent
KINDS = ("deployment", "lengths")
#: Groups are left out in so many lots at most, not one by one.
LOTS = 5


class Stack(Spec):
    """What is fitted together; see ``stacks.yaml``."""

    label: str
    profiles: dict[str, str]
    engine: str
    kernels: str
    datasets: tuple[str, ...]
    models: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    loads: tuple[str, ...] = ()
    drawn_to: tuple[str, ...] = ()
    table: str
    total: str = ""

    def rows(self, experiments: Sequence[PointExperiment]) -> list[PointExperiment]:
        """Return the rows of the stack, those of models left out included."""
        return [
            each
            for each in experiments
            if each.groups["device"] in self.profiles
            and each.groups["engine"] == self.engine
            and each.groups["kernels"] == self.kernels
            and each.groups["dataset"] in self.datasets
            and (not self.loads or each.groups["load"] in self.loads)
            and (not self.models or each.case.deployment.shape.name in self.models)
        ]

    def fit(self, experiments: Sequence[PointExperiment], rounds: int) -> StackFit:
        """Return the fit of at most `rounds` Jacobians, cross-validated by :data:`KINDS`."""
        seen, also = self.seen(experiments)
        values = mean_of(self.drawn_to)
        return fit_stack(seen, KINDS, folds=LOTS, rounds=rounds, values=values, also=also)

    def seen(
        self, experiments: Sequence[PointExperiment]
    ) -> tuple[list[PointExperiment], list[PointExperiment]]:
        """Return the rows to fit to, and those of models left out."""
        rows, out = self.rows(experiments), set(self.without)
        also = [e for e in rows if {e.case.point.model, e.case.point.texts["model"]} & out]
        return [each for each in rows if each not in also], also

    def errors(self, experiments: Sequence[PointExperiment], folder: Path) -> None:
        """Write the packaged profiles with the errors and covariance of their coefficients."""
        for name in self.profiles.values():
            profile = load_profile(name)
            fitted = {k: c for k, c in profile.coefficients.items() if c.provenance == "fitted"}
            values = {key: each.value for key, each in fitted.items()}
            found = fit_stack(
                self.seen(experiments)[0], (), values=mean_of(self.drawn_to), found=values
            ).fit
            coefficients = {
                key: each.model_copy(update={"stderr": found.stderr.get(key)})
                for key, each in fitted.items()
            }
            update = {
                "coefficients": profile.coefficients | coefficients,
                "covariance": found.covariance,
            }
            write_profile(profile.model_copy(update=update), folder)


def mean_of(names: Sequence[str]) -> dict[str, float]:
    """Return the geometric means of what was fitted in packaged profiles, by coefficient.

    A coefficient is in it if one of the profiles has it fitted; it is the mean of those that do.
    """
    found: dict[str, list[float]] = {}
    for profile in map(load_profile, names):
        for key, each in profile.coefficients.items():
            if each.provenance == "fitted":
                found.setdefault(key, []).append(each.value)
    return {key: float(np.exp(np.mean(np.log(values)))) for key, values in found.items()}


@dataclass(frozen=True)
class Result:
    """Rows of a stack predicted out of sample, by kind of group left out.

    Parameters
    ----------
    fitted, outside : dict of str to tuple of Row
        Rows of the kind that the stack is fitted to, and those it is not.
    """

    fitted: dict[str, tuple[Row, ...]]
    outside: dict[str, tuple[Row, ...]]

    @classmethod
    def of(cls, found: StackFit) -> Result:
        """Return those of a fit; a kind with one group only takes the other's."""
        some = next(iter(found.cross_validated))
        return cls(
            {kind: found.cross_validated.get(kind, found.cross_validated[some]) for kind in KINDS},
            {kind: found.outside.get(kind, found.outside[some]) for kind in KINDS},
        )

    def both(self) -> dict[str, tuple[Row, ...]]:
        """Return all rows."""
        return {kind: self.fitted[kind] + self.outside[kind] for kind in KINDS}


def joined(parts: Iterable[dict[str, tuple[Row, ...]]]) -> dict[str, tuple[Row, ...]]:
    """Return the rows of several stacks."""
    listed = list(parts)
    return {kind: tuple(row for each in listed for row in each[kind]) for kind in KINDS}


def line(label: str, rows: dict[str, tuple[Row, ...]], metrics: Sequence[str]) -> str:
    """Return a row of a table: label, number of points, and errors by kind and metric."""
    points = len({row.experiment for row in rows[KINDS[0]] if row.metric in metrics})
    cells = [_errors(rows[kind], metric) for kind in KINDS for metric in metrics]
    return f"| {label} | {points} | {' | '.join(cells)} |"


def _errors(rows: Sequence[Row], metric: str) -> str:
    """Return mean and median of the absolute relative errors of a metric."""
    found = [abs(row.error) for row in rows if row.metric == metric]
    if not found:
        return "-"
    return f"{100 * float(np.mean(found)):.1f} % ({100 * float(np.median(found)):.1f})"


def table(stacks: Sequence[Stack], results: dict[str, Result], metrics: Sequence[str]) -> str:
    """Return a table: totals before their stacks, rows that are not fitted to told apart."""
    names = [f"{metric.upper()}, {kind}" for kind in KINDS for metric in metrics]
    lines = [f"| rows | n | {' | '.join(names)} |", f"|{'---|' * (2 + len(names))}"]
    seen: set[str] = set()
    for stack in stacks:
        if stack.total and stack.total not in seen:
            seen.add(stack.total)
            parts = [results[each.label] for each in stacks if each.total == stack.total]
            lines += _with_and_without(f"**{stack.total}**", parts, metrics)
        lines += _with_and_without(stack.label, [results[stack.label]], metrics)
    return "\n".join(lines)


def _with_and_without(label: str, parts: Sequence[Result], metrics: Sequence[str]) -> list[str]:
    """Return the line of all rows, and one without those not fitted to where there are any."""
    lines = [line(label, joined(each.both() for each in parts), metrics)]
    outside = joined(each.outside for each in parts)[KINDS[0]]
    if n := len({row.experiment for row in outside}):
        same = f"the same without the {n} rows not fitted to"
        lines.append(line(same, joined(each.fitted for each in parts), metrics))
    return lines


#: Metrics of each table.
TABLES = {"serving": ("tpot", "ttft"), "latency": ("e2e",), "throughput": ("throughput",)}


def main(arguments: Sequence[str] | None = None) -> None:
    """Fit, cross-validate, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--points", type=Path, default=HERE / "measured_points.csv.gz")
    parser.add_argument("--stacks", type=Path, default=HERE / "stacks.yaml")
    parser.add_argument("--rounds", type=int, default=6, help="most Jacobians of a fit")
    parser.add_argument("--only", default="", help="stacks with a profile of this name in theirs")
    parser.add_argument("--write", type=Path, help="folder for the profiles")
    parser.add_argument("--errors", type=Path, help="folder for profiles with errors told anew")
    given = parser.parse_args(arguments)
    stacks = [
        stack
        for each in yaml.safe_load(given.stacks.read_text(encoding="utf-8"))
        for stack in [Stack.model_validate(each)]
        if any(given.only in name for name in stack.profiles.values())
    ]
    experiments = experiments_of(read_points(given.points))
    if given.errors is not None:
        for stack in stacks:
            stack.errors(experiments, given.errors)
        return
    results = {}
    today = dt.datetime.now(tz=dt.UTC).date()
    for stack in stacks:
        found = stack.fit(experiments, given.rounds)
        results[stack.label] = Result.of(found)
        metrics = TABLES.get(stack.table, TABLES["serving"])
        print(line(stack.label, results[stack.label].both(), metrics), file=sys.stderr, flush=True)
        if given.write is not None:
            for device, name in stack.profiles.items():
                made = found.profile(find_device(device), stack.engine, name, today)
                write_profile(made, given.write)
    for name, metrics in TABLES.items():
        if some := [each for each in stacks if each.table == name]:
            print(table(some, results, metrics), end="\n\n")


if __name__ == "__main__":
    main()
