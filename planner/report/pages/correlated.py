"""How the coefficients of a fit are correlated: what measurements cannot tell apart."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING

from planner.report.charts import calibration as charts
from planner.report.document import Cell, Chart, Column, Table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from planner.catalog.profile import Profile

#: Correlations below it are not listed.
LISTED = 0.6


def correlation_blocks(profile: Profile) -> Iterator[Chart | Table]:
    """Yield a chart of all correlations, and a table of the strong ones; nothing without any."""
    found = correlation(profile)
    if found is None:
        return
    names, matrix = found
    pairs = [(matrix[i][k], names[k], names[i]) for i in range(len(names)) for k in range(i)]
    strong = sorted(
        (each for each in pairs if abs(each[0]) >= LISTED), key=lambda pair: -abs(pair[0])
    )
    said = ", ".join(f"{one} and {other} {value:+.2f}" for value, one, other in strong)
    yield Chart(
        name="correlations",
        title="Correlation of the fitted coefficients",
        description=f"Discs by the size of each correlation. {said or 'None is strong'}.",
        draw=partial(charts.correlations, names=names, matrix=matrix),
        height=0.8,
    )
    if strong:
        rows = tuple((Cell(a), Cell(b), Cell(f"{v:+.2f}", v)) for v, a, b in strong)
        columns = (
            Column("coefficient", "one", numeric=False),
            Column("and", "other", numeric=False),
            Column("correlation", "correlation"),
        )
        note = "The measurements tell these apart badly: one may be larger and the other smaller."
        yield Table("correlated", f"Correlations from {LISTED} on", columns, rows, note)


def correlation(profile: Profile) -> tuple[tuple[str, ...], list[list[float]]] | None:
    """Return names and correlations of the fitted coefficients; None where not known."""
    covariance = profile.covariance
    if covariance is None or len(covariance.names) < 2:
        return None
    matrix = covariance.matrix
    spread = [matrix[k][k] for k in range(len(matrix))]
    if not all(0 < each < math.inf for each in spread):
        return None
    errors = [math.sqrt(each) for each in spread]
    found = [
        [max(-1.0, min(1.0, value / errors[i] / errors[k])) for k, value in enumerate(row)]
        for i, row in enumerate(matrix)
    ]
    return covariance.names, found
