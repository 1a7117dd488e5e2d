"""Optimisation settings: data types, pruning, how kernels are launched; as a user chooses them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import model_validator

from planner.catalog.formats import Part, formats
from planner.catalog.provenance import SourcedNumber
from planner.catalog.rules import Rule, check
from planner.errors import InputError, Problem
from planner.spec import Spec
from planner.units import Fraction

if TYPE_CHECKING:
    from collections.abc import Mapping

    from planner.catalog.devices import Device, PeakDtype
    from planner.catalog.formats import Speedup
    from planner.catalog.profile import Profile

WeightDtype = Literal["fp32", "bf16", "fp16", "fp8", "int8", "int4", "fp4", "mxfp4"]
KvDtype = Literal["fp32", "bf16", "fp16", "fp8", "int8"]
ActivationDtype = Literal["fp32", "bf16", "fp16", "fp8", "int8", "fp4"]
Launch = Literal["default", "eager", "compile", "cuda_graphs"]
Pattern = Literal["none", "unstructured", "structured", "2:4"]


class Pruning(Spec):
    """Which weights of the layers were removed.

    Parameters
    ----------
    pattern : {"none", "unstructured", "structured", "2:4"}
        ``unstructured``: single weights, stored as zeros. ``structured``: whole rows, heads or
        channels. ``2:4``: two of every four, for sparse tensor cores.
    rate : float
        Share removed, 0 to 1; 0.5 for ``2:4``.
    """

    pattern: Pattern = "none"
    rate: Fraction = 0.0

    @model_validator(mode="before")
    @classmethod
    def _two_of_four_is_half(cls, data: object) -> object:
        if isinstance(data, dict) and data.get("pattern") == "2:4":
            return {"rate": 0.5, **data}
        return data

    @model_validator(mode="after")
    def _rate_fits_pattern(self) -> Pruning:
        rules = {
            "none": ("0 without a pattern", self.rate == 0),
            "2:4": ("0.5 for '2:4'", self.rate == 0.5),
        }
        between = (f"above 0 and below 1 for {self.pattern!r}", 0 < self.rate < 1)
        check(self, [Rule("rate", *rules.get(self.pattern, between))])
        return self


class Settings(Spec):
    """Data types and pruning of a served model, and how its kernels are launched.

    Parameters
    ----------
    weights : str
        Data type of the stored weights.
    kv_cache : str
        Data type of the KV cache.
    activations : str, optional
        Data type that the layers compute in; by default what the weights' usual scheme computes
        in, e.g. ``fp8`` for ``fp8`` weights and ``bf16`` for ``int4`` ones.
    pruning : Pruning
        Which weights were removed.
    launch : {"default", "eager", "compile", "cuda_graphs"}
        How kernels are launched; ``default`` is how they were when the profile was measured.
        Another changes something only where the profile has measured it.
    """

    weights: WeightDtype = "bf16"
    kv_cache: KvDtype = "bf16"
    activations: ActivationDtype | None = None
    pruning: Pruning = Pruning()
    launch: Launch = "default"

    @model_validator(mode="after")
    def _activations_fit_weights(self) -> Settings:
        possible = formats().weights[self.weights].computes_in
        rule = f"one of {', '.join(possible)} for {self.weights} weights"
        fits = self.activations is None or self.activations in possible
        check(self, [Rule("activations", rule, fits)])
        return self

    @property
    def compute_dtype(self) -> PeakDtype:
        """Data type whose peak the layers' matrix products run against."""
        return self.activations or formats().weights[self.weights].activations

    @property
    def precision(self) -> str:
        """Data types of weights and, where they differ, of their products, as ``int8-bf16``."""
        computes = self.compute_dtype
        return self.weights if computes == self.weights else f"{self.weights}-{computes}"

    @property
    def plain_dtype(self) -> PeakDtype:
        """Data type of what is not quantised: attention, output head, all-reduced activations."""
        stored = formats().weights[self.weights]
        if stored.scope == "all":
            return stored.activations
        return "fp16" if self.compute_dtype == "fp16" else "bf16"

    @property
    def plain_bytes(self) -> float:
        """Bytes per element of :attr:`plain_dtype` [B]."""
        return formats().activations[self.plain_dtype].bytes

    @property
    def kv_bytes(self) -> float:
        """Bytes per element of KV cache [B]."""
        return formats().kv_cache[self.kv_cache].bytes

    @property
    def flops_left(self) -> float:
        """Share of the layers' FLOPs that pruning leaves."""
        return 1 - formats().pruning[self.pruning.pattern].flops_removed * self.pruning.rate

    def _pruned(self, bytes_per_parameter: float) -> float:
        pattern = formats().pruning[self.pruning.pattern]
        left = 1 - pattern.bytes_removed * self.pruning.rate
        return bytes_per_parameter * left + pattern.metadata_bits / 8

    @property
    def layer_bytes(self) -> float:
        """Bytes per original parameter of the layers, routed experts apart [B]."""
        stored = formats().weights[self.weights]
        return self._pruned(self.plain_bytes if stored.scope == "experts" else stored.bytes)

    @property
    def expert_bytes(self) -> float:
        """Bytes per original parameter of the routed experts [B]."""
        return self._pruned(formats().weights[self.weights].bytes)

    def numbers(self) -> list[SourcedNumber]:
        """Return what the data types and the pruning mean in bytes and FLOPs, with sources."""
        known = formats()
        stored, kept = known.weights[self.weights], known.kv_cache[self.kv_cache]
        found = [
            SourcedNumber(
                f"bytes per weight, {self.weights}",
                stored.bytes,
                "B",
                stored.provenance,
                stored.source,
            ),
            SourcedNumber(
                f"bytes per KV element, {self.kv_cache}",
                kept.bytes,
                "B",
                kept.provenance,
                kept.source,
            ),
        ]
        if self.pruning.pattern != "none":
            pattern = known.pruning[self.pruning.pattern]
            name = f"FLOPs left, pruning {self.pruning.pattern}"
            origin = (pattern.provenance, pattern.source)
            found.append(SourcedNumber(name, self.flops_left, "-", *origin))
            name = f"bytes left per weight, pruning {self.pruning.pattern}"
            found.append(SourcedNumber(name, self.layer_bytes, "B", *origin))
        return found

    def check(self, device: Device) -> None:
        """Do nothing if `device` can compute in the data types chosen.

        Raises
        ------
        InputError
            If it has no peak for one of them; says which it has and what to do.
        """
        for dtype in (self.compute_dtype, self.plain_dtype):
            if dtype not in device.peaks:
                raise InputError(Problem(self._unsupported(device, dtype), "service.settings"))

    def _unsupported(self, device: Device, dtype: str) -> str:
        known = ", ".join(device.peaks) or "none"
        stored = formats().weights[self.weights]
        other = [each for each in stored.computes_in if each in device.peaks]
        if other and dtype == self.compute_dtype:
            what = f"write activations: {other[0]} to compute {self.weights} weights in {other[0]}"
        elif device.peaks:
            what = "choose weights of one of these, or give the device inline with that peak"
        else:
            what = f"write the device inline with peaks: {{{dtype}: ... TFLOP/s}}"
        return (
            f"must compute in a data type that {device.name!r} has a peak for, got {dtype} "
            f"({self.weights} weights); it has: {known}; {what}"
        )

    def speedup(self, part: Part, profile: Profile, *kinds: str) -> list[SourcedNumber]:
        """Return the factors that divide `part` of the step's time, each with its source.

        Parameters
        ----------
        part : {"compute", "storage", "transfer", "overhead"}
            Part of the step.
        profile : Profile
            Its own measured factors replace those of the catalogue.
        *kinds : {"weights", "kv_cache", "pruning", "launch"}
            Settings that count. Those that leave the model as it is, 16-bit and unpruned and
            launched as the profile's was, have no factor: everything is relative to them.
        """
        chosen: dict[str, tuple[str, Mapping[Part, Speedup]]] = {
            "weights": (self.weights, formats().weights[self.weights].speedup),
            "kv_cache": (self.kv_cache, formats().kv_cache[self.kv_cache].speedup),
            "pruning": (self.pruning.pattern, formats().pruning[self.pruning.pattern].speedup),
            "launch": (self.launch, {}),
        }
        narrower = {
            "weights": f"-{self.compute_dtype}",
            "kv_cache": "",
            "launch": "",
            "pruning": f":{self.pruning.rate:g}",
        }
        numbers = []
        for kind in kinds:
            name, catalogue = chosen[kind]
            key = f"{kind}.{name}"
            found = (
                profile.settings.get(f"{key}{narrower[kind]}", {}).get(part)
                or profile.settings.get(key, {}).get(part)
                or catalogue.get(part)
            )
            label = f"speedup of {part} by {key}"
            if found is not None:
                numbers.append(
                    SourcedNumber(label, found.value, "-", found.provenance, found.source)
                )
            elif name not in {"none", "bf16", "fp16", "fp32", "default"}:
                why = "no change beyond FLOPs and bytes until `calibrate` measures it"
                numbers.append(SourcedNumber(label, 1.0, "-", "assumed", why))
        return numbers
