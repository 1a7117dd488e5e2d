"""The lines of a measurement: what a measurements.jsonl holds, one JSON object per line."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from calibrate.measure.points import StepPoint
from calibrate.measure.stretches import ServedRecord
from planner.catalog.devices import PeakDtype
from planner.catalog.models import ModelShape
from planner.catalog.profile import Coefficient
from planner.latency.settings import Settings
from planner.spec import Spec

#: Version of the measurement files that this program reads and writes.
SCHEMA_VERSION = 1
Text = Annotated[str, Field(min_length=1)]


class Fingerprint(Spec):
    """The machine and software of a measurement.

    Parameters
    ----------
    device : str
        Name of the accelerator, or of the CPU.
    kind : {"gpu", "cpu"}
        What it is.
    count : int
        Devices of this kind in the machine; of a CPU its sockets are one device.
    memory : float
        Of one device. [B]
    threads : int
        Threads that a step uses on a CPU; 0 on a GPU.
    features : str
        Instruction set or compute capability.
    clocks : str
        Clock frequency as the driver or the system gives it, or empty.
    driver : str
        Driver of a GPU; kernel of the operating system for a CPU.
    torch, transformers, python, planner : str
        Versions.
    """

    device: Text
    kind: Literal["gpu", "cpu"]
    count: PositiveInt
    memory: PositiveFloat
    threads: NonNegativeInt
    features: str
    clocks: str
    driver: str
    torch: Text
    transformers: Text
    python: Text
    planner: Text

    def differences(self, other: Fingerprint) -> list[str]:
        """Return what of `other` is not as here, ``key: here, there``; clocks may drift."""
        mine, theirs = self.model_dump(), other.model_dump()
        return [
            f"{key}: {value!r}, {theirs[key]!r}"
            for key, value in mine.items()
            if key != "clocks" and theirs[key] != value
        ]

    @property
    def text(self) -> str:
        """All of it on one line."""
        threads = f", {self.threads} threads" if self.kind == "cpu" else ""
        clocks = f", {self.clocks}" if self.clocks else ""
        return (
            f"{self.count} x {self.device} ({self.features}{threads}{clocks}), {self.driver}, "
            f"torch {self.torch}, transformers {self.transformers}, Python {self.python}, "
            f"planner {self.planner}"
        )


class Header(Spec):
    """First line: on what and of what the measurements are.

    Parameters
    ----------
    schema_version : int
        :data:`SCHEMA_VERSION`.
    created : str
        When it was begun, ISO 8601.
    fingerprint : Fingerprint
        Machine and software.
    source : str
        Model as the user named it.
    about : str
        Where its weights come from.
    shape : ModelShape
        Of the uncompressed model.
    base : str
        Variant that the others are compared with.
    """

    kind: Literal["header"] = "header"
    schema_version: Literal[1] = 1
    created: Text
    fingerprint: Fingerprint
    source: Text
    about: str
    shape: ModelShape
    base: Text


class VariantRecord(Spec):
    """One way of running the model: what was loaded, or why it was not.

    Parameters
    ----------
    variant : str
        Name of the setting.
    settings : Settings
        As a scenario writes it.
    unsupported : str, optional
        Why the device cannot run it.
    weight_bytes : int
        Memory of its weights. [B]
    parameters : int
        Weights, zeros included.
    """

    kind: Literal["variant"] = "variant"
    variant: Text
    settings: Settings
    unsupported: str | None = None
    weight_bytes: NonNegativeInt = 0
    parameters: NonNegativeInt = 0

    @property
    def key(self) -> str:
        """What tells it apart."""
        return f"variant {self.variant}"


class Timed(Spec):
    """A duration that was measured several times.

    Parameters
    ----------
    seconds : float
        Median. [s]
    spread : float
        Standard error of the median over it, from the middle half of the samples. [-]
    samples : tuple of float
        In the order in which they were taken, without warm-up. [s]
    """

    seconds: PositiveFloat
    spread: NonNegativeFloat
    samples: tuple[PositiveFloat, ...]


class StepRecord(Timed):
    """One engine step.

    Parameters
    ----------
    variant : str
        Name of the setting.
    prefill : tuple of (int, int)
        See :class:`~calibrate.measure.points.StepPoint`.
    decode : tuple of int
        The same.
    reference : float, optional
        Median of the base's shortest step, taken in turns with this one: it tells how fast the
        machine was just then. [s]
    """

    kind: Literal["step"] = "step"
    variant: Text
    reference: PositiveFloat | None = None
    prefill: tuple[tuple[PositiveInt, NonNegativeInt], ...] = ()
    decode: tuple[NonNegativeInt, ...] = ()

    @property
    def point(self) -> StepPoint:
        """What was in the step."""
        return StepPoint(self.prefill, self.decode)

    @property
    def key(self) -> str:
        """What tells it apart."""
        return step_key(self.variant, self.point)


def step_key(variant: str, point: StepPoint) -> str:
    """Return what tells a step of a variant apart from others."""
    return f"step {variant}: {point.key}"


class LeftOut(Spec):
    """Something that could not be measured; a later run tries again.

    Parameters
    ----------
    what : str
        The key of the record that it would have been.
    reason : str
        Why not.
    """

    kind: Literal["left_out"] = "left_out"
    what: Text
    reason: Text

    @property
    def key(self) -> str:
        """What tells it apart; not the key of the record, which is still to be measured."""
        return f"left out: {self.what}"


class MemoryRecord(Spec):
    """Memory in use while the largest point of a variant ran.

    Parameters
    ----------
    variant : str
        Name of the setting.
    weights, kv_cache : int
        Of weights and of the cache as allocated. [B]
    peak : int, optional
        Most that was allocated of a GPU; unknown on a CPU, whose process holds all variants. [B]
    """

    kind: Literal["memory"] = "memory"
    variant: Text
    weights: NonNegativeInt
    kv_cache: NonNegativeInt
    peak: NonNegativeInt | None

    @property
    def key(self) -> str:
        """What tells it apart."""
        return f"memory {self.variant}"


class MatmulRecord(Timed):
    """One product of two square matrices.

    Parameters
    ----------
    dtype : str
        Of both.
    size : int
        Rows and columns.
    """

    kind: Literal["matmul"] = "matmul"
    dtype: PeakDtype
    size: PositiveInt

    @property
    def key(self) -> str:
        """What tells it apart."""
        return f"matmul {self.dtype} {self.size}"

    @property
    def rate(self) -> float:
        """Operations per second, ``2 n**3 / t`` [FLOP/s]."""
        return 2 * self.size**3 / self.seconds


class BytesRecord(Timed):
    """Bytes moved in one go.

    Parameters
    ----------
    what : str
        ``memory``: read by the device from its own memory. ``disk``: read from a file that no
        cache holds. ``host_to_device``: copied from the host. ``all_reduce``: summed over
        processes. ``point_to_point``: sent from one process to another.
    size : int
        Bytes read, copied, sent, or of each process' vector. [B]
    processes : int
        That take part; 1 for what has no partner.
    backend : str
        gloo or nccl between processes, otherwise empty.
    """

    kind: Literal["bytes"] = "bytes"
    what: Literal["memory", "disk", "host_to_device", "all_reduce", "point_to_point"]
    size: PositiveInt
    processes: PositiveInt = 1
    backend: str = ""

    @property
    def key(self) -> str:
        """What tells it apart."""
        return f"{self.what} {self.size} B x {self.processes}"

    @property
    def rate(self) -> float:
        """Bytes per second [B/s]."""
        return self.size / self.seconds


class ParallelRecord(Timed):
    """A batch split over processes, each with the whole model, and the outputs merged.

    Parameters
    ----------
    processes : int
        P: 1 is the forward pass of the whole batch in one process.
    batch : int
        Rows of the whole batch, split evenly.
    tokens : int
        Of each row.
    forward : float
        Median of the slowest process' forward pass alone. [s]
    threads : int
        Threads of each process.
    """

    kind: Literal["parallel"] = "parallel"
    processes: PositiveInt
    batch: PositiveInt
    tokens: PositiveInt
    forward: PositiveFloat
    threads: NonNegativeInt

    @property
    def key(self) -> str:
        """What tells it apart."""
        return f"parallel {self.processes}: {self.batch}x{self.tokens}"


class QualityRecord(Spec):
    """What a variant costs in quality.

    Parameters
    ----------
    variant : str
        Name of the setting.
    metrics : dict of str to Coefficient
        As :func:`calibrate.quality.coefficients` returns them; empty where it is unknown.
    about : str
        Text and weights, or why it is unknown.
    """

    kind: Literal["quality"] = "quality"
    variant: Text
    metrics: dict[str, Coefficient]
    about: Text

    @property
    def key(self) -> str:
        """What tells it apart."""
        return f"quality {self.variant}"


Record = Annotated[
    Header
    | VariantRecord
    | StepRecord
    | ServedRecord
    | LeftOut
    | MemoryRecord
    | MatmulRecord
    | BytesRecord
    | ParallelRecord
    | QualityRecord,
    Field(discriminator="kind"),
]
#: Everything that has a key: all lines but the first.
Measured = (
    VariantRecord
    | StepRecord
    | ServedRecord
    | LeftOut
    | MemoryRecord
    | MatmulRecord
    | BytesRecord
    | ParallelRecord
    | QualityRecord
)
