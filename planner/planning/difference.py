"""From the fleet of today to that of the plan, line by line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from planner.planning.result import Difference

if TYPE_CHECKING:
    from planner.planning.candidate import Candidate
    from planner.planning.option import Option


def difference(today: Candidate, replicas: int, plan: Option) -> tuple[Difference, ...]:
    """Return what changes from `replicas` of `today` to the fleet of `plan`.

    What the plan has and today leaves at its default (a 16-bit KV cache, no pruning) is added,
    the reverse is removed, everything else that differs is changed.
    """
    before, after = facts_of(today, replicas), facts_of(plan.candidate, plan.replicas + plan.spares)
    lines = []
    for name in before:
        old, new = before[name], after[name]
        if old == new:
            continue
        plain = _DEFAULTS.get(name)
        sign = "+" if old == plain else "-" if new == plain else "~"
        lines.append(Difference(sign, name, "" if sign == "+" else old, "" if sign == "-" else new))
    return tuple(lines)


#: Values that mean "none of it".
_DEFAULTS = {
    "kv_cache": "bf16",
    "pruning": "none",
    "activations": "as weights",
    "launch": "default",
}


def facts_of(one: Candidate, replicas: int) -> dict[str, str]:
    """Return what a fleet is, in words, by the name of each choice."""
    pruning = one.settings.pruning
    pruned = (
        pruning.pattern if not pruning.rate else f"{pruning.pattern} {100 * pruning.rate:.0f} %"
    )
    computes = one.settings.compute_dtype
    usual = one.settings.model_copy(update={"activations": None}).compute_dtype
    return {
        "device": one.device_name,
        "replicas": str(replicas),
        "tensor_parallel": str(one.tensor_parallel),
        "pipeline_parallel": str(one.pipeline_parallel),
        "weights": one.settings.weights,
        "kv_cache": one.settings.kv_cache,
        "activations": "as weights" if computes == usual else computes,
        "pruning": pruned,
        "launch": one.settings.launch,
        "scheduler": one.engine.scheduler.kind,
        "max_num_seqs": str(one.engine.max_num_seqs),
        "max_num_batched_tokens": str(one.engine.max_num_batched_tokens),
        "router": one.router.kind,
    }
