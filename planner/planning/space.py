"""The search space: every candidate that a scenario lets a plan choose from."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import product
from typing import TYPE_CHECKING, Any, get_args

from pydantic import ValidationError

from planner.catalog.catalogue import device_names, find_device
from planner.catalog.devices import Device
from planner.errors import InputError, Problem
from planner.latency.settings import KvDtype, Launch, Settings, WeightDtype
from planner.planning.candidate import Candidate, candidate_of
from planner.scenario.engine import Engine, Static
from planner.scenario.fleet import FROM_PROFILE
from planner.scenario.plan import ALL_DEVICES, PlanSpec

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import TypeVar

    from planner.catalog.profile import Profile
    from planner.scenario.fleet import PriceChoice
    from planner.scenario.model import Scenario

    T = TypeVar("T")

#: What is tried beside the scenario's own, see :class:`PlanSpec`.
WEIGHTS: tuple[WeightDtype, ...] = ("bf16", "fp8", "int8", "int4")
KV_CACHE: tuple[KvDtype, ...] = ("bf16", "fp8")
BATCHED_TOKENS = (8192,)
#: Most candidates: more would not fit into a day.
MOST_CANDIDATES = 200_000


def candidates(scenario: Scenario, spec: PlanSpec, profile: Profile) -> list[Candidate]:
    """Return every candidate, each once, the scenario's own first.

    Combinations that no engine could be configured with (activations that the weights do not
    compute in, fewer tokens in a step than sequences) are not candidates.

    Raises
    ------
    InputError
        If a device is not known, nothing is left, or there are too many.
    """
    today = candidate_of(scenario)
    engines = _engine_choices(today.engine, spec)
    settings = _setting_choices(today.settings, spec, profile)
    devices, routers = _devices(today, spec, profile), spec.router or (today.router,)
    others = (devices, spec.tensor_parallel, spec.pipeline_parallel)
    size = math.prod(len(each) for each in (*engines, *settings, *others, routers))
    if size > MOST_CANDIDATES:  # before anything is built: there may be more than memory holds
        message = f"must make at most {MOST_CANDIDATES:,} candidates, got {size:,}; shorten a list"
        raise InputError(Problem(message, "plan"))
    rest = _settings(today.settings, spec, settings), _engines(today.engine, engines), routers
    found = [
        Candidate(device, tensor, pipeline, setting, engine, router, _price(today, device))
        for device, tensor, pipeline, setting, engine, router in product(*others, *rest)
    ]
    found = _once([each for each in found if each != today], today=today, first=found)
    if not found:
        message = (
            "must leave at least one candidate, got none: no engine takes these settings and "
            "limits together; lengthen a list"
        )
        raise InputError(Problem(message, "plan"))
    return found


def _once(others: list[Candidate], *, today: Candidate, first: list[Candidate]) -> list[Candidate]:
    """Return the candidates in order, each once; `today` leads if it is one of them."""
    led = [today, *others] if today in first else others
    return list({each.key: each for each in led}.values())


def _unique(values: Iterable[T]) -> tuple[T, ...]:
    found: list[T] = []
    for each in values:
        if each not in found:
            found.append(each)
    return tuple(found)


def _devices(today: Candidate, spec: PlanSpec, profile: Profile) -> list[str | Device]:
    """Return the devices: those asked for, or all GPUs that the profile speaks of."""
    if spec.devices is not None:
        return list(_unique(_named(each, index) for index, each in enumerate(spec.devices)))
    own = today.device
    if profile.device != "any":
        return [own]
    if isinstance(own, str) and own != FROM_PROFILE:
        own = _known(own)
    known = [find_device(name) for name in device_names()]
    return list(_unique([own, *(each.name for each in known if each.kind == "gpu")]))


def _known(device: str) -> str:
    """Return the catalogue's name of the scenario's device."""
    try:
        return find_device(device).name
    except InputError as error:
        raise InputError([replace(each, path="fleet.device") for each in error.problems]) from error


def _named(device: str | Device, index: int) -> str | Device:
    """Return a device by its name in the catalogue, so that aliases are one."""
    if isinstance(device, Device) or device == FROM_PROFILE:
        return device
    try:
        return find_device(device).name
    except InputError as error:
        path = f"plan.devices.{index}"
        raise InputError([replace(each, path=path) for each in error.problems]) from error


def _price(today: Candidate, device: str | Device) -> PriceChoice | None:
    """Return how to price `device`: as today; a price in dollars is that of today's alone."""
    if isinstance(today.price, float):
        same = device == today.device or (
            isinstance(device, str)
            and isinstance(today.device, str)
            and FROM_PROFILE not in {device, today.device}
            and find_device(today.device).name == device
        )
        return today.price if same else None
    return today.price


def _setting_choices(
    today: Settings, spec: PlanSpec, profile: Profile
) -> tuple[tuple[Any, ...], ...]:
    """Return what to choose of: weights, KV cache, activations, pruning, launch."""
    measured = [each for each in get_args(Launch) if f"launch.{each}" in profile.settings]
    return (
        spec.weights or _unique((today.weights, *WEIGHTS)),
        spec.kv_cache or _unique((today.kv_cache, *KV_CACHE)),
        spec.activations or (None,),
        spec.pruning or (today.pruning,),
        spec.launch or _unique((today.launch, *measured)),
    )


def _settings(
    today: Settings, spec: PlanSpec, choices: tuple[tuple[Any, ...], ...]
) -> Iterator[Settings]:
    for weight, kv, activation, pruned, launch in product(*choices):
        own = today.activations if weight == today.weights and not spec.activations else activation
        try:
            yield Settings(
                weights=weight, kv_cache=kv, activations=own, pruning=pruned, launch=launch
            )
        except (ValidationError, InputError):
            continue  # no such scheme


def _engine_choices(today: Engine, spec: PlanSpec) -> tuple[tuple[Any, ...], ...]:
    """Return what to choose of: schedulers, most sequences, most tokens in a step."""
    return (
        spec.scheduler or (today.scheduler,),
        spec.max_num_seqs or (today.max_num_seqs,),
        spec.max_num_batched_tokens or _unique((today.max_num_batched_tokens, *BATCHED_TOKENS)),
    )


def _engines(today: Engine, choices: tuple[tuple[Any, ...], ...]) -> Iterator[Engine]:
    for scheduler, most, budget in product(*choices):
        if budget < most or (isinstance(scheduler, Static) and scheduler.batch_size > most):
            continue
        yield today.model_copy(
            update={
                "scheduler": scheduler,
                "max_num_seqs": most,
                "max_num_batched_tokens": budget,
            }
        )


def device_limits(spec: PlanSpec) -> dict[str, int]:
    """Return the most devices by catalogue name, and of all together under ``all``.

    Raises
    ------
    InputError
        If a name is not known.
    """
    limits = {}
    for name, most in (spec.max_devices or {}).items():
        known = {each.name for each in spec.devices or () if isinstance(each, Device)}
        if name in {ALL_DEVICES, FROM_PROFILE} | known:
            limits[name] = most
            continue
        try:
            limits[find_device(name).name] = most
        except InputError as error:
            path = f"plan.max_devices.{name}"
            raise InputError([replace(each, path=path) for each in error.problems]) from error
    return limits
