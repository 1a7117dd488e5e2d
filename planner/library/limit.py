"""A capacity as the library hands it out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from planner.errors import InputError
from planner.library.shown import Computed
from planner.report.capacity import render_capacity
from planner.report.document import Chart

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from planner.planning.capacity_result import Capacity as Found


@dataclass(frozen=True, repr=False)
class Capacity(Computed):
    """The highest rate at which all objectives hold; made by :func:`planner.capacity`.

    Parameters
    ----------
    found : planner.planning.capacity_result.Capacity
        The capacity, its interval and what ends it.
    """

    found: Found = field(repr=False)

    in_notebook = ("capacity",)

    @property
    def value(self) -> float | None:
        """Highest rate, or number of clients, at which all hold, in :attr:`unit`; None if none."""
        return self.found.value

    @property
    def low(self) -> float | None:
        """Lower end of its interval; None where there is none, or the sample cannot bound it."""
        return self.found.interval.low

    @property
    def high(self) -> float | None:
        """Upper end of its interval; None where there is none, or the sample cannot bound it."""
        return self.found.interval.high

    @property
    def unit(self) -> str:
        """``req/s`` or ``clients``."""
        return self.found.unit

    def to_json(self) -> dict[str, Any]:
        """Return what ``planner capacity --json`` prints, as ``planner schema capacity`` says."""
        return self.found.to_json()

    def plot(self, metric: str = "ttft") -> Figure:
        """Return a latency against load: p95, p99, objectives, and the capacity.

        Parameters
        ----------
        metric : str
            ``ttft``, ``tpot`` or ``e2e``.

        Raises
        ------
        InputError
            If it has none that could be drawn.
        """
        from planner.report.charts.drawing import drawing  # noqa: PLC0415 - imports matplotlib

        charts = {each.name: each for each in self._document.blocks() if isinstance(each, Chart)}
        known = [name.removeprefix("load_") for name in charts if name.startswith("load_")]
        if metric not in known:
            raise InputError(f"metric: must be one of {', '.join(known) or 'none'}, got {metric!r}")
        return drawing(charts[f"load_{metric}"])

    def __str__(self) -> str:
        return render_capacity(self.found)
