"""A fit of one engine on one device, or on devices of one generation, to measured points.

Engines differ by device generation, version and how they are served; all rows of one such stack
share their coefficients. What a stack cannot tell is not fitted: links without tensor
parallelism, experts without a mixture of experts, the host without a TTFT.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from calibrate.serving.coefficients import with_coefficients
from calibrate.serving.fit import Row, ServingFit, cross_validate, fit
from calibrate.serving.points import (
    IMPOSSIBLE,
    faster_under_more,
    implied_reading,
    implied_share,
)
from calibrate.serving.surface import SPREADS
from planner.catalog.coefficients import COEFFICIENTS, Coefficient
from planner.catalog.profile import Errors, Evidence, Profile, load_profile
from planner.errors import InputError
from planner.report.progress import part, silent
from planner.validation.points.compare import errors_of

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Mapping, Sequence

    from calibrate.serving.points import PointExperiment
    from planner.catalog.devices import Device

#: Where the search begins.
START = {
    "compute_efficiency": 0.5,
    "attention_efficiency": 0.6,
    "storage_efficiency": 0.85,
    "kv_efficiency": 0.6,
    "overlap": 4.0,
    "overhead_per_layer": 4e-5,
    "overhead_per_sequence": 1e-5,
    "link_efficiency": 0.6,
    "link_latency": 1.5e-6,
    "request_overhead": 0.02,
    "expert_compute": 0.5,
    "expert_storage": 1.0,
    "overhead_per_moe_layer": 4e-5,
}
#: Widths of the prior around it, in the logarithm: efficiencies are known to a third or so,
#: overheads of engines differ by their versions.
WIDTHS = {
    "compute_efficiency": 0.3,
    "attention_efficiency": 0.4,
    "storage_efficiency": 0.15,
    "kv_efficiency": 0.3,
    "overlap": 0.7,
    "overhead_per_layer": 0.7,
    "overhead_per_sequence": 1.0,
    "link_efficiency": 0.3,
    "link_latency": 0.5,
    "request_overhead": 1.0,
    "expert_compute": 0.5,
    "expert_storage": 0.3,
    "overhead_per_moe_layer": 0.7,
}


@dataclass(frozen=True)
class StackFit:
    """A fitted stack.

    Parameters
    ----------
    fit : ServingFit
        Coefficients, in sample.
    cross_validated : dict of str to tuple of Row
        By kind of group: all rows, each predicted by a fit without its group.
    experiments : tuple of PointExperiment
        That it was fitted to.
    left_out : tuple of str
        Rows that contradict themselves or others.
    without : tuple of str
        Models that the user left out.
    outside : dict of str to tuple of Row
        By kind of group: the rows that were not fitted to, each predicted by a fit without its
        group.
    """

    fit: ServingFit
    cross_validated: Mapping[str, tuple[Row, ...]]
    experiments: tuple[PointExperiment, ...]
    left_out: tuple[str, ...]
    without: tuple[str, ...] = ()
    outside: Mapping[str, tuple[Row, ...]] = field(default_factory=dict)

    def evidence(self) -> Evidence:
        """Return what the profile says it rests on."""
        datasets = sorted({each.groups["dataset"] for each in self.experiments})
        models = sorted({each.groups["model"] for each in self.experiments})
        out = f"; left out, since they contradict themselves or others: {', '.join(self.left_out)}"
        models_out = f"; not fitted to {', '.join(self.without)}"
        made = [each.case.deployment for each in self.experiments]
        return Evidence(
            rows=f"{len(self.experiments)} rows of {', '.join(datasets)}: {', '.join(models)}"
            + (models_out if self.without else "")
            + (out if self.left_out else ""),
            datasets=tuple(datasets),
            kernels=tuple(sorted({each.case.kernels for each in self.experiments})),
            models=tuple(sorted({each.shape.name for each in made})),
            formats=tuple(sorted({each.service.settings.weights for each in made})),
            in_sample=_errors(self.fit.rows),
            cross_validated={by: _errors(rows) for by, rows in self.cross_validated.items()},
        )

    def profile(self, device: Device, engine: str, name: str, created: dt.date) -> Profile:
        """Return the stack's profile on `device`."""
        assumed = load_profile("assumed")
        kept = {
            key: Coefficient(value=number.value, provenance="assumed", source=number.source)
            for key in COEFFICIENTS
            if key in assumed.coefficients
            for number in [assumed.coefficient(key, device)]
        }
        evidence = self.evidence()
        versions = {each.case.point.texts["engine_version"] for each in self.experiments} - {""}
        source = f"simulations fitted to {len(self.experiments)} rows; see evidence"
        own = Profile(
            schema_version=1,
            name=name,
            device=device.name,
            engine=engine,
            engine_version=", ".join(sorted(versions)) or "not stated",
            created=created,
            coefficients={**kept, "overhead_fixed": _NONE},
            evidence=evidence,
        )
        return self.fit.put_into(own, source)


_NONE = Coefficient(
    value=0.0, provenance="computed", source="all of it counted by layer, overhead_per_layer"
)


def _errors(rows: Sequence[Row]) -> dict[str, Errors]:
    return {
        metric: Errors(
            n=e.n, mape=round(e.mape, 4), median_ape=round(e.median_ape, 4), bias=round(e.bias, 4)
        )
        for metric, e in errors_of(rows).items()
    }


def fit_stack(
    experiments: Sequence[PointExperiment],
    by: Sequence[str] = ("deployment",),
    *,
    folds: int = 4,
    rounds: int = 10,
    values: Mapping[str, float] | None = None,
    also: Sequence[PointExperiment] = (),
    found: Mapping[str, float] | None = None,
    progress: Callable[[float], None] = silent,
) -> StackFit:
    """Fit one stack, and cross-validate it.

    Parameters
    ----------
    experiments : sequence of PointExperiment
        All of one engine, on devices that share its coefficients.
    by : sequence of str
        Kinds of group to leave out; those with one group only are passed over.
    folds : int
        Lots in which groups are left out.
    rounds : int
        Most Jacobians of a fit.
    values : mapping of str to float, optional
        Where to begin in place of :data:`START`.
    also : sequence of PointExperiment
        Rows to predict out of sample and never to fit to, beside those that contradict others.
    found : mapping of str to float, optional
        Coefficients of an earlier fit, to tell anew how sure they are.
    progress : callable
        Called with the share done of the work that it may take.

    Raises
    ------
    InputError
        If there are no rows, or fewer metrics than coefficients.
    """
    faster = faster_under_more(experiments)
    sound = [
        each
        for each in experiments
        if implied_share(each.case) <= IMPOSSIBLE
        and implied_reading(each.case) <= 1
        and each.name not in faster
    ]
    if not sound:
        raise InputError("must have rows of that device and engine to fit to, got none")
    start = with_coefficients(load_profile("assumed"), {"overhead_fixed": _NONE})
    first = {name: (values or START).get(name, START[name]) for name in coefficients_of(sound)}
    kinds = [kind for kind in by if len({each.groups[kind] for each in sound}) > 1]
    begin = 1 / (1 + folds * len(kinds))  # a fit without some groups takes as long as the whole
    done = fit(
        sound, start, values=first, widths=WIDTHS, rounds=rounds, cluster="deployment",
        spreads=SPREADS, found=found, progress=part(progress, 0.0, begin),
    )  # fmt: skip
    names = {each.name for each in sound}
    unfit = [each for each in experiments if each.name not in names]
    checked, outside = {}, {}
    share = (1 - begin) / max(len(kinds), 1)
    for k, kind in enumerate(kinds):
        tell = part(progress, begin + k * share, begin + (k + 1) * share)
        lots = cross_validate(
            sound, done, kind, rounds=rounds, folds=folds, also=[*unfit, *also],
            spreads=SPREADS, progress=tell,
        )  # fmt: skip
        rows = [row for group in lots.values() for row in group]
        checked[kind] = tuple(row for row in rows if row.experiment in names)
        outside[kind] = tuple(row for row in rows if row.experiment not in names)
    out = tuple(each.name for each in unfit)
    return StackFit(done, checked, tuple(sound), out, outside=outside)


def coefficients_of(experiments: Sequence[PointExperiment]) -> list[str]:
    """Return the coefficients that these experiments can tell."""
    names = dict.fromkeys(START)
    made = [each.case.deployment for each in experiments]
    if all(each.fleet.tensor_parallel == 1 for each in made):
        del names["link_efficiency"], names["link_latency"]
    if not any(each.shape.n_experts for each in made):
        del names["expert_compute"], names["expert_storage"], names["overhead_per_moe_layer"]
    if not any("ttft" in each.measured for each in experiments):
        del names["request_overhead"]
    return list(names)
