"""Where every number of a report comes from, and how to repeat it."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

from planner.report.document import Cell, Column, Facts, Listing, Section, Table, Words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from planner.report.document import Block, State
    from planner.report.inputs.simulated import Number, Provenance, Simulated

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


def sources_section(runs: Sequence[tuple[str, Simulated]]) -> Section:
    """Return methods, profiles, notices and the source of every number, each of them once.

    Parameters
    ----------
    runs : sequence of (str, Simulated)
        Each with its label, which may be empty where there is one.
    """
    origins = [run.provenance for _, run in runs]
    rows = [(f"method, {name}" if name else "method", run.method.statement) for name, run in runs]
    rows += _origin_rows(origins)
    rows += [
        ("notice", f"{each.count:,} {each.message}" if each.count else each.message)
        for _, run in runs
        for each in run.notices
    ]
    return _section([Facts(tuple(dict.fromkeys(rows)))], origins)


def base_section(origin: Provenance) -> Section | None:
    """Return the source of every number of a scenario before it is varied; None without any."""
    if not origin.numbers:
        return None
    said = "Of the scenario as it is: a varied value may bring others. "
    said += "planner simulate has those of a cell, its values given with --set."
    return _section([Words(said), Facts(tuple(_origin_rows([origin])))], [origin])


def _section(blocks: list[Block], origins: Sequence[Provenance]) -> Section:
    """Return a section of blocks and a table of the numbers."""
    numbers = _distinct(origins)
    tables = [numbers_table(numbers)] if numbers else []
    return Section("sources", "Where the numbers come from", (*blocks, *tables))


def _origin_rows(origins: Sequence[Provenance]) -> list[tuple[str, str]]:
    """Return the profiles in words, and how many numbers are known in which way."""
    rows = []
    for profile in (each.profile for each in origins if each.profile):
        engine = f"{profile.get('engine')}, {engine_version(profile.get('engine_version'))}"
        said = f"{profile.get('name')!r} of {profile.get('created')}, engine {engine}"
        rows.append(("profile", said))
    kinds = [each.provenance for each in _distinct(origins)]
    if kinds:
        counts = [f"{kinds.count(kind)} {_KNOWN.get(kind, kind)}" for kind in dict.fromkeys(kinds)]
        rows.append(("numbers", ", ".join(counts)))
    return rows


def _distinct(origins: Sequence[Provenance]) -> list[Number]:
    """Return every number, those that are alike in all once."""
    numbers = [number for each in origins for number in each.numbers]
    return list({tuple(number.model_dump().values()): number for number in numbers}.values())


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
