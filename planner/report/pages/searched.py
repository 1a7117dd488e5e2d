"""How a plan was found: what became of the candidates, what is uncertain."""

from __future__ import annotations

from typing import TYPE_CHECKING

from planner.report.document import Cell, Column, Facts, Section, Table, Words
from planner.report.numbers import count, rate

if TYPE_CHECKING:
    from planner.report.document import Block
    from planner.report.inputs.planned import Planned

#: What uncertain inputs are called where their own name would not tell.
INPUTS = {"rate": "requests per second", "prompt": "prompt lengths", "output": "output lengths"}


def search_section(found: Planned) -> Section:
    """Return what became of the candidates, what is uncertain, and what to know beside it."""
    counts = found.candidates
    excluded = sum(counts.excluded.values())
    said = (
        f"{counts.total:,} candidates, {counts.simulated:,} of them simulated; "
        f"{excluded:,} were excluded without."
    )
    blocks: list[Block] = [Words(said), *_rounds(found)]
    if counts.excluded:
        rows = tuple((Cell(reason), Cell(f"{n:,}", n)) for reason, n in counts.excluded.items())
        columns = (Column("excluded because", "reason", numeric=False), Column("count", "count"))
        blocks.append(Table("excluded", "Excluded", columns, rows))
    if found.sensitivity:
        blocks.append(_sensitivity(found))
    facts = []
    best = found.recommendation
    if best is not None:
        facts.append(("quality", best.quality_source))
        if best.unmeasured:
            facts.append(("assumed", ", ".join(best.unmeasured)))
    facts += [("notice", each) for each in found.notices]
    if facts:
        blocks.append(Facts(tuple(facts)))
    return Section("search", "How it was found", tuple(blocks))


def _rounds(found: Planned) -> list[Words]:
    """Return on how much of the traffic candidates were simulated."""
    numbers = {k: v for k, v in found.method.items() if isinstance(v, float)}
    requests, fleets = numbers.get("requests"), numbers.get("verified")
    if not requests or not fleets:
        return []
    rounds = [numbers.get(f"{name}_window_s") for name in ("scout", "race")]
    first = [f"{rate(each)} s" for each in dict.fromkeys(rounds) if each]
    said = f"Those simulated saw {', then '.join(first)} of the traffic; " if first else ""
    times = numbers.get("replications", 1.0)
    drawn = f", drawn {rate(times)} times" if times > 1 else ""
    said += f"the best {count(fleets, 'fleet')} all of it: {count(requests, 'request')}{drawn}."
    return [Words(f"{said[:1].upper()}{said[1:]}")]


def _sensitivity(found: Planned) -> Table:
    columns = (
        Column("uncertain input", "input", numeric=False),
        Column("from", "low"),
        Column("to", "high"),
        Column("still enough", "still_enough", numeric=False),
        Column("fewer would do", "fewer_would_do", numeric=False),
        Column("cheaper would do", "cheaper_would_do", numeric=False),
        Column("changes the plan", "changes_plan", numeric=False),
    )
    rows = tuple(
        (
            Cell(INPUTS.get(each.input, each.input.replace("_", " "))),
            Cell(f"x {each.low:.3g}", each.low),
            Cell(f"x {each.high:.3g}", each.high),
            *(
                Cell("yes" if flag else "no", flag)
                for flag in (each.still_enough, each.fewer_would_do)
            ),
            Cell(each.cheaper_would_do or "no"),
            Cell("yes" if each.changes_plan else "no", each.changes_plan,
                 "unsure" if each.changes_plan else ""),
        )
        for each in found.sensitivity
    )  # fmt: skip
    note = "Each input changed by itself, by these factors."
    none = not any(each.changes_plan for each in found.sensitivity)
    title = (
        "No uncertain input changes the plan by itself" if none else "What would change the plan"
    )
    return Table("sensitivity", title, columns, rows, note, folded=none)
