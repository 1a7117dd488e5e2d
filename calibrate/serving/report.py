"""What a fit to measured points found, as text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from planner.catalog.coefficients import COEFFICIENTS
from planner.validation.points.compare import errors_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from calibrate.serving.fit import Row
    from calibrate.serving.stack import StackFit


def stack_text(found: StackFit) -> str:
    """Return coefficients with standard errors, errors in and out of sample, and warnings."""
    fitted = found.fit
    lines = [f"{found.evidence().rows}", ""]
    lines += [f"{'coefficient':24}{'value':>12}{'stderr':>12}  unit"]
    for name, value in fitted.values.items():
        error = fitted.stderr.get(name)
        shown = "at bound" if error is None else f"{error:.2g}"
        lines.append(f"{name:24}{value:12.4g}{shown:>12}  {COEFFICIENTS[name][1]}")
    lines += ["", f"{'errors':32}{'metric':12}{'n':>6}{'MAPE':>9}{'median':>9}{'bias':>9}"]
    lines += _errors("in sample", fitted.rows)
    for kind, rows in found.cross_validated.items():
        lines += _errors(f"each {kind} left out", rows)
    if fitted.at_bound:
        lines += [
            "",
            f"At a bound: {', '.join(fitted.at_bound)}.",
            "These results do not tell it, or a term of the step is missing.",
        ]
    if not found.cross_validated:
        lines += ["", "One group only: nothing to cross-validate with."]
    return "\n".join(lines) + "\n"


def _errors(label: str, rows: Sequence[Row]) -> list[str]:
    return [
        f"{label:32}{metric:12}{each.n:6}{100 * each.mape:7.1f} %{100 * each.median_ape:7.1f} %"
        f"{100 * each.bias:+7.1f} %"
        for metric, each in errors_of(rows).items()
    ]
