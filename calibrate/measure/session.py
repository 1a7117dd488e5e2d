"""A calibration: loads the variants, measures what is missing, and keeps every result at once."""

from __future__ import annotations

import datetime as dt
import time
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from calibrate.compression.base import first_line
from calibrate.compression.quantisation import Cast
from calibrate.compression.variant import Variant, parse_variant
from calibrate.measure.device_tasks import hardware_tasks, link_tasks
from calibrate.measure.fingerprint import fingerprint
from calibrate.measure.header import Header
from calibrate.measure.journal import Journal, refuse_if_being_written
from calibrate.measure.points import shuffled, spread
from calibrate.measure.records import QualityRecord, VariantRecord, step_key
from calibrate.measure.serving import measure_served
from calibrate.measure.steps import (
    Loaded,
    first_steps,
    fits_model,
    measure_memory,
    measure_point,
    release,
)
from calibrate.measure.stretches import served_key
from calibrate.measure.tasks import Task, why_left_out, work_through
from calibrate.models.free_memory import free_memory
from calibrate.models.load import load_model
from calibrate.pulse import Watch, pulse_of
from calibrate.quality.perplexity import coefficients, quality, reference
from planner.catalog.models import ModelShape
from planner.errors import InputError, PlannerError
from planner.latency.footprint import weight_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from calibrate.measure.journal import Measurements
    from calibrate.measure.plan import Plan
    from calibrate.measure.points import StepPoint
    from calibrate.measure.records import Measured
    from calibrate.quality.perplexity import Predictions

#: Share of the free memory that the weights of variants measured in turns may take.
_WEIGHTS = 0.5


@dataclass(frozen=True)
class Outcome:
    """What a calibration did.

    Parameters
    ----------
    measured : Measurements
        All that is in the file now.
    late : int
        Points that are left for lack of time.
    """

    measured: Measurements
    late: int


def calibrate(plan: Plan, path: Path, advance: Callable[[float], None]) -> Outcome:
    """Measure what the file at `path` does not have yet.

    Parameters
    ----------
    plan : Plan
        What to measure.
    path : Path
        File of measurements, new or of an earlier run of the same plan.
    advance : callable
        Told the share that is done.

    Raises
    ------
    InputError
        If a variant or model is unknown, the file is of another machine or model or cannot be
        written, or the base does not run.
    """
    if not plan.variants:
        raise InputError("must have a variant to measure, got none; give one, as bf16")
    variants = [parse_variant(name) for name in plan.variants]
    refuse_if_being_written(path)  # before a model is loaded
    base = _load_base(variants[0], plan)
    header = Header(
        created=dt.datetime.now(tz=dt.UTC).isoformat(timespec="seconds"),
        fingerprint=fingerprint(plan.device),
        source=plan.source.name if isinstance(plan.source, ModelShape) else str(plan.source),
        about=base.model.about,
        shape=base.model.shape,
        base=variants[0].name,
    )
    # what it takes to load the model is no time to measure in
    deadline = float("inf") if plan.seconds is None else time.monotonic() + plan.seconds
    with Journal(path, header) as journal:
        session = _Session(plan, journal, base, variants)
        late = session.run(advance, deadline)
        return Outcome(journal.measured, late)


def _load_base(variant: Variant, plan: Plan) -> Loaded:
    """Return the base in memory, of which the other variants are made."""
    if [type(each) for each in variant.compressions()] != [Cast]:
        raise InputError(f"the base must be a plain data type, as bf16, got {variant.name!r}")
    reason = variant.supported(plan.device)
    if reason is not None:
        raise InputError(f"the base must run on {plan.device}, got {variant.name!r}: {reason}")
    try:
        model = variant.apply(load_model(plan.source, variant.dtype, plan.device))
    except Exception as error:
        why = why_left_out(error)
        if why is None or isinstance(error, PlannerError):
            raise
        raise InputError(f"model {plan.source!s:.80} cannot be loaded: {why}") from error
    return Loaded(variant, model)


def _unsupported(variant: Variant, reason: str) -> VariantRecord:
    return VariantRecord(variant=variant.name, settings=variant.settings, unsupported=reason)


class _Session:
    """One run over a plan."""

    def __init__(
        self, plan: Plan, journal: Journal, base: Loaded, variants: Sequence[Variant]
    ) -> None:
        self.plan, self.journal, self.base = plan, journal, base
        self.variants = variants
        self._reference: Predictions | None = None
        shape = base.model.shape
        points = [each for each in plan.points(shape.max_position) if fits_model(each, shape)]
        self._points = shuffled(points, plan.seed)
        self._clients = plan.serving.clients if shape.arch == "decoder" else ()
        self._watch = Watch(pulse_of(plan.device))

    def run(self, advance: Callable[[float], None], deadline: float) -> int:
        """Measure all parts; return how many tasks were left for lack of time."""
        groups = self._groups()
        shares = [0.05, *([0.85 / len(groups)] * len(groups)), 0.1]
        late = done = 0.0

        def part(share: float) -> Callable[[float], None]:
            start = done
            return lambda inside: advance(start + share * inside)

        tasks: list[Callable[[], list[Task]]] = [
            partial(hardware_tasks, self.plan, self.journal.path.parent),
            *(partial(self._group_tasks, group) for group in groups),
            partial(link_tasks, self.plan, self.base.model.shape),
        ]
        for share, make in zip(shares, tasks, strict=True):
            late += work_through(make(), self.journal, part(share), deadline)
            done += share
            release()
        return int(late)

    def _groups(self) -> list[list[Variant]]:
        """Return the variants beside the base in groups whose weights fit into memory together.

        Those that are done, or that the device cannot run, are in none; what there is to say
        about the latter is written down.
        """
        room = _WEIGHTS * free_memory(self.plan.device)
        groups: list[list[Variant]] = [[]]
        taken = 0.0
        for variant in self.variants[1:]:
            reason = variant.supported(self.plan.device)
            if reason is not None:
                self.journal.append(_unsupported(variant, reason))
                continue
            size = 2 * weight_bytes(self.base.model.shape, variant.settings)
            if taken + size > room and groups[-1]:
                groups.append([])
                taken = 0.0
            groups[-1].append(variant)
            taken += size
        return groups

    def _group_tasks(self, group: Sequence[Variant]) -> list[Task]:
        """Load what is still to be measured of a group, and return what is to be done."""
        loaded = [self.base]
        wanted = [variant for variant in group if self._pending(variant)]
        loaded += [each for variant in wanted if (each := self._try_to_load(variant)) is not None]
        for each in loaded:
            self.journal.append(each.record)
        steps = [self._point_task(point, loaded) for point in self._points]
        tasks = spread([steps, self._served_tasks(loaded)])
        largest = max(self._points, key=lambda point: point.context)
        for each in loaded:
            name = each.variant.name
            tasks.append(Task.one(f"memory {name}", partial(measure_memory, each, largest)))
            if self.plan.windows != 0:
                tasks.append(Task.one(f"quality {name}", partial(self._quality, each)))
        return tasks

    def _served_tasks(self, loaded: Sequence[Loaded]) -> list[Task]:
        """Return the serving of every number of clients, by all variants in turn.

        Not with CUDA graphs: one is recorded for every number of tokens that a step has, so that
        most of the time would go into recording.
        """
        plan = self.plan.serving
        return [
            Task.one(
                served_key(each.variant.name, clients),
                partial(measure_served, each, self.base, plan, clients),
            )
            for clients in self._clients
            for each in loaded
            if each.variant.settings.launch != "cuda_graphs"
        ]

    def _pending(self, variant: Variant) -> bool:
        keys = [step_key(variant.name, point) for point in self._points]
        if variant.settings.launch != "cuda_graphs":
            keys += [served_key(variant.name, clients) for clients in self._clients]
        keys += [f"memory {variant.name}"]
        keys += [f"quality {variant.name}"] if self.plan.windows != 0 else []
        return any(key not in self.journal for key in keys)

    def _point_task(self, point: StepPoint, loaded: Sequence[Loaded]) -> Task:
        keys = tuple(step_key(each.variant.name, point) for each in loaded)
        return Task(keys, partial(measure_point, point, loaded, self.plan.repeats, self._watch))

    def _try_to_load(self, variant: Variant) -> Loaded | None:
        """Return the variant in memory; None, with the reason noted, if it does not fit or run."""
        found: list[Loaded] = []

        def load() -> Iterator[Measured]:
            try:
                made = self._made(variant)
                first_steps(made)
            except RuntimeError as error:  # kernels raise it
                if why_left_out(error) is not None:
                    raise
                yield _unsupported(variant, first_line(error))
                return
            found.append(made)
            yield made.record

        key = f"variant {variant.name}"
        known = self.journal.measured.records.get(key)
        if isinstance(known, VariantRecord):
            return self._made(variant) if known.unsupported is None else None
        work_through([Task((key,), load)], self.journal, lambda _: None, float("inf"))
        return found[0] if found else None

    def _made(self, variant: Variant) -> Loaded:
        """Return the variant made of a copy of the base: no file is read again."""
        base = self.base.model
        copy = base.with_model(deepcopy(base.model), base.shape, base.dtype)
        return Loaded(variant, variant.apply(copy))

    def _quality(self, loaded: Loaded) -> QualityRecord:
        about = loaded.model.about
        if self._reference is None:
            self._reference = reference(self.base.model, limit=self.plan.windows)
        metrics = coefficients(quality(loaded.model, self._reference), about)
        if not metrics:
            about = f"unknown: {about}"
        return QualityRecord(variant=loaded.variant.name, metrics=metrics, about=about)
