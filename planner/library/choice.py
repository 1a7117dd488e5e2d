"""A plan as the library hands it out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from planner.errors import InputError
from planner.library.shown import Computed
from planner.report.document import Chart
from planner.report.pages.options import FRONT
from planner.report.plan import screen_of_plan
from planner.report.screen import render_screen

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from planner.planning.option import Option
    from planner.planning.result import Plan as Found


@dataclass(frozen=True, repr=False)
class Plan(Computed):
    """The cheapest fleet that meets the objectives, or why there is none; see :func:`planner.plan`.

    Parameters
    ----------
    found : planner.planning.result.Plan
        The recommendation, what it was chosen from, and why.
    """

    found: Found

    in_notebook = ("plan", "choices")

    @property
    def feasible(self) -> bool:
        """Whether anything meets the constraints with the probability that was asked for."""
        return self.found.recommendation is not None

    @property
    def recommendation(self) -> dict[str, Any] | None:
        """What to buy, as the JSON has it: ``pools``, ``usd_per_hour``, ``probability``, ..."""
        found = self.found.recommendation
        return None if found is None else found.to_json()

    def to_json(self) -> dict[str, Any]:
        """Return what ``planner plan --json`` prints, as ``planner schema plan`` says."""
        return self.found.to_json()

    def to_frame(self) -> pd.DataFrame:
        """Return a row a fleet: the plan, the alternatives, the front, today's.

        Columns are ``kind``, ``device``, ``replicas`` (spares included), ``tensor_parallel``,
        ``pipeline_parallel``, ``weights``, ``kv_cache``, ``devices``, ``usd_per_hour``,
        ``quality_loss`` and ``probability``; NaN where a value is not known.
        """
        import pandas as pd  # noqa: PLC0415 - takes half a second

        found, best = self.found, self.found.recommendation
        rows = [("plan", best.option)] if best is not None else []
        rows += [("alternative", each) for each in found.alternatives]
        rows += [("front", each) for each in found.pareto]
        rows += [("today", found.today)] if found.today is not None else []
        frame = pd.DataFrame([_row(kind, each) for kind, each in rows], columns=_COLUMNS)
        return frame.astype(dict.fromkeys(_COLUMNS[-3:], float))

    def plot(self) -> Figure:
        """Return cost against the tightest objective, every fleet that is listed.

        Raises
        ------
        InputError
            If there are not two fleets to compare.
        """
        from planner.report.charts.drawing import drawing  # noqa: PLC0415 - imports matplotlib

        for each in self._document.blocks():
            if isinstance(each, Chart) and each.name == FRONT:
                return drawing(each)
        raise InputError("a plan must list two fleets of different cost to be drawn")

    def __str__(self) -> str:
        return render_screen(screen_of_plan(self.found))


_COLUMNS = [
    "kind", "device", "replicas", "tensor_parallel", "pipeline_parallel", "weights", "kv_cache",
    "devices", "usd_per_hour", "quality_loss", "probability",
]  # fmt: skip


def _row(kind: str, option: Option) -> tuple[object, ...]:
    one = option.candidate
    return (
        kind, one.device_name, option.replicas + option.spares, one.tensor_parallel,
        one.pipeline_parallel, one.settings.weights, one.settings.kv_cache, option.devices,
        option.usd_per_hour, option.quality.loss, option.probability,
    )  # fmt: skip
