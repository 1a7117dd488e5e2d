"""The report of one simulation: whether objectives hold, latencies, their parts, the fleet."""

from __future__ import annotations

from typing import TYPE_CHECKING

from planner.report.document import Answer, Document, Facts, Section, Table
from planner.report.numbers import count, milliseconds, percent, rate
from planner.report.pages.fleet import fleet_section
from planner.report.pages.latency import latency_section, parts_section
from planner.report.pages.objectives import margin, objectives_table
from planner.report.pages.sources import repeat_section, sources_section

if TYPE_CHECKING:
    from collections.abc import Iterator

    from planner.report.inputs.simulated import Simulated


def simulate_document(found: Simulated) -> Document:
    """Return the report of one simulation."""
    latency = latency_section([("all requests", found)], found.outcomes(), found.classes or {})
    sections = [Section("answer", _first_title(found), tuple(_first(found))), latency]
    parts = parts_section(found)
    fleet = fleet_section(found)
    sections += [each for each in (parts, fleet) if each is not None]
    sections += [sources_section([("", found)]), repeat_section(found)]
    return Document(
        title=found.name,
        subtitle=served_by(found),
        answer=answer(found),
        sections=tuple(sections),
        tool_version=found.tool_version,
    )


def _first_title(found: Simulated) -> str:
    """Return what the first section has: not every scenario has objectives, or prices."""
    cost = "and cost" if found.cost.get("usd_per_hour") is not None else "and load"
    return f"{'Objectives' if found.outcomes() else 'Traffic'} {cost}"


def answer(found: Simulated) -> Answer:
    """Return whether every objective holds, in a line, and what is nearest to failing."""
    if not found.steady:
        return Answer("No steady state: the queue grows without end", "bad", (_overload(found),))
    outcomes = found.outcomes()
    if not outcomes:
        return Answer("No objective was set", "", (_tightest_words(found),))
    missed = [each for _, each in outcomes if not each.met]
    if missed:
        said = f"{len(missed)} of {count(len(outcomes), 'objective')} missed"
        names = ", ".join(each.objective for each in missed)
        return Answer(said, "bad", (f"Missed: {names}.", _tightest_words(found)))
    unsure = [each for _, each in outcomes if not each.sure]
    sentences = [_tightest_words(found)]
    if unsure:
        names = ", ".join(each.objective for each in unsure)
        sentences.append(f"The interval reaches over the bound, or has no end, for {names}.")
    few = {1: "The objective is met", 2: "Both objectives are met"}
    said = few.get(len(outcomes), f"All {len(outcomes)} objectives met")
    return Answer(said, "unsure" if unsure else "good", tuple(sentences))


def served_by(found: Simulated) -> str:
    """Return what served the requests, as far as the scenario says."""
    service, fleet = found.scenario.get("service"), found.scenario.get("fleet")
    if not isinstance(service, dict):
        return ""
    if not isinstance(fleet, dict) or service.get("kind") == "stages":
        stages = service.get("stages")
        names = [str(each.get("name")) for each in stages or () if isinstance(each, dict)]
        return f"stages: {', '.join(names)}" if names else ""
    said = f"{_name(service.get('model'))} on {fleet.get('replicas', 1)} x "
    said += _name(fleet.get("device"))
    for key, short in (("tensor_parallel", "TP"), ("pipeline_parallel", "PP")):
        if fleet.get(key, 1) != 1:
            said += f" {short}{fleet[key]}"
    settings = service.get("settings")
    if isinstance(settings, dict):
        said += f", weights {settings.get('weights')}, KV {settings.get('kv_cache')}"
    return said


def _name(value: object) -> str:
    """Return the name of a model or device, which may be described in place."""
    return str(value.get("name", "?")) if isinstance(value, dict) else str(value)


def _overload(found: Simulated) -> str:
    offered, saturation = found.offered_requests_per_s, found.saturation_requests_per_s
    if offered is None or saturation is None or offered <= saturation:
        left = found.requests.get("waiting", 0) + found.requests.get("running", 0)
        return f"{count(left, 'request')} never finished: the fleet was lost."
    return (
        f"{rate(offered)} requests per second arrive, and the fleet sustains {rate(saturation)}. "
        "Latencies that would depend on how long one waits are not given."
    )


def _tightest_words(found: Simulated) -> str:
    """Return how much of what the fleet sustains is in use, and the objective nearest its bound."""
    words = []
    offered, saturation = found.offered_requests_per_s, found.saturation_requests_per_s
    if offered is not None and saturation:
        words.append(
            f"{rate(offered)} requests per second arrive, {percent(offered / saturation)} of the "
            f"{rate(saturation)} that the fleet sustains."
        )
    known = [(margin(each), each) for _, each in found.outcomes()]
    gaps = [(gap, each) for gap, each in known if gap is not None]
    if gaps:
        gap, objective = min(gaps, key=lambda each: each[0].share)
        words.append(f"Nearest to its bound: {objective.objective}, {gap.text}.")
    return " ".join(words)


def _first(found: Simulated) -> Iterator[Facts | Table]:
    """Yield what is seen first: cost and load, then every objective."""
    cost, through = found.cost, found.throughput
    hourly, per_million = cost.get("usd_per_hour"), cost.get("usd_per_million_output_tokens")
    rows = [("requests", f"{found.requests.get('arrived', 0):,}")]
    if found.offered_requests_per_s is not None:
        rows.append(("arrive per second", rate(found.offered_requests_per_s)))
    if through.get("output_tokens_per_s") is not None:
        rows.append(("output tokens per second", rate(through["output_tokens_per_s"])))
    if hourly is not None:
        rows.append(("cost per hour", f"${hourly:,.2f}"))
    if per_million is not None:
        rows.append(("per million output tokens", f"${per_million:,.2f}"))
    for metric in ("ttft", "tpot", "e2e"):
        value = found.value(metric, "p95")
        if value is not None:
            text = milliseconds(value)
            rows.append((f"{metric} p95", text if text.endswith("s") else f"{text} ms"))
    yield Facts(tuple(rows), large=True)
    table = objectives_table(found)
    if table is not None:
        yield table
