"""What a search for a plan may choose from, and what it must keep to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Self

from pydantic import Field, model_validator

from planner.latency.settings import ActivationDtype, KvDtype, Launch, Pruning, WeightDtype
from planner.scenario.engine import Limit, Scheduler
from planner.scenario.fleet import DeviceChoice, Router
from planner.scenario.rules import Broken, refuse
from planner.spec import Spec
from planner.units import Count, CountOrZero, Fraction, OpenFraction, Power, Price

if TYPE_CHECKING:
    from collections.abc import Iterator

#: In ``max_devices``: devices of all types together.
ALL_DEVICES = "all"
#: Most replicas of any plan: beyond it a search would be one for a data centre.
MOST_REPLICAS = 10_000


class PlanSpec(Spec):
    """Search space and constraints of ``planner plan``; ``planner simulate`` does not read them.

    A list names what the search may choose from. Where one is left out it holds what the
    scenario has now, and beside it: for `devices` every GPU of the catalogue that has a price;
    for `weights` bf16, fp8, int8 and int4; for `kv_cache` bf16 and fp8; for
    `max_num_batched_tokens` 8192.

    Parameters
    ----------
    devices : tuple of str or Device, optional
        Names in the catalogue, or devices written out.
    tensor_parallel, pipeline_parallel : tuple of int
        Devices that share one replica's layers, and groups of them in a row.
    weights, kv_cache : tuple of str, optional
        Data types of weights and KV cache.
    activations : tuple of str, optional
        Data types that the layers compute in; where left out, what each type of weights usually
        computes in.
    pruning : tuple of Pruning, optional
        Which weights may be removed.
    launch : tuple of str, optional
        How kernels are launched; where left out, as now, and as the profile has measured it.
    scheduler : tuple of Chunked or PrefillFirst or Static, optional
        Which requests run next.
    max_num_seqs, max_num_batched_tokens : tuple of int, optional
        Limits of the engine.
    router : tuple of RoundRobin or Random or ..., optional
        Which replica a request goes to.
    max_replicas : int
        Most replicas of a plan, spares left out.
    spares : int
        Replicas beside those that the objectives need, so that as many may fail.
    max_cost : float, optional
        Most that all devices may cost. [$/h]
    max_devices : dict of str to int, optional
        Most devices by name; ``all`` for those of all types.
    max_power : float, optional
        Most that the design power of all devices may add up to. [W]
    max_quality_loss : float, optional
        Most that the perplexity may rise; settings whose quality nobody measured are left out.
    availability : float, optional
        Share of time in which enough replicas are to be up; decides the spares from
        ``fleet.failures``.
    measured_only : bool
        Leave out settings without a measured speed and quality.
    confidence : float
        Probability with which all objectives have to be met, above 0 and below 1.
    """

    devices: Annotated[tuple[DeviceChoice, ...], Field(min_length=1)] | None = None
    tensor_parallel: Annotated[tuple[Count, ...], Field(min_length=1)] = (1, 2, 4, 8)
    pipeline_parallel: Annotated[tuple[Count, ...], Field(min_length=1)] = (1,)
    weights: Annotated[tuple[WeightDtype, ...], Field(min_length=1)] | None = None
    kv_cache: Annotated[tuple[KvDtype, ...], Field(min_length=1)] | None = None
    activations: Annotated[tuple[ActivationDtype, ...], Field(min_length=1)] | None = None
    pruning: Annotated[tuple[Pruning, ...], Field(min_length=1)] | None = None
    launch: Annotated[tuple[Launch, ...], Field(min_length=1)] | None = None
    scheduler: Annotated[tuple[Scheduler, ...], Field(min_length=1)] | None = None
    max_num_seqs: Annotated[tuple[Limit, ...], Field(min_length=1)] | None = None
    max_num_batched_tokens: Annotated[tuple[Limit, ...], Field(min_length=1)] | None = None
    router: Annotated[tuple[Router, ...], Field(min_length=1)] | None = None
    max_replicas: Annotated[int, Field(ge=1, le=MOST_REPLICAS, strict=True)] = 256
    spares: Annotated[CountOrZero, Field(le=MOST_REPLICAS)] = 0
    max_cost: Price | None = None
    max_devices: dict[str, CountOrZero] | None = None
    max_power: Power | None = None
    max_quality_loss: Fraction | None = None
    availability: OpenFraction | None = None
    measured_only: bool = False
    confidence: OpenFraction = 0.95

    @model_validator(mode="after")
    def _no_contradiction(self) -> Self:
        refuse(self._problems())
        return self

    def _problems(self) -> Iterator[Broken]:
        if self.spares and self.availability is not None:
            yield Broken(
                "availability",
                f"must be left out beside spares: {self.spares}, got both; availability decides "
                "the spares",
            )
