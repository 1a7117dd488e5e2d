"""The report of what settings cost in quality: a row a variant, and how often it says the same."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from planner.report.charts import calibration as charts
from planner.report.document import (
    Answer,
    Cell,
    Chart,
    Column,
    Document,
    Facts,
    Section,
    Table,
    Words,
)
from planner.report.inputs.judged import Quality
from planner.report.numbers import count, percent

if TYPE_CHECKING:
    from planner.report.document import Block
    from planner.report.inputs.judged import Judged, Measured, Variant

#: What the word in the table stands for.
UNKNOWN = (
    "Unknown is no number, and never 0: the model has no trained weights here, or is an encoder, "
    "which predicts no next token."
)


def quality_document(found: Judged) -> Document:
    """Return the report of what settings cost in quality."""
    blocks: list[Block] = []
    known = [(e.variant, e.quality) for e in found.rows if isinstance(e.quality, Quality)]
    if known:
        rows = [charts.Known(n, 100 * q.agreement.value, 100 * q.agreement.stderr)
                for n, q in known]  # fmt: skip
        said = ", ".join(f"{name} {percent(q.agreement.value, 1)}" for name, q in known)
        label = "same next token as in fp32, %"
        blocks.append(Chart(
            name="agreement",
            title="How often the next token is that of fp32",
            description=f"Share of next tokens, two standard errors either way. {said}.",
            draw=partial(charts.known_numbers, found=rows, label=label, line=100.0),
            height=0.28 + 0.055 * len(rows),
        ))  # fmt: skip
    blocks.append(_table(found.rows))
    if len(known) < len(found.rows):
        blocks.append(Words(UNKNOWN))
    facts = Facts((("weights", found.about), ("judged on", found.text)))
    return Document(
        title="What settings cost in quality",
        subtitle=found.about,
        answer=_answer(known, len(found.rows)),
        sections=(
            Section("quality", "Quality", tuple(blocks)),
            Section("sources", "What was measured", (facts,)),
        ),
        tool_version="",
    )


def _answer(known: list[tuple[str, Quality]], total: int) -> Answer:
    """Return how many variants cannot be told from the model in fp32."""
    if not known:
        return Answer("The quality of no variant is known", "unsure", (UNKNOWN,))
    same = [name for name, each in known if each.ratio.low <= 1]
    said = f"{len(same)} of {count(len(known), 'variant')} no worse than fp32 as far as is known"
    sentences = []
    if same:
        sentences.append(f"Their intervals reach down to its perplexity: {', '.join(same)}.")
    if len(known) < total:
        sentences.append(f"{count(total - len(known), 'variant')} unknown.")
    return Answer(said, "good" if len(known) == total else "unsure", tuple(sentences))


def _table(variants: list[Variant]) -> Table:
    """Return one row a variant, with its intervals."""
    columns = (
        Column("variant", "variant", numeric=False),
        Column("weights, MB", "weight_bytes"),
        *(
            Column(
                title if end == "value" else f"{key} {end}", f"{key}_{end}", filed=end != "value"
            )
            for key, title in (
                ("perplexity", "perplexity"),
                ("ratio", "times that of fp32"),
                ("agreement", "same next token"),
            )
            for end in ("value", "low", "high")
        ),
        Column("tokens", "tokens"),
    )
    rows = tuple(
        (
            Cell(each.variant),
            Cell(f"{each.weight_bytes / 1e6:,.0f}", each.weight_bytes),
            *_numbers(each.quality if isinstance(each.quality, Quality) else None),
        )
        for each in variants
    )
    note = "Below each number its 95 % interval over windows of the text."
    return Table("quality", "Every variant", columns, rows, note)


def _numbers(quality: Quality | None) -> tuple[Cell, ...]:
    """Return perplexity, ratio and agreement with their ends, and how many tokens."""
    if quality is None:
        return tuple(Cell("unknown", None, "unsure") for _ in range(10))
    cells = []
    for each, share in ((quality.perplexity, False), (quality.ratio, False),
                        (quality.agreement, True)):  # fmt: skip
        cells += [Cell(_said(each, share=share), each.value)]
        cells += [Cell(f"{end:.4g}", end) for end in (each.low, each.high)]
    return (*cells, Cell(f"{quality.tokens:,}", quality.tokens))


def _said(each: Measured, *, share: bool) -> str:
    """Return a number with its interval below it."""
    value, low, high = (
        f"{100 * number:.1f}" if share else f"{number:.4g}"
        for number in (each.value, each.low, each.high)
    )
    return f"{value}{' %' if share else ''}\n{low} to {high}"
