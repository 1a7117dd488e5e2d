"""Where every number of a report comes from, and how to repeat it."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

from planner.report.document import Cell, Column, Facts, Listing, Section, Table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from planner.report.document import Block, State
    from planner.report.inputs.simulated import Number, Simulated

#: Where a number may come from, and how far to trust it.
TRUST: dict[str, State] = {"assumed": "unsure", "memory": "unsure"}
#: How many numbers are known so, where the word alone would not read well after a count.
_KNOWN = {"datasheet": "from datasheets", "memory": "from memory"}
#: Longest scenario that a page shows [characters].
LONGEST_LISTING = 100_000


def numbers_table(numbers: Sequence[Number]) -> Table:
    """Return the numbers that went in, each with its source."""
    rows = tuple(
        (
            Cell(each.name),
            Cell(f"{each.value:.6g} {each.unit}".removesuffix(" -"), each.value),
            Cell(each.provenance, each.provenance, TRUST.get(each.provenance, "")),
            Cell(each.source),
        )
        for each in numbers
    )
    columns = (
        Column("number", "number", numeric=False),
        Column("value", "value"),
        Column("how it is known", "provenance", numeric=False),
        Column("source", "source", numeric=False),
    )
    return Table("sources", f"The {len(rows)} numbers behind it", columns, rows, folded=True)


def engine_version(version: object) -> str:
    """Return the version of an engine in words."""
    if version is None or version == "any":
        return "any version"
    return f"version {version}"


def sources_section(found: Simulated) -> Section:
    """Return profile, method, notices and the source of every number."""
    rows = [("method", found.method.statement)]
    profile = found.provenance.profile
    if profile:
        engine = f"{profile.get('engine')}, {engine_version(profile.get('engine_version'))}"
        said = f"{profile.get('name')!r} of {profile.get('created')}, engine {engine}"
        rows.append(("profile", said))
    numbers = found.provenance.numbers
    if numbers:
        kinds = [each.provenance for each in numbers]
        counts = [f"{kinds.count(kind)} {_KNOWN.get(kind, kind)}" for kind in dict.fromkeys(kinds)]
        rows.append(("numbers", ", ".join(counts)))
    rows += [
        ("notice", f"{each.count:,} {each.message}" if each.count else each.message)
        for each in found.notices
    ]
    blocks: list[Block] = [Facts(tuple(rows))]
    if numbers:
        blocks.append(numbers_table(numbers))
    return Section("sources", "Where the numbers come from", tuple(blocks))


def repeat_section(found: Simulated) -> Section:
    """Return the command, seed and scenario that give the same result again."""
    blocks: tuple[Block, ...] = (
        Listing("Command", found.command or "not recorded"),
        Facts((("seed", str(found.seed)), ("planner", found.tool_version))),
        scenario_listing(found.scenario),
    )
    return Section("repeat", "Repeat it", blocks)


def scenario_listing(scenario: dict[str, Any], title: str = "Scenario, resolved") -> Listing:
    """Return a scenario as YAML."""
    from ruamel.yaml import YAML  # noqa: PLC0415 - start-up

    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = False
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    out = io.StringIO()
    yaml.dump(scenario, out)
    text = out.getvalue()
    if len(text) > LONGEST_LISTING:
        text = f"{text[:LONGEST_LISTING]}\n... {len(text) - LONGEST_LISTING:,} characters more"
    return Listing(title, text, folded=True)


def command_section(command: str, tool_version: str) -> Section:
    """Return the command that made a result, and by which version."""
    listing = Listing("Command", command or "not recorded")
    return Section("repeat", "Repeat it", (listing, Facts((("planner", tool_version),))))
