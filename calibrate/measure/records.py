"""The lines of a measurement: what a measurements.jsonl holds, one JSON object per line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from calibrate.measure.hardware_records import BytesRecord, MatmulRecord, ParallelRecord
from calibrate.measure.header import Header
from calibrate.measure.quantities import Seconds, StepContent, Text, Timed
from calibrate.measure.stretches import ServedRecord
from planner.catalog.coefficients import Coefficient
from planner.latency.settings import Settings
from planner.spec import Spec
from planner.units import CountOrZero

if TYPE_CHECKING:
    from calibrate.measure.points import StepPoint


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
    weight_bytes: CountOrZero = 0
    parameters: CountOrZero = 0

    @property
    def key(self) -> str:
        """What tells it apart."""
        return f"variant {self.variant}"


class StepRecord(Timed, StepContent):
    """One engine step.

    Parameters
    ----------
    variant : str
        Name of the setting.
    reference : float, optional
        Median of the base's shortest step, taken in turns with this one: it tells how fast the
        machine was just then. [s]
    """

    kind: Literal["step"] = "step"
    variant: Text
    reference: Seconds | None = None

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
    weights: CountOrZero
    kv_cache: CountOrZero
    peak: CountOrZero | None

    @property
    def key(self) -> str:
        """What tells it apart."""
        return f"memory {self.variant}"


class QualityRecord(Spec):
    """What a variant costs in quality.

    Parameters
    ----------
    variant : str
        Name of the setting.
    metrics : dict of str to Coefficient
        As of :func:`calibrate.quality.perplexity.coefficients`; empty where it is unknown.
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
