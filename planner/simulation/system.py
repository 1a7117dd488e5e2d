"""From a scenario to the numbers that the data plane runs on: step time, cache, limits, price."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from planner.catalog.catalogue import find_device, find_model
from planner.catalog.fitted import FITTED, fitted_to
from planner.catalog.hf_config import from_hf_config
from planner.catalog.profile import PACKAGED, load_profile
from planner.errors import InputError, Problem, did_you_mean
from planner.latency.footprint import weight_bytes
from planner.latency.memory import KvPool, kv_pool
from planner.latency.model_step import step_time
from planner.scenario.fleet import FROM_PROFILE
from planner.scenario.service import LlmService, ModelConfig
from planner.simulation import layout
from planner.simulation.price import ReplicaPrice, replica_price
from planner.units import MAX_DURATION

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from planner.catalog.devices import Device
    from planner.catalog.models import ModelShape
    from planner.catalog.profile import Profile
    from planner.latency.step_time import StepTime
    from planner.scenario.fleet import Fleet
    from planner.scenario.model import Scenario

_SCHEDULERS = {
    "chunked": layout.CHUNKED,
    "prefill_first": layout.PREFILL_FIRST,
    "static": layout.STATIC,
}
_ROUTERS = {
    "round_robin": layout.ROUND_ROBIN,
    "random": layout.RANDOM,
    "power_of_two": layout.POWER_OF_TWO,
    "least_outstanding": layout.LEAST_OUTSTANDING,
    "least_kv": layout.LEAST_KV,
    "session_affinity": layout.SESSION_AFFINITY,
}
#: Share of the blocks that the prefill-first scheduler keeps free at admission (vLLM V0).
WATERMARK = 0.01


@dataclass(frozen=True)
class System:
    """What one replica is, resolved from catalogue, profile and settings.

    Parameters
    ----------
    service : LlmService
        As the scenario has it.
    fleet : Fleet
        As the scenario has it.
    shape : ModelShape
        The model.
    device : Device
        Each of a replica's devices.
    profile : Profile
        Where the coefficients come from.
    step : StepTime
        Of a lane's step.
    pool : KvPool
        KV cache of a replica.
    weight_bytes : float
        What a cold start loads. [B]
    """

    service: LlmService
    fleet: Fleet
    shape: ModelShape
    device: Device
    profile: Profile
    step: StepTime
    pool: KvPool
    weight_bytes: float

    @property
    def devices_per_replica(self) -> int:
        """Devices of one replica."""
        return self.fleet.tensor_parallel * self.fleet.pipeline_parallel

    @property
    def price(self) -> ReplicaPrice:
        """Price and power of a replica."""
        return replica_price(self.fleet, self.device)

    def cold_start_s(self) -> float:
        """Seconds from the order of a replica until it serves: start, and loading of weights.

        Each device loads its share of the weights at the loading bandwidth, or at that of its link
        to the host if that is less.
        """
        scaler = self.fleet.autoscaler
        if scaler is None:
            return 0.0
        share = self.weight_bytes / self.devices_per_replica
        host = self.device.host_bandwidth or math.inf
        return scaler.start_time + share / min(scaler.loading_bandwidth, host)

    def config(self, seed: int) -> layout.RecordArray:
        """Return the limits of a lane, and router and seed of the fleet, as the kernels read them.

        A pipeline of p stages is p lanes: each has a p-th of the KV blocks and of the sequences.
        """
        engine, width = self.service.engine, self.fleet.pipeline_parallel
        config = layout.record(layout.CONFIG_DTYPE, 1)
        row = config[0]
        row.scheduler = _SCHEDULERS[engine.scheduler.kind]
        row.router = _ROUTERS[self.fleet.router.kind]
        row.seed = seed
        row.lanes_per_replica = width
        row.max_num_seqs = -(-engine.max_num_seqs // width)
        row.max_num_batched_tokens = engine.max_num_batched_tokens
        row.block_size = self.pool.block_size
        row.blocks = self.pool.blocks // width
        row.watermark = int(WATERMARK * row.blocks)
        row.window = int(self.step.coefficients.window[0])
        groups = self.pool.layout
        row.full_groups, row.window_groups = groups.full_groups, groups.window_groups
        row.window_blocks = groups.window_blocks(engine.max_num_batched_tokens)
        row.state_blocks = groups.state_blocks
        row.recv_interval = 1
        if engine.scheduler.kind == "prefill_first":
            row.recv_interval = engine.scheduler.scheduler_recv_interval
        if engine.scheduler.kind == "chunked":
            row.reserve_full = engine.scheduler.scheduler_reserve_full_isl
        if engine.scheduler.kind == "static":
            row.batch_size = min(engine.scheduler.batch_size, row.max_num_seqs)
            row.timeout = engine.scheduler.timeout
        return config


def build_system(scenario: Scenario, profile: Profile | None = None) -> System:
    """Return the replica that `scenario` describes.

    Parameters
    ----------
    scenario : Scenario
        With an LLM on a fleet.
    profile : Profile, optional
        In place of the one that the scenario names, read already or changed.

    Raises
    ------
    InputError
        If model, device, profile or price are unknown, or the model does not fit; every message
        says what to do.
    """
    service, fleet = scenario.service, scenario.fleet
    if not isinstance(service, LlmService) or fleet is None:
        raise InputError(Problem("must be an LLM on a fleet", "service"))
    shape = scenario_shape(scenario)
    if profile is None:
        profile = scenario_profile(scenario)
    found = profile
    device = _at("fleet.device", lambda: _device(fleet, found))
    step = _at(
        "service.settings",
        lambda: step_time(
            shape,
            device,
            service.settings,
            found,
            tensor_parallel=fleet.tensor_parallel,
            pipeline_parallel=fleet.pipeline_parallel,
        ),
    )
    _check_ends(step)
    pool = kv_pool(
        shape,
        device,
        service.settings,
        service.engine,
        tensor_parallel=fleet.tensor_parallel,
        pipeline_parallel=fleet.pipeline_parallel,
        measured=service.engine.measured_memory.given(),
    )
    weights = weight_bytes(shape, service.settings)
    system = System(service, fleet, shape, device, profile, step, pool, weights)
    replica_price(fleet, device)  # refused now rather than after the simulation
    return system


def scenario_shape(scenario: Scenario) -> ModelShape:
    """Return the shape of the model that `scenario` names.

    Raises
    ------
    InputError
        If there is none of that name, its configuration cannot be read, or the service is no LLM.
    """
    service = scenario.service
    if not isinstance(service, LlmService):
        raise InputError(Problem("must be an LLM on a fleet", "service"))
    return _at("service.model", lambda: _shape(service, scenario.base_dir))


def _check_ends(step: StepTime) -> None:
    """Refuse step times that no clock counts: of a peak, bandwidth or speedup of nearly nothing."""
    with np.errstate(all="ignore"):
        seconds = step.seconds([(1, 0)])
    if not seconds <= MAX_DURATION:
        message = (
            f"must have steps of at most {MAX_DURATION:g} s, got {seconds:g} s for one token; look "
            "at the device's peaks and bandwidth, and at the profile's coefficients and speedups"
        )
        raise InputError(Problem(message, "service"))


def scenario_profile(scenario: Scenario) -> Profile:
    """Return the profile that `scenario` names, or that is fitted to its device.

    Raises
    ------
    InputError
        If there is none of that name, or the service is no LLM.
    """
    service, fleet = scenario.service, scenario.fleet
    if not isinstance(service, LlmService) or fleet is None:
        raise InputError(Problem("must be an LLM on a fleet", "service"))
    if service.profile == FITTED:
        shape = scenario_shape(scenario)
        return _at("fleet.device", lambda: _fitted(fleet, shape, service.settings.weights))
    return _at("service.profile", lambda: _profile(service, scenario.base_dir))


T = TypeVar("T")


def _at(path: str, resolve: Callable[[], T]) -> T:
    """Return what `resolve` returns; problems without a key path get `path`."""
    try:
        return resolve()
    except InputError as error:
        raise InputError(
            [
                each if each.path or each.file else replace(each, path=path)
                for each in error.problems
            ]
        ) from error


def _shape(service: LlmService, folder: Path) -> ModelShape:
    if isinstance(service.model, str):
        return find_model(service.model)
    if isinstance(service.model, ModelConfig):
        return from_hf_config(folder / service.model.config)
    return service.model


def _device(fleet: Fleet, profile: Profile) -> Device:
    if fleet.device == FROM_PROFILE:
        return profile.measured_device()
    return find_device(fleet.device) if isinstance(fleet.device, str) else fleet.device


def _fitted(fleet: Fleet, shape: ModelShape, weights: str) -> Profile:
    """Return the profile fitted to the fleet's device, or the assumed one where there is none."""
    assumed = load_profile("assumed")
    if fleet.device == FROM_PROFILE:
        message = f"must be the name of a device where service.profile is {FITTED!r}, got"
        raise InputError(f"{message} {FROM_PROFILE!r}: each profile has a device of its own")
    if not isinstance(fleet.device, str):
        return assumed  # written out: it may share no more than the name
    return fitted_to(find_device(fleet.device).name, assumed.engine, shape, weights) or assumed


def _profile(service: LlmService, folder: Path) -> Profile:
    name = service.profile
    near = did_you_mean(name, (FITTED,))
    if near and not (folder / name).exists():
        known = f"{FITTED!r}, a profile of the catalogue or a file"
        raise InputError(f"must be {known}, got {name!r}{near}")
    return load_profile(name if name in PACKAGED else folder / name)
