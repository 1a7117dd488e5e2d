"""The fleet in a report: utilisation and queue over time, replicas and what happened to them."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from planner.report.charts import time as charts
from planner.report.document import Cell, Chart, Column, Facts, Section, Table
from planner.report.numbers import percent

if TYPE_CHECKING:
    from planner.report.inputs.simulated import Simulated, Timeline

#: Shares of time that are drawn, with the names that readers see.
SHARES = {"busy": "in a step", "compute": "compute", "storage": "storage", "kv_cache": "KV cache"}

#: The same shares on average, and what else is known of them.
WORDS = {
    "busy": "time in a step",
    "compute": "time in compute",
    "storage": "time in storage",
    "transfer": "time in transfer",
    "kv_cache": "KV cache in use",
}


def fleet_section(found: Simulated) -> Section | None:
    """Return how the fleet was used; None where nothing is known of it."""
    line = found.timeline
    facts = [
        (WORDS.get(name, name), percent(share))
        for name, share in found.utilisation.items()
        if share is not None
    ]
    facts += [("preemptions", f"{found.preemptions:,}")] if facts else []
    blocks: list[Facts | Chart | Table] = []
    if line is not None and len(line.time_s) > 1:
        blocks += [_utilisation(line, found), _queue(line)]
        if line.changes or len(set(line.replicas_up)) > 1:
            blocks.append(_replicas(line))
        else:  # a straight line says no more
            facts.append(("replicas, all the time", f"{line.replicas_up[0] or 0:g}"))
        if line.changes:
            blocks.append(_changes(line))
    if facts:
        blocks.insert(0, Facts(tuple(facts), large=True))
    return Section("fleet", "The fleet over time", tuple(blocks)) if blocks else None


def _utilisation(line: Timeline, found: Simulated) -> Chart:
    columns = {
        word: getattr(line, name)
        for name, word in SHARES.items()
        if found.utilisation.get(name) is not None
    }
    said = ", ".join(
        f"{SHARES[name]} {percent(share)}"
        for name, share in found.utilisation.items()
        if name in SHARES and share is not None
    )
    return Chart(
        name="utilisation",
        title="Utilisation, % of the replicas' time",
        description=f"Shares of time over the run. On average: {said}.",
        draw=partial(charts.lines, time_s=line.time_s, columns=columns, unit="%", share=True),
    )


def _queue(line: Timeline) -> Chart:
    longest = max((each or 0 for each in line.waiting), default=0)
    return Chart(
        name="queue",
        title="Requests waiting and running",
        description=f"Requests in the fleet over the run; at most {longest:,.0f} were waiting.",
        draw=partial(
            charts.lines,
            time_s=line.time_s,
            columns={"running": line.running, "waiting": line.waiting},
            unit="requests",
        ),
    )


def _replicas(line: Timeline) -> Chart:
    time, up = line.time_s, [each or 0.0 for each in line.replicas_up]
    complete = len(line.changes) == line.changes_total
    if complete:  # exact, where samples would show a change too late
        time = [line.time_s[0], *(each.at_s for each in line.changes), line.time_s[-1]]
        up = [up[0], *(float(each.replicas_up) for each in line.changes)]
        up.append(up[-1])
    changes = [(each.at_s, each.kind, float(each.replicas_up)) for each in line.changes]
    kinds = [each.kind for each in line.changes]
    said = ", ".join(f"{kinds.count(kind)} {kind}" for kind in charts.CHANGES if kind in kinds)
    first = "" if complete else f" The first {len(changes):,} of {line.changes_total:,} are marked."
    return Chart(
        name="replicas",
        title="Replicas that take requests",
        description=f"From {min(up):g} to {max(up):g} replicas; changes: {said or 'none'}.{first}",
        draw=partial(charts.replicas, time_s=time, up=up, changes=changes),
        height=0.5,
    )


def _changes(line: Timeline) -> Table:
    words = {kind: word for kind, (_, _, word) in charts.CHANGES.items()}
    rows = tuple(
        (
            Cell(f"{each.at_s:,.1f}", each.at_s),
            Cell(words[each.kind]),
            Cell(f"{each.replicas_up}", each.replicas_up),
        )
        for each in line.changes
    )
    columns = (
        Column("at, s", "at_s"),
        Column("a replica", "kind", numeric=False),
        Column("up then", "replicas_up"),
    )
    return Table("changes", "Changes of the fleet", columns, rows, folded=True)
