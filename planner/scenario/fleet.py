"""The fleet: devices, replicas, routing, and what changes it while it runs."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self, get_args

from pydantic import (
    BeforeValidator,
    Discriminator,
    Field,
    PlainSerializer,
    Tag,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import PydanticCustomError

from planner.catalog.devices import Device, PriceName
from planner.errors import shown
from planner.scenario.rules import Broken, broken, refuse
from planner.spec import Spec
from planner.units import (
    PRICE,
    Bandwidth,
    Count,
    Duration,
    PositiveDuration,
    PositiveFraction,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from pydantic import ValidationInfo


class RoundRobin(Spec):
    """Each request to the next replica in turn."""

    kind: Literal["round_robin"] = "round_robin"


class Random(Spec):
    """Each request to a replica drawn uniformly."""

    kind: Literal["random"] = "random"


class PowerOfTwo(Spec):
    """The one with fewer outstanding requests of two replicas drawn at random [1]_.

    References
    ----------
    .. [1] M. Mitzenmacher, "The power of two choices in randomized load balancing," IEEE Trans.
       Parallel Distrib. Syst. 12(10), 2001. doi:10.1109/71.963420
    """

    kind: Literal["power_of_two"] = "power_of_two"


class LeastOutstanding(Spec):
    """The replica with the fewest requests waiting or running."""

    kind: Literal["least_outstanding"] = "least_outstanding"


class LeastKv(Spec):
    """The replica with the fewest KV blocks in use; ties go to fewer outstanding requests."""

    kind: Literal["least_kv"] = "least_kv"


class SessionAffinity(Spec):
    """All requests of one session to one replica, chosen by hashing the session."""

    kind: Literal["session_affinity"] = "session_affinity"


Router = Annotated[
    RoundRobin | Random | PowerOfTwo | LeastOutstanding | LeastKv | SessionAffinity,
    Field(discriminator="kind"),
]


class Event(Spec):
    """A planned change of the fleet.

    Parameters
    ----------
    at : float
        When, from the start of the traffic. [s]
    kind : {"leave", "join", "fail"}
        ``leave``: takes no new requests and goes when it has drained. ``join``: one more serves
        from this moment. ``fail``: goes at once; its requests are retried elsewhere.
    replicas : int
        How many, >= 1.
    """

    at: Duration
    kind: Literal["leave", "join", "fail"]
    replicas: Count = 1


class Failures(Spec):
    """Independent failures and repairs of each replica, both exponential.

    Parameters
    ----------
    mtbf : float
        Mean time from start or repair to the next failure, > 0. [s]
    mttr : float
        Mean time from failure to repair, > 0. [s]
    retry_delay : float
        Pause before a request that lost its replica is sent again. [s]
    """

    mtbf: PositiveDuration
    mttr: PositiveDuration
    retry_delay: Duration = 0.0

    def time_to_failure(self, rng: np.random.Generator) -> float:
        """Return a drawn time until the next failure [s]."""
        return float(rng.exponential(self.mtbf))

    def time_to_repair(self, rng: np.random.Generator) -> float:
        """Return a drawn time until the repair [s]."""
        return float(rng.exponential(self.mttr))

    def availability(self) -> float:
        """Return the share of time that a replica is up, ``mtbf / (mtbf + mttr)``."""
        return self.mtbf / (self.mtbf + self.mttr)


class TargetUtilisation(Spec):
    """Orders as many replicas as keep utilisation at a target, as Kubernetes' HPA does [1]_.

    Parameters
    ----------
    measure : {"sequences", "kv_cache", "busy"}
        What utilisation is: requests waiting and running over ``max_num_seqs`` of all replicas
        ordered; KV blocks in use; or time spent in steps, which continuous batching keeps near 1
        at any load. The last two are averages since the last decision.
    target : float
        Utilisation to aim at, in (0, 1].
    interval : float
        Time between decisions, > 0. [s]
    min_replicas, max_replicas : int
        Bounds, ``1 <= min_replicas <= max_replicas``.
    start_time : float
        Cold start of container and engine, without loading the weights. [s]
    loading_bandwidth : float
        At which a starting replica reads its weights. [B/s]
    scale_down_delay : float
        A lower number counts only if nothing higher was wanted for this long. [s]

    References
    ----------
    .. [1] Kubernetes documentation, "Horizontal Pod Autoscaling," section "Algorithm details".
    """

    kind: Literal["target_utilisation"] = "target_utilisation"
    measure: Literal["sequences", "kv_cache", "busy"] = "sequences"
    target: PositiveFraction = 0.7
    interval: PositiveDuration = 30.0
    min_replicas: Count = 1
    max_replicas: Count
    start_time: Duration = 60.0
    loading_bandwidth: Bandwidth = 2e9
    scale_down_delay: Duration = 300.0

    @model_validator(mode="after")
    def _bounds_in_order(self) -> Self:
        if self.min_replicas > self.max_replicas:
            rule = f"<= max_replicas ({self.max_replicas})"
            refuse([broken("min_replicas", rule, self.min_replicas)])
        return self

    def replicas(self, utilisation: float, ordered: int) -> int:
        """Return how many replicas to have, ``ceil(ordered utilisation / target)`` in bounds.

        Parameters
        ----------
        utilisation : float
            Of all replicas ordered, >= 0. [-]
        ordered : int
            Replicas up or starting.
        """
        # HPA's ceil, with a tolerance for the rounding of the quotient: 3 * 0.7 / 0.7 is 3.
        wanted = math.ceil(ordered * utilisation / self.target - 1e-9)
        return min(max(wanted, self.min_replicas), self.max_replicas)


#: Policies that order and retire replicas. A second one makes this a union over ``kind``.
Autoscaler = TargetUtilisation


def _parse_price(value: Any, info: ValidationInfo) -> str | float:  # noqa: ANN401 - a validator sees anything
    if value in get_args(PriceName):
        return str(value)
    try:
        price = PRICE.validate(value, info)
    except PydanticCustomError as error:
        raise PydanticCustomError(
            "price",
            "must be one of 'low', 'aws', 'azure', 'high' or a price as '$2.5/h', got {got}",
            {"got": shown(value)},
        ) from error
    if not 0 <= price < math.inf:
        message = "must be a price >= 0, got {got}"
        raise PydanticCustomError("price", message, {"got": shown(value)})
    return price


#: A column of the catalogue's prices, or US dollars per device and hour, >= 0.
PriceChoice = Annotated[
    PriceName | float,
    BeforeValidator(_parse_price),
    PlainSerializer(
        lambda price: price if isinstance(price, str) else PRICE.text(price), when_used="json"
    ),
    WithJsonSchema({"anyOf": [{"enum": list(get_args(PriceName))}, PRICE.schema()]}),
]

#: In place of a device: the one that the service's profile was measured on.
FROM_PROFILE = "from_profile"
DeviceChoice = Annotated[
    Annotated[str, Field(min_length=1), Tag("<name>")] | Annotated[Device, Tag("<inline>")],
    Discriminator(lambda value: "<name>" if isinstance(value, str) else "<inline>"),
]


class Fleet(Spec):
    """Identical replicas behind one router.

    Parameters
    ----------
    device : str or Device
        Name in the catalogue, a device written out, or ``from_profile``: the one that the
        service's profile was measured on.
    replicas : int
        Replicas at the start, >= 1.
    tensor_parallel, pipeline_parallel : int
        Devices that share one replica's layers, and groups of them in a row; >= 1.
    price : str or float, optional
        What a device costs: a column of the catalogue or US dollars per hour; by default the
        lowest price that the catalogue has for it.
    router : RoundRobin or Random or PowerOfTwo or LeastOutstanding or LeastKv or SessionAffinity
        Which replica a request goes to.
    events : tuple of Event
        Planned changes.
    failures : Failures, optional
        Random failures and repairs.
    autoscaler : TargetUtilisation, optional
        Orders and retires replicas.
    """

    device: DeviceChoice
    replicas: Count = 1
    tensor_parallel: Count = 1
    pipeline_parallel: Count = 1
    price: PriceChoice | None = None
    router: Router = LeastOutstanding()
    events: tuple[Event, ...] = ()
    failures: Failures | None = None
    autoscaler: Autoscaler | None = None

    @property
    def devices(self) -> int:
        """Devices of all replicas at the start."""
        return self.replicas * self.tensor_parallel * self.pipeline_parallel

    @property
    def random(self) -> bool:
        """Whether anything about the fleet is drawn: failures, or the router's choices."""
        return self.failures is not None or self.router.kind in {"random", "power_of_two"}

    @model_validator(mode="after")
    def _sections_fit_together(self) -> Self:
        refuse(self._problems())
        return self

    def _problems(self) -> Iterator[Broken]:
        scaler = self.autoscaler
        if scaler is not None:
            if not scaler.min_replicas <= self.replicas <= scaler.max_replicas:
                rule = (
                    f"between the autoscaler's min_replicas ({scaler.min_replicas}) and "
                    f"max_replicas ({scaler.max_replicas})"
                )
                yield broken("replicas", rule, self.replicas)
            return  # how many replicas events find there depends on the run
        there = self.replicas
        for index, event in sorted(enumerate(self.events), key=lambda item: item[1].at):
            if event.kind == "join":
                there += event.replicas
            elif event.replicas > there:
                rule = f"<= {there}, the replicas there are at {event.at:g} s"
                yield broken(f"events.{index}.replicas", rule, event.replicas)
            else:
                there -= event.replicas
