"""Plots of a fit's residuals."""

from __future__ import annotations

from typing import IO, TYPE_CHECKING

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from calibrate.fit.solution import Fit
    from calibrate.fit.step_model import Floats, Sample

#: What errors are drawn over: label and value of a sample.
AXES: tuple[tuple[str, Callable[[Sample], float]], ...] = (
    ("measured step [ms]", lambda each: each.seconds * 1e3),
    ("tokens in the step", lambda each: each.tokens),
    ("sequences in the step", lambda each: each.sequences),
    ("tokens of context", lambda each: each.context),
)


def plot_residuals(fit: Fit, path: Path | IO[bytes], left_out: Floats | None = None) -> None:
    """Draw relative errors over step time, tokens, sequences and context, into a PNG at `path`.

    Parameters
    ----------
    fit : Fit
        What to draw.
    path : Path or binary file
        Where to.
    left_out : array, optional
        Errors of points left out, drawn in place of those of the fit.
    """
    errors = 100 * (fit.errors if left_out is None else left_out)
    figure = Figure(figsize=(10, 7), layout="constrained")
    axes = figure.subplots(2, 2, sharey=True)
    variants = list(dict.fromkeys(each.variant for each in fit.samples))
    colours = mpl.colormaps["tab10" if len(variants) <= 10 else "tab20"]
    markers = {"prefill": "o", "decode": "^", "mixed": "s", "served": "x"}
    for axis, (label, value) in zip(axes.flat, AXES, strict=True):
        axis.axhspan(-10, 10, color="0.93", zorder=0)
        axis.axhline(0, color="0.6", linewidth=0.8)
        for number, variant in enumerate(variants):
            for kind, marker in markers.items():
                where = [
                    i
                    for i, each in enumerate(fit.samples)
                    if (each.variant, each.kind) == (variant, kind)
                ]
                axis.scatter(
                    [value(fit.samples[i]) for i in where],
                    errors[np.array(where, dtype=int)],
                    color=colours(number),
                    marker=marker,
                    s=16,
                    alpha=0.7,
                )
        axis.set_xscale("log")
        axis.set_xlabel(label)
    for axis in axes[:, 0]:
        axis.set_ylabel("predicted / measured - 1 [%]")
    handles = [
        axes[0, 0].scatter([], [], color=colours(number), marker="o", label=variant)
        for number, variant in enumerate(variants)
    ]
    handles += [
        axes[0, 0].scatter([], [], color="0.4", marker=marker, label=kind)
        for kind, marker in markers.items()
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=7, fontsize="small")
    what = "fitted" if left_out is None else "each left out of the fit"
    figure.suptitle(f"{fit.shape.name} on {fit.device.name}: {len(errors)} steps, {what}")
    figure.savefig(path, dpi=110, metadata={"Software": None})
