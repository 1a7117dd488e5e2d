"""The report of a fit, in the manner of lmfit: statistics, variables, warnings, correlations."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from planner.catalog.coefficients import COEFFICIENTS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from calibrate.fit.solution import Fit
    from calibrate.fit.step_model import Floats

#: Correlations below it are not shown.
CORRELATION = 0.6


def fit_report(fit: Fit, left_out: Floats | None = None) -> str:
    """Return the report of `fit`.

    Parameters
    ----------
    fit : Fit
        What to report on.
    left_out : array, optional
        Errors of points left out, of :meth:`Fit.leave_one_out`.
    """
    return "\n".join(_lines(fit, left_out)) + "\n"


def _lines(fit: Fit, left_out: Floats | None) -> Iterator[str]:
    yield "[[Fit]]"
    deviation = np.sqrt(fit.squares / max(fit.freedom, 1))
    rows = [
        ("steps", f"{len(fit.samples)}"),
        ("coefficients", f"{len(fit.estimates)}"),
        (
            "residual standard deviation, weighted",
            f"{deviation:.2%}",
        ),
        ("Akaike, corrected", f"{fit.aicc:.1f}"),
        ("error, median absolute", f"{np.median(np.abs(fit.errors)):.2%}"),
        ("error, 95 % within", f"{np.quantile(np.abs(fit.errors), 0.95):.2%}"),
    ]
    if left_out is not None:
        rows += [
            ("left out, median absolute", f"{np.median(np.abs(left_out)):.2%}"),
            ("left out, 95 % within", f"{np.quantile(np.abs(left_out), 0.95):.2%}"),
        ]
    yield from _table(rows)
    yield "[[By kind of step]]"
    yield from _table(list(_kinds(fit, fit.errors if left_out is None else left_out)))
    yield "[[Coefficients]]"
    yield from _table([(name, _estimate(fit, name)) for name in fit.estimates])
    warnings = [
        f"{name} is {each.open}: the measurements do not determine it"
        for name, each in fit.estimates.items()
        if each.open
    ]
    warnings += [
        f"{name} is known to +/- {each.stderr / each.value:.0%} only: measure more points"
        for name, each in fit.estimates.items()
        if each.stderr is not None and each.stderr > each.value > 0 and not each.may_be_zero
    ]
    if warnings:
        yield "[[Warnings]]"
        yield from (f"    {line}" for line in warnings)
    found = list(_correlations(fit))
    if found:
        yield f"[[Correlations]] (above {CORRELATION})"
        yield from _table(found)


def _table(rows: list[tuple[str, str]]) -> Iterator[str]:
    width = max(len(name) for name, _ in rows)
    for name, text in rows:
        yield f"    {name:{width}} = {text}"


def _kinds(fit: Fit, errors: Floats) -> Iterator[tuple[str, str]]:
    """Yield the errors of prefill, decode, mixed and served steps of each variant."""
    labels = [f"{each.variant}, {each.kind}" for each in fit.samples]
    for label in dict.fromkeys(sorted(labels)):
        some = errors[[i for i, each in enumerate(labels) if each == label]]
        middle, bias = np.median(np.abs(some)), np.mean(some)
        yield label, f"{middle:.2%} median absolute, {bias:+.2%} mean, {len(some)} samples"


def _estimate(fit: Fit, name: str) -> str:
    each = fit.estimates[name]
    unit = COEFFICIENTS[name][1] if name in COEFFICIENTS else "-"
    unit = "" if unit == "-" else f" {unit}"
    bounds = f"(init {each.parameter.initial:.4g}, bounds {each.parameter.lower:.4g} to "
    bounds += f"{each.parameter.upper:.4g})"
    if each.stderr is None:
        return f"{each.value:.6g}{unit} {each.open} {bounds}"
    share = f" ({each.stderr / each.value:.1%})" if each.value else ""
    return f"{each.value:.6g} +/- {each.stderr:.2g}{unit}{share} {bounds}"


def _correlations(fit: Fit) -> Iterator[tuple[str, str]]:
    """Yield the pairs of coefficients that are correlated, strongest first."""
    errors = np.sqrt(np.diag(fit.covariance))
    if not np.all(np.isfinite(errors)) or not np.all(errors > 0):
        return
    correlation = fit.covariance / np.outer(errors, errors)
    pairs = [
        (correlation[i, k], fit.names[i], fit.names[k])
        for i in range(len(errors))
        for k in range(i)
        if abs(correlation[i, k]) >= CORRELATION
    ]
    for value, one, other in sorted(pairs, key=lambda pair: -abs(pair[0])):
        yield f"{other}, {one}", f"{value:+.3f}"
