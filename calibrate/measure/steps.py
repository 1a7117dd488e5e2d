"""Steps of real models in turns: the same point on every variant, so that drift hits all alike."""

from __future__ import annotations

import gc
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import torch

from calibrate.compression.base import weight_bytes
from calibrate.measure.clock import in_turns
from calibrate.measure.hardware import timer
from calibrate.measure.points import StepPoint
from calibrate.measure.records import MemoryRecord, StepRecord, VariantRecord
from calibrate.models.free_memory import free_memory
from calibrate.models.runner import Runner
from calibrate.scheduling import Chunk

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from calibrate.compression.variant import Variant
    from calibrate.measure.clock import Repeats
    from calibrate.models.loaded import LoadedModel
    from calibrate.pulse import Watch
    from planner.catalog.models import ModelShape

#: Share of the free memory that caches of several variants may take together.
_TOGETHER = 0.5
#: Tokens of a step that no kernel for few rows takes.
_MANY = 64
#: Name of the step that tells how fast the machine is just now.
_REFERENCE = "reference"


@dataclass(frozen=True)
class Loaded:
    """A variant in memory.

    Parameters
    ----------
    variant : Variant
        What it is.
    model : LoadedModel
        The real model.
    """

    variant: Variant
    model: LoadedModel

    @property
    def record(self) -> VariantRecord:
        """What the file of measurements says about it."""
        model = self.model.model
        return VariantRecord(
            variant=self.variant.name,
            settings=self.variant.settings,
            weight_bytes=weight_bytes(model),
            parameters=sum(each.numel() for each in model.parameters()),
        )


def measure_point(
    point: StepPoint, variants: Iterable[Loaded], repeats: Repeats, watch: Watch | None = None
) -> Iterator[StepRecord]:
    """Yield the duration of the step `point` on each of `variants`, the base first.

    In turns if the caches of all fit into memory at once, otherwise one variant after the other;
    while nothing disturbs the core, if there is a `watch`.

    Raises
    ------
    torch.OutOfMemoryError or InputError
        If one does not fit alone.
    """
    variants = list(variants)
    wanted = sum(point.context * each.model.shape.kv_bytes_per_token(4.0) for each in variants)
    together = wanted <= _TOGETHER * free_memory(variants[0].model.device)
    for group in [variants] if together else [[each] for each in variants]:
        runs = {each.variant.name: _step(each.model, point) for each in group}
        runs[_REFERENCE] = _step(variants[0].model, shortest(variants[0].model.shape))
        timings = in_turns(runs, repeats, watch=watch)
        reference = timings.pop(_REFERENCE).seconds
        for name, timing in timings.items():
            yield StepRecord(
                variant=name,
                prefill=point.prefill,
                decode=point.decode,
                reference=reference,
                **vars(timing),
            )
        runs.clear()
        release()


class _Encoder:
    """A step of a model that reads whole texts of one length: one forward pass, no cache.

    Parameters
    ----------
    loaded : LoadedModel
        The encoder.
    point : StepPoint
        Texts of one length.
    """

    kv_bytes = 0

    def __init__(self, loaded: LoadedModel, point: StepPoint) -> None:
        lengths = {length for length, _ in point.prefill}
        shape = (len(point.prefill), lengths.pop())
        self._model = loaded.model
        self._tokens = torch.zeros(shape, dtype=torch.long, device=loaded.device)

    @torch.inference_mode()
    def step(self, _work: Sequence[Chunk]) -> None:
        """Read the texts."""
        self._model(input_ids=self._tokens)


def fits_model(point: StepPoint, shape: ModelShape) -> bool:
    """Return whether a model of `shape` can run `point`: an encoder reads texts of one length."""
    if shape.arch != "encoder":
        return True
    return not point.decode and len(set(point.prefill)) == 1 and point.prefill[0][1] == 0


def shortest(shape: ModelShape) -> StepPoint:
    """Return the shortest step of a model of `shape`."""
    return StepPoint(prefill=((1, 0),)) if shape.arch == "encoder" else StepPoint(decode=(1,))


def _step(loaded: LoadedModel, point: StepPoint) -> Callable[[], float]:
    """Return what runs the step once and returns its seconds."""
    runner, work = _prepared(loaded, point)
    return partial(timer(loaded.device), partial(runner.step, work))


def _prepared(loaded: LoadedModel, point: StepPoint) -> tuple[Runner | _Encoder, list[Chunk]]:
    """Return a runner whose caches are filled up to `point`, and the work of its step."""
    if loaded.shape.arch == "encoder":
        return _Encoder(loaded, point), []
    runner = Runner(loaded.model, point.sequences, point.longest)
    chunks = [*point.prefill, *((1, done) for done in point.decode)]
    generator = torch.Generator().manual_seed(len(chunks))
    work = []
    with torch.inference_mode():
        for slot, (length, done) in enumerate(chunks):
            runner.fill(slot, done)
            tokens = torch.randint(0, loaded.shape.vocab_size, (length,), generator=generator)
            work.append(Chunk(slot, tokens.tolist(), done))
    return runner, work


def first_steps(loaded: Loaded) -> None:
    """Run a step of many tokens and one of few: whether kernels take a model's sizes shows here.

    Raises
    ------
    RuntimeError
        If one does not.
    """
    shape = loaded.model.shape
    for point in (StepPoint(prefill=((min(_MANY, shape.max_position), 0),)), shortest(shape)):
        runner, work = _prepared(loaded.model, point)
        runner.step(work)


def measure_memory(loaded: Loaded, point: StepPoint) -> MemoryRecord:
    """Return the memory that a variant takes while `point` runs once.

    On a GPU other variants are in memory too: what was allocated before does not count, but for
    the variant's own weights.
    """
    device, weights = loaded.model.device, weight_bytes(loaded.model.model)
    cuda = device.type == "cuda"
    before = 0
    if cuda:
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
    runner, work = _prepared(loaded.model, point)
    runner.step(work)
    return MemoryRecord(
        variant=loaded.variant.name,
        weights=weights,
        kv_cache=runner.kv_bytes,
        peak=torch.cuda.max_memory_allocated(device) - before + weights if cuda else None,
    )


def release() -> None:
    """Give memory that nothing uses any more back to the device."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
