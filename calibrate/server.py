"""A model in memory behind an engine, ready to serve the requests of a scenario again and again."""

from __future__ import annotations

import gc
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from calibrate.compression.variant import Variant
from calibrate.engine import Engine
from calibrate.models.load import default_device
from calibrate.models.runner import Runner
from calibrate.pulse import pulse_of
from calibrate.replayed import records_of
from calibrate.scheduling import Limits
from planner.errors import InputError, Problem
from planner.scenario.service import LlmService, ModelConfig
from planner.simulation.run import LEAST_DRAIN_S
from planner.streams import stream

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import numpy as np
    import numpy.typing as npt
    import torch

    from calibrate.engine import StepLog
    from calibrate.models.loaded import LoadedModel
    from planner.catalog.models import ModelShape
    from planner.results.records import Records
    from planner.scenario.model import Scenario
    from planner.simulation.system import System
    from planner.traffic.requests import Requests


@dataclass(frozen=True)
class Served:
    """What a server did.

    Parameters
    ----------
    records : Records
        What happened to the requests.
    steps : tuple of StepLog
        All steps, in order.
    """

    records: Records
    steps: tuple[StepLog, ...]


@dataclass(frozen=True)
class Server:
    """A real model that serves.

    Parameters
    ----------
    runner : Runner
        Of the model.
    limits : Limits
        Of its engine, those of the scenario.
    about : str
        Which model it is.
    seed : int
        Of the prompts' tokens.
    warmup : float
        Requests that arrive before it count in no statistic. [s]
    """

    runner: Runner
    limits: Limits
    about: str
    seed: int
    warmup: float

    @classmethod
    def start(
        cls,
        scenario: Scenario,
        system: System,
        requests: Iterable[Requests],
        say: Callable[[str], None] = lambda line: None,  # noqa: ARG005 - says nothing
    ) -> Server:
        """Load the model of `scenario` with its settings, and make room for `requests`.

        Parameters
        ----------
        scenario : Scenario
            With an LLM service.
        system : System
            Its replica, resolved.
        requests : iterable of Requests
            All that will be served: the cache has slots for the longest of them.
        say : callable
            Called with a line before what takes long.

        Raises
        ------
        InputError
            If the model cannot be loaded, its settings not applied, or the cache does not fit.
        """
        limits = limits_of(system)
        source = _source(system, scenario.base_dir)
        what = f"loading {source}" if isinstance(source, Path) else f"building {system.shape.name}"
        say(f"{what}, weights {system.service.settings.weights}")
        loaded = _load(Variant(settings=system.service.settings), source)
        say("first steps of every size")
        runner = Runner(loaded.model, limits.max_num_seqs, _slot_length(limits, requests))
        server = cls(
            runner, limits, loaded.about, scenario.simulation.seed, scenario.simulation.warmup
        )
        server.warm_up()
        return server

    def make_room_for(self, requests: Iterable[Requests]) -> None:
        """Resize the slots of the cache to the longest of `requests`; what they held is gone."""
        self.runner.resize(_slot_length(self.limits, requests))

    @property
    def device(self) -> torch.device:
        """Device that the model is on."""
        return self.runner.device

    def warm_up(self) -> None:
        """Run prompts and batches of every size once: first times are slow."""
        self.runner.warm_up(self.limits.max_num_batched_tokens)

    def serve(self, requests: Requests, rejected: npt.NDArray[np.bool_]) -> Served:
        """Serve `requests` in real time and return what happened to them.

        Prompts are tokens drawn at random: how long a step takes does not depend on them.
        """
        longest = int(requests.prompt_tokens.max())
        vocabulary = int(self.runner.model.config.vocab_size)
        text = stream(self.seed, 0, "prompts").integers(0, vocabulary, 2 * longest).tolist()

        def prompt_of(row: int) -> list[int]:
            start = row % longest
            return text[start : start + int(requests.prompt_tokens[row])]

        gc.collect()
        gc.freeze()  # nothing old is looked through while it serves, as in vLLM
        try:
            replay = Engine(self.runner.step, self.limits, pulse=pulse_of(self.device)).replay(
                requests,
                prompt_of,
                rejected=rejected,
                until=requests.end_s + max(requests.end_s, LEAST_DRAIN_S),  # as simulations do
            )
        finally:
            gc.unfreeze()
        records = records_of(replay, requests, self.limits, warmup=self.warmup)
        return Served(records, tuple(replay.steps))


def limits_of(system: System) -> Limits:
    """Return the limits that the simulator's one replica has."""
    config = system.config(seed=0)[0]
    if not system.pool.layout.keeps_all:
        message = (
            "must be true, since this engine keeps every token of layers with a sliding window, "
            "got false"
        )
        raise InputError(Problem(message, "service.engine.disable_hybrid_kv_cache_manager"))
    return Limits(
        scheduler=system.service.engine.scheduler.kind,
        max_num_seqs=int(config.max_num_seqs),
        max_num_batched_tokens=int(config.max_num_batched_tokens),
        block_size=int(config.block_size),
        blocks=int(config.blocks),
        max_model_len=system.pool.max_model_len,
        watermark=int(config.watermark),
        reserve_full_isl=bool(config.reserve_full),
        recv_interval=int(config.recv_interval),
        batch_size=max(int(config.batch_size), 1),
        timeout=float(config.timeout),
    )


def _slot_length(limits: Limits, requests: Iterable[Requests]) -> int:
    """Return the tokens of the longest sequence; in a static batch it may be padded and carried."""
    if limits.scheduler == "static":
        each = [(int(r.prompt_tokens.max()), int(r.output_tokens.max())) for r in requests]
        longest = max(prompt for prompt, _ in each) + max(output for _, output in each)
        return min(longest, 2 * limits.max_model_len)
    longest = max(int((r.prompt_tokens + r.output_tokens).max()) for r in requests)
    return min(longest, limits.max_model_len)  # longer prompts are refused


def _load(variant: Variant, source: str | Path | ModelShape) -> LoadedModel:
    """Return the model from `source` with its settings, if the device has their speed."""
    device, key = default_device(), "service.settings"
    reason = variant.supported(device)
    if reason is not None:
        message = f"must be what {device} can run at its speed, got {variant.name!r}: {reason}"
        raise InputError(Problem(message, key))
    if variant.settings.launch == "cuda_graphs":
        message = (
            "must be eager or compile, got 'cuda_graphs': this engine would record a graph for "
            "every number of tokens while it serves"
        )
        raise InputError(Problem(message, f"{key}.launch"))
    return variant.load(source, device)


def _source(system: System, folder: Path) -> str | Path | ModelShape:
    """Return what to load: a folder that has weights, else the shape with random ones."""
    service = system.service
    assert isinstance(service, LlmService)  # noqa: S101 - a system has one
    if isinstance(service.model, ModelConfig):
        place = (folder / service.model.config).parent
        if any(place.glob("*.safetensors")):
            return place
    return system.shape
