"""Why a plan is what it is: options, what binds, headroom, sensitivity, an outage."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from planner.catalog.profile import COEFFICIENTS
from planner.planning.evaluation import PLAIN, Variation, combined
from planner.planning.result import Influence, Option, Outage, Outcome
from planner.planning.search import Verified, replicate
from planner.planning.sizing import smallest
from planner.planning.uncertainty import errors
from planner.results.intervals import student_t
from planner.scenario.objectives import LatencyObjective

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from planner.planning.candidate import Candidate
    from planner.planning.evaluation import Evaluator, Found
    from planner.planning.search import Search
    from planner.planning.sizing import Entry
    from planner.planning.workload import Level
    from planner.results.summary import ClassResult, Result

#: Change of an input whose error nobody stated, and standard errors of one that has some.
CHANGE, STANDARD_ERRORS = 0.1, 2.0
#: Share of the KV blocks in use from which on waiting is for them.
KV_FULL = 0.9
#: Most that headroom is looked for, in per cent.
MOST_HEADROOM = 400


def outcomes(
    search: Search, found: Found, each: Sequence[float], spread: Sequence[Found] = ()
) -> tuple[Outcome, ...]:
    """Return each objective with its value, its interval over replications, its probability."""
    workload = search.runner.setup.workload
    names = [one.name for one in workload.scenario.traffic.request_classes]
    rows = []
    for k, (klass, objective) in enumerate(workload.objectives):
        values = [one.values[k] for one in spread]
        known = [value for value in values if value is not None]
        ends = student_t(known, 0.95) if len(known) == len(values) and len(known) > 1 else None
        bound = objective.seconds if isinstance(objective, LatencyObjective) else objective.share
        rows.append(
            Outcome(
                objective=objective.text,
                class_name=None if klass is None else names[klass],
                value=found.values[k],
                low=ends.low if ends else None,
                high=ends.high if ends else None,
                bound=bound,
                probability=each[k],
            )
        )
    return tuple(rows)


def option(search: Search, verified: Verified, trade: str = "") -> Option:
    """Return a verified fleet as it is reported."""
    entry, replicas = verified.entry, verified.replicas
    spares = search.constraints.spares_for(replicas)
    cost = entry.price * (replicas + spares)
    tokens = verified.found.output_tokens_per_s * 3600
    return Option(
        candidate=entry.candidate,
        replicas=replicas,
        spares=spares,
        usd_per_hour=cost,
        usd_per_million_output_tokens=cost / tokens * 1e6 if tokens else None,
        watts=None if entry.watts is None else entry.watts * (replicas + spares),
        quality=entry.quality,
        probability=verified.probability,
        outcomes=outcomes(search, verified.found, verified.outcomes, verified.spread),
        unmeasured=entry.unmeasured,
        trade=trade,
    )


def trade(search: Search, one: Verified, best: Verified) -> str:
    """Return what `one` gains and gives up against `best`, in one line."""
    cost, base = (search.cost(v.entry, v.replicas) for v in (one, best))
    words = [f"{'+' if cost >= base else '-'}${abs(cost - base):,.2f}/h"]
    if one.probability < search.constraints.confidence:
        worst = min(range(len(one.outcomes)), key=lambda k: one.outcomes[k])
        objective = search.runner.setup.workload.objectives[worst][1]
        words.append(f"misses {objective.text} (P {one.probability:.2f})")
    mine, theirs = one.entry.quality.loss, best.entry.quality.loss
    if mine is None:
        words.append("quality not known")
    elif theirs is None:
        words.append(f"quality known: {100 * mine:.1f} % lost")
    elif mine != theirs:
        words.append(f"{100 * (mine - theirs):+.1f} points of quality lost")
    here, there = _tightest(search, one), _tightest(search, best)
    if one.probability >= search.constraints.confidence and here is not None and there is not None:
        words.append(f"tightest margin {100 * here:.0f} % for {100 * there:.0f} %")
    return ", ".join(words)


def _tightest(search: Search, one: Verified) -> float | None:
    found = outcomes(search, one.found, one.outcomes)
    margins = [each.margin for each in found]
    known = [each for each in margins if each is not None]
    return min(known) if len(known) == len(margins) else None


def pareto(search: Search, options: Sequence[Verified]) -> list[Verified]:
    """Return those that no other beats in cost, quality and margin at once."""

    def worth(one: Verified) -> tuple[float, float, float]:
        loss = one.entry.quality.loss
        margin = _tightest(search, one)
        return (
            search.cost(one.entry, one.replicas),
            float("inf") if loss is None else loss,
            -(margin if margin is not None else float("-inf")),
        )

    rows = [(one, worth(one)) for one in options]
    return [
        one
        for one, mine in rows
        if not any(
            all(a <= b for a, b in zip(other, mine, strict=True)) and other != mine
            for _, other in rows
        )
    ]


def binding(search: Search, best: Verified, result: Result) -> tuple[int, str]:
    """Return which objective breaks first, and the part of the latency that does it.

    The objective that one replica fewer would miss, where that was simulated; else the one with
    the least margin. Its largest part at the percentile it speaks of, or ``kv`` where requests
    wait for KV blocks.
    """
    fewer = next(
        (
            each
            for each in search.missed
            if each.entry == best.entry and each.replicas == best.replicas - 1
        ),
        None,
    )
    if fewer is not None and any(fewer.outcomes):
        at = min(range(len(fewer.outcomes)), key=lambda k: fewer.outcomes[k])
    else:
        margins = [each.margin for each in outcomes(search, best.found, best.outcomes)]
        at = min(range(len(margins)), key=lambda k: -1.0 if margins[k] is None else margins[k])  # type: ignore[return-value, arg-type]
    part = _part(search, at, result)
    seen = fewer or best
    if part == "wait" and (seen.found.kv_cache > KV_FULL or seen.found.preemptions):
        return at, "kv"
    return at, part


def _part(search: Search, at: int, result: Result) -> str:
    """Return the largest part of the latency that an objective bounds."""
    workload = search.runner.setup.workload
    klass, objective = workload.objectives[at]
    whole: ClassResult = result.whole
    if klass is not None and result.classes:
        names = [each.name for each in workload.scenario.traffic.request_classes]
        whole = result.classes[names[klass]]
    parts = whole.metrics.parts
    if isinstance(objective, LatencyObjective):
        metric, statistic = objective.metric, objective.statistic
    else:
        metric, statistic = objective.bounds[0].metric, "p95"
    if metric == "wait":
        return "wait"
    if metric in parts:
        found = dict(parts[metric].get(statistic) or parts[metric]["p95"])
    else:  # between tokens: what comes after the first one
        first, last = parts["ttft"]["mean"], parts["e2e"]["mean"]
        found = {name: (last[name] or 0.0) - (first[name] or 0.0) for name in last}
    known = {name: value for name, value in found.items() if value is not None}
    return max(known, key=lambda name: known[name]) if known else "wait"


def headroom(search: Search, best: Verified) -> float | None:
    """Return by how much the traffic may grow before an objective is likely to be missed."""
    rate = search.runner.setup.workload.offered_per_s
    if rate is None:
        return None
    row = (best.entry.candidate, best.replicas)
    found: float = next(iter(search.runner.map(_headroom, [(row[0], (*row, search.levels[1]))])))
    return found


def _headroom(evaluator: Evaluator, candidate: Candidate, replicas: int, level: Level) -> float:
    rate = evaluator.workload.offered_per_s or 0.0
    steady = evaluator.saturation(candidate) * replicas

    def breaks(per_cent: int) -> bool:
        factor = 1 + per_cent / 100
        if rate * factor > steady:
            return True
        varied = Variation(rate=factor)
        return not evaluator.evaluate(candidate, replicas, level, varied).holds

    first = smallest(breaks, 10, 1, MOST_HEADROOM)
    return (MOST_HEADROOM if first is None else first - 1) / 100


def sensitivity(search: Search, best: Verified) -> list[Influence]:
    """Return what each uncertain input, changed by itself, does to the plan.

    One at a time, by two standard errors where the profile has one and by a tenth elsewhere, on
    the window of the race.
    """
    runner, candidate, replicas = search.runner, best.entry.candidate, best.replicas
    ends = dict(_inputs(search, candidate))
    level = search.levels[1]._replace(replications=1)
    rows = [(name, at, n) for name in ends for at in (0, 1) for n in {replicas, replicas - 1} if n]
    work: list[tuple[Candidate | None, tuple[object, ...]]]
    work = [
        (candidate, (candidate, n, level, _varied(name, ends[name][at]))) for name, at, n in rows
    ]
    found = dict(zip(rows, runner.map(_holds, work), strict=True))
    influences = [
        Influence(
            name=name,
            low=low,
            high=high,
            enough=all(found[name, at, replicas] for at in (0, 1)),
            fewer=any(found.get((name, at, replicas - 1), False) for at in (0, 1)),
        )
        for name, (low, high) in ends.items()
    ]
    return sorted(influences, key=lambda each: not each.changes_plan)


def _inputs(search: Search, candidate: Candidate) -> Mapping[str, tuple[float, float]]:
    """Return the factors that each uncertain input is multiplied by."""
    tenth = (1 - CHANGE, 1 + CHANGE)
    found = dict.fromkeys(("rate", "prompt", "output"), tenth)
    if search.runner.setup.workload.offered_per_s is None:
        del found["rate"]
    work = [(candidate, (candidate,))]
    names, known = next(iter(search.runner.map(_coefficients, work)))
    for name in names:
        found[name] = tenth
        if name in known:
            value, error = known[name]
            off = STANDARD_ERRORS * error / value
            found[name] = (max(0.05, 1 - off), 1 + off)
    return found


def _coefficients(
    evaluator: Evaluator, candidate: Candidate
) -> tuple[list[str], dict[str, tuple[float, float]]]:
    system = evaluator.system(candidate)
    known = errors(evaluator.profile, system.device)
    used = [each.name for each in system.step.provenance if each.value]
    return [name for name in COEFFICIENTS if name in used], known


def _varied(name: str, factor: float) -> Variation:
    if name in {"rate", "prompt", "output"}:
        return replace(PLAIN, **{name: factor})  # type: ignore[arg-type]
    return Variation(coefficients=((name, factor),))


def _holds(
    evaluator: Evaluator, candidate: Candidate, replicas: int, level: Level, varied: Variation
) -> bool:
    rate = (evaluator.workload.offered_per_s or 0.0) * varied.rate
    plain = varied == PLAIN or not varied.coefficients
    if plain and replicas * evaluator.saturation(candidate) < rate:
        return False
    return evaluator.evaluate(candidate, replicas, level, varied).holds


def outage(search: Search, best: Verified) -> Outage | None:
    """Return what happens when as many replicas as there are spares fail in mid-traffic."""
    spares = search.constraints.spares_for(best.replicas)
    offered = search.runner.setup.workload.offered_per_s
    if not spares or offered is None:
        return None
    candidate, level = best.entry.candidate, search.levels[2]
    varied = Variation(lost=spares)
    total = best.replicas + spares
    rows: list[tuple[Candidate | None, tuple[object, ...]]]
    rows = [(candidate, (candidate, total, level, k, varied)) for k in range(level.replications)]
    spread = list(search.runner.map(replicate, rows))
    found = combined(spread)
    return Outage(spares, outcomes(search, found, found.probabilities(), spread))


def entry_of(search: Search, candidate: Candidate) -> Entry | None:
    """Return the entry of a candidate of the search space, None if it is not in it."""
    return next((each for each in search.entries if each.candidate == candidate), None)
