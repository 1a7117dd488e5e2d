"""Objectives made looser, as they would be written."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

from planner.scenario.objectives import GoodputObjective
from planner.units import DURATION

if TYPE_CHECKING:
    from planner.scenario.objectives import Objective


def looser_than(objective: Objective, value: float | None, room: float) -> Objective | None:
    """Return `objective` with a bound that `value` meets with some room; None if it has none."""
    if value is None:
        return None
    if isinstance(objective, GoodputObjective):
        share = math.floor(1000 * max(0.0, 1 - (1 - value) * (1 + room) - 0.001)) / 1000
        if not 0 < share <= 1:
            return None
        head = objective.text.partition(">=")[0]
        return replace(objective, text=f"{head}>={share:g}", share=share)
    least = max(value * (1 + room), objective.seconds)
    seconds = objective.seconds if least == objective.seconds else _rounded(least)
    sign = "<" if objective.strict else "<="
    bound = DURATION.text(seconds).replace(" ", "")
    text = f"{objective.metric}:{objective.statistic}{sign}{bound}"
    return replace(objective, text=text, seconds=seconds)


def stretched(objective: GoodputObjective, factor: float) -> GoodputObjective:
    """Return `objective` with all its bounds `factor` times as long, rounded up."""
    bounds = tuple(
        replace(each, seconds=_rounded(each.seconds * factor)) for each in objective.bounds
    )
    written = ",".join(
        f"{each.metric}{'<' if each.strict else '<='}{DURATION.text(each.seconds)}".replace(" ", "")
        for each in bounds
    )
    text = f"goodput{{{written}}}>={objective.share:g}"
    return replace(objective, text=text, bounds=bounds)


def _rounded(least: float) -> float:
    """Return `least` seconds with two digits, rounded up."""
    digits = 10 ** (math.floor(math.log10(least)) - 1)
    return float(f"{math.ceil(least / digits - 1e-9) * digits:.6g}")
