"""The first line of a file of measurements: on what machine, of what model."""

from __future__ import annotations

import datetime as dt
import re
from typing import Annotated, Literal

from pydantic import AfterValidator, PositiveFloat

from calibrate.measure.quantities import Count, Number, Text
from planner.catalog.models import ModelShape
from planner.spec import Spec

#: Version of the measurement files that this program reads and writes.
SCHEMA_VERSION = 1


def _moment(text: str) -> str:
    """Return `text` if it is a date and time.

    Raises
    ------
    ValueError
        If it is none.
    """
    try:
        dt.datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"must be a date and time in ISO 8601, got {text!r:.60}") from None
    return text


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
    count: Count
    memory: PositiveFloat
    threads: Number
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


def same_machine(one: str, other: str, *, threads: bool) -> bool:
    """Return whether two fingerprints, as :attr:`Fingerprint.text`, are alike but for the clock.

    Parameters
    ----------
    one, other : str
        Fingerprints.
    threads : bool
        Whether the threads of a CPU, which a user chooses, must be alike too.
    """
    may_differ = r", \d+ MHz" if threads else r", \d+ MHz|, \d+ threads"
    return re.sub(may_differ, "", one) == re.sub(may_differ, "", other)


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
    created: Annotated[str, AfterValidator(_moment)]
    fingerprint: Fingerprint
    source: Text
    about: str
    shape: ModelShape
    base: Text

    @property
    def date(self) -> dt.date:
        """Day on which it was begun."""
        return dt.datetime.fromisoformat(self.created).date()
