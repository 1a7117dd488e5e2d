"""Quality over strength of compression: every variant on one text, as JSON, table and plot."""

from __future__ import annotations

import copy
import json
from dataclasses import asdict, dataclass
from typing import IO, TYPE_CHECKING, Any

from calibrate.compression.base import weight_bytes
from calibrate.compression.variant import parse_variant
from calibrate.models.load import load_model
from calibrate.quality.perplexity import TEXT, UNKNOWN, Estimate, Quality, quality, reference

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from matplotlib.axes import Axes

    from calibrate.models.loaded import LoadedModel

#: What is studied by default; the reference is the model in fp32.
STUDIED = (
    "fp32", "bf16", "fp16", "int8", "int8-bf16", "fp8", "int4", "2:4",
    *(f"unstructured:{rate}" for rate in (0.1, 0.2, 0.3, 0.4, 0.5, 0.6)),
    *(f"random:{rate}" for rate in (0.01, 0.03, 0.1, 0.2)),
    *(f"structured:{rate}" for rate in (0.05, 0.1, 0.25, 0.5)),
)  # fmt: skip
#: Patterns that are drawn as lines over the rate, and how.
_LINES = {
    "random": ("any weights", "o", "#999999"),
    "unstructured": ("smallest weights", "s", "#0072b2"),
    "structured": ("heads and channels", "D", "#d55e00"),
}


@dataclass(frozen=True)
class Row:
    """Quality of one variant.

    Parameters
    ----------
    variant : str
        Its name.
    weight_bytes : int
        Memory of its weights as they are here. [B]
    quality : Quality, optional
        None where it is unknown.
    """

    variant: str
    weight_bytes: int
    quality: Quality | None


@dataclass(frozen=True)
class Study:
    """Quality of variants of one model.

    Parameters
    ----------
    about : str
        Where the model's weights come from.
    text : str
        What it was judged on.
    rows : tuple of Row
        In the order measured.
    """

    about: str
    text: str
    rows: tuple[Row, ...]

    def json(self) -> str:
        """Return it as JSON; unknown quality is the word ``unknown``."""
        content = asdict(self)
        for row in content["rows"]:
            row["quality"] = UNKNOWN if row["quality"] is None else row["quality"]
        return json.dumps({"schema_version": 1, **content}, indent=1) + "\n"

    def table(self) -> str:
        """Return it as a table in Markdown."""
        lines = [
            "| variant | weights | perplexity (95 %) | over fp32 (95 %) | same next token |",
            "|---|---:|---:|---:|---:|",
        ]
        for row in self.rows:
            size = f"{row.weight_bytes / 1e6:.0f} MB"
            cells = [UNKNOWN] * 3
            if row.quality is not None:
                found = row.quality
                cells = [
                    f"{_short(each.value)} ({_short(each.low)} to {_short(each.high)})"
                    for each in (found.perplexity, found.ratio)
                ]
                cells.append(f"{100 * found.agreement.value:.1f} %")
            lines.append(f"| `{row.variant}` | {size} | {' | '.join(cells)} |")
        return "\n".join(lines) + "\n"


def study(
    source: str | Path,
    variants: Iterable[str] = STUDIED,
    device: str | None = None,
    *,
    limit: int | None = None,
    tell: Callable[[str], None] = lambda _: None,
) -> Study:
    """Return the quality of `variants` of the model from `source`, compared with it in fp32.

    Parameters
    ----------
    source : str or Path
        See :func:`calibrate.models.load.load_model`.
    variants : iterable of str
        Names, see :func:`calibrate.compression.variant.parse_variant`.
    device : str, optional
        Where it runs.
    limit : int, optional
        Windows of the text that are looked at; all by default.
    tell : callable
        Is told the name of each variant before it is measured.

    Raises
    ------
    InputError
        If there is no such model or variant, or a variant cannot be made.
    """
    parsed = [parse_variant(each) for each in variants]
    plain = load_model(source, "fp32", device)
    tell("reference")
    against = reference(plain, limit=limit)
    rows = []
    for variant in parsed:
        tell(variant.name)
        changed = variant.apply(_copy(plain))
        rows.append(Row(variant.name, weight_bytes(changed.model), quality(changed, against)))
    return Study(plain.about, TEXT, tuple(rows))


def _copy(loaded: LoadedModel) -> LoadedModel:
    return loaded.with_model(copy.deepcopy(loaded.model), loaded.shape, loaded.dtype)


def plot(found: Study, path: Path | IO[bytes]) -> None:
    """Draw perplexity over the rate of pruning, and beside it what data types cost, to `path`.

    Rows without a known quality are left out.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415 - slow to import
    from matplotlib.figure import Figure  # noqa: PLC0415

    figure = Figure(figsize=(9, 4), layout="constrained")
    FigureCanvasAgg(figure)
    pruned, other = figure.subplots(1, 2, width_ratios=(3, 2))
    known = {row.variant: row.quality for row in found.rows if row.quality is not None}
    _draw_pruning(pruned, known)
    names = [name for name in known if ":" not in name]
    ratios = [known[name].ratio for name in names]
    _draw(other, list(range(len(names))), ratios, fmt="o", color="#009e73")
    other.axhline(1, color="#999999", linewidth=1)
    other.set_xticks(range(len(names)), names, rotation=45, ha="right")
    other.set_ylabel("perplexity over fp32, 95 % interval")
    other.set_title("data types")
    for axes in (pruned, other):
        axes.grid(visible=True, which="both", alpha=0.3)
    figure.suptitle(found.about, fontsize=8)
    figure.savefig(path, dpi=120, metadata={"Software": None})


def _draw_pruning(axes: Axes, known: dict[str, Quality]) -> None:
    """Draw a line for each pattern of pruning, and a point for 2:4."""
    start = known.get("bf16")
    for pattern, (label, marker, colour) in _LINES.items():
        points = [(0.0, start.perplexity)] if start is not None else []
        points += [
            (float(name.partition(":")[2]), each.perplexity)
            for name, each in known.items()
            if name.startswith(f"{pattern}:")
        ]
        points.sort(key=lambda point: point[0])
        rates = [100 * rate for rate, _ in points]
        values = [each for _, each in points]
        _draw(axes, rates, values, fmt=f"{marker}-", color=colour, label=label)
    if "2:4" in known:
        value = known["2:4"].perplexity
        _draw(axes, [50], [value], fmt="*", markersize=12, color="#009e73", label="2:4")
    axes.set_yscale("log")
    axes.set_xlabel("pruned [%]")
    axes.set_ylabel("perplexity, 95 % interval")
    axes.set_title("pruning without training afterwards")
    axes.legend(loc="upper left", bbox_to_anchor=(0.42, 0.82), fontsize=8)


def _draw(
    axes: Axes,
    where: list[float] | list[int],
    values: list[Estimate],
    **look: Any,  # noqa: ANN401 - of matplotlib
) -> None:
    """Draw estimates with their intervals."""
    below = [each.value - each.low for each in values]
    above = [each.high - each.value for each in values]
    axes.errorbar(where, [each.value for each in values], yerr=(below, above), capsize=3, **look)


def _short(value: float) -> str:
    """Return `value` with four digits, without an exponent."""
    return f"{value:.4g}" if value < 1e4 else f"{value:,.0f}"
