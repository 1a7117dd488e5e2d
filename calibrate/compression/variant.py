"""Variants of a model: the settings that a scenario names, made real."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal, get_args

from pydantic import ValidationError

from calibrate.compression.compiling import Compile
from calibrate.compression.pruning import Criterion, TwoOfFour, UnstructuredPruning
from calibrate.compression.quantisation import (
    Cast,
    Fp8Dynamic,
    Int4WeightOnly,
    Int8Dynamic,
    Int8WeightOnly,
)
from calibrate.compression.structured import StructuredPruning
from calibrate.models.load import load_model
from calibrate.models.loaded import DTYPES, LoadedModel, PlainDtype
from planner.catalog.files import problems_of
from planner.errors import InputError, did_you_mean
from planner.latency.settings import ActivationDtype, Pruning, Settings, WeightDtype
from planner.spec import Spec

if TYPE_CHECKING:
    from pathlib import Path

    import torch

    from calibrate.compression.base import Compression
    from planner.catalog.models import ModelShape

#: What `planner calibrate` measures by default.
DEFAULT_VARIANTS = (
    "bf16", "fp16", "fp32", "int8", "int8-bf16", "int4", "fp8",
    "unstructured:0.5", "random:0.5", "structured:0.25", "structured:0.5", "2:4",
    "bf16+compile", "bf16+cuda_graphs",
)  # fmt: skip

#: Modes of torch.compile by how kernels are launched; here the default is eager.
_COMPILED: dict[str, Literal["default", "reduce-overhead"]] = {
    "compile": "default", "cuda_graphs": "reduce-overhead",
}  # fmt: skip
_QUANTISED: dict[tuple[str, bool], type[Int8Dynamic | Int8WeightOnly | Int4WeightOnly | Fp8Dynamic]]
_QUANTISED = {  # by weights, and whether activations are in the same type
    ("int8", True): Int8Dynamic,
    ("int8", False): Int8WeightOnly,
    ("int4", False): Int4WeightOnly,
    ("fp8", True): Fp8Dynamic,
}


class Variant(Spec):
    """A model with settings applied for real.

    Parameters
    ----------
    settings : Settings
        As in a scenario.
    criterion : {"magnitude", "random"}
        Which weights pruning removes.
    """

    settings: Settings = Settings()
    criterion: Criterion = "magnitude"

    @property
    def name(self) -> str:
        """What :func:`parse_variant` reads back, e.g. ``int8+structured:0.5``."""
        settings, random = self.settings, self.criterion == "random"
        dtype: str = settings.weights
        if settings.activations is not None:
            dtype += f"-{settings.activations}"
        pruning = settings.pruning
        names: dict[str, str] = {"unstructured": "random", "structured": "random_structured"}
        pattern = names.get(pruning.pattern, "") if random else pruning.pattern
        words = [] if dtype == "bf16" and pruning.rate else [dtype]
        if pruning.pattern == "2:4":
            words.append("2:4")
        elif pruning.rate:
            words.append(f"{pattern}:{pruning.rate!r}")
        if self.settings.launch in _COMPILED:
            words.append(self.settings.launch)
        return "+".join(words)

    @property
    def dtype(self) -> PlainDtype:
        """Data type of what is not quantised; the model is loaded in it."""
        for name in DTYPES:
            if name == self.settings.plain_dtype:
                return name
        raise InputError(f"must have a plain data type, got {self.settings.plain_dtype!r}")

    def missing(self) -> str | None:
        """Return why no device can run it here, or None."""
        weights, computes = self.settings.weights, self.settings.compute_dtype
        known = (weights, computes == weights) in _QUANTISED and computes in {weights, self.dtype}
        if weights not in DTYPES and not known:
            return f"no kernel here for {weights} weights with {computes} activations"
        if self.settings.pruning.pattern == "2:4" and weights not in DTYPES:
            return f"no kernel here for 2:4 with {weights} weights"
        if self.settings.kv_cache != self.dtype:
            return (
                f"the engine keeps its KV cache in {self.dtype}, as the model, got "
                f"{self.settings.kv_cache}"
            )
        return None

    def supported(self, device: torch.device) -> str | None:
        """Return why `device` cannot run it at its speed, or None if it can."""
        reasons = [self.missing()]
        if reasons == [None]:
            reasons = [each.supported(device) for each in self.compressions()]
        return next((each for each in reasons if each is not None), None)

    def compressions(self) -> tuple[Compression, ...]:
        """Return what makes it of a plain model, in order."""
        steps: list[Compression] = [Cast(dtype=self.dtype)]
        pruning = self.settings.pruning
        if pruning.pattern == "unstructured":
            steps.append(UnstructuredPruning(rate=pruning.rate, criterion=self.criterion))
        if pruning.pattern == "structured":
            steps.append(StructuredPruning(rate=pruning.rate, criterion=self.criterion))
        if pruning.pattern == "2:4":
            steps.append(TwoOfFour())
        weights = self.settings.weights
        if weights not in DTYPES:
            same = self.settings.compute_dtype == weights
            steps.append(_QUANTISED[weights, same](dtype=self.dtype))
        if self.settings.launch in _COMPILED:
            steps.append(Compile(mode=_COMPILED[self.settings.launch]))
        return tuple(steps)

    def apply(self, loaded: LoadedModel) -> LoadedModel:
        """Change the model that is `loaded`, in place, and return it with its new shape.

        Works where :meth:`missing` has no reason against it, also on a device that
        :meth:`supported` has one against: the quality is right there, the speed is not.

        Raises
        ------
        InputError
            If it is missing here or does not fit the model's sizes.
        """
        reason = self.missing()
        if reason is not None:
            raise InputError(f"variant {self.name!r} cannot be made: {reason}")
        model, shape = loaded.model, loaded.shape
        for each in self.compressions():
            shape, model = each.compressed(shape), each.apply(model)
        return loaded.with_model(model, shape, self.dtype)

    def load(
        self, source: str | Path | ModelShape, device: str | torch.device | None = None
    ) -> LoadedModel:
        """Return the model from `source`, see :func:`load_model`, with the variant applied."""
        return self.apply(load_model(source, self.dtype, device))


def parse_variant(text: str) -> Variant:
    """Return the variant that `text` names.

    Words are joined by ``+``: a data type of the weights, as ``int8``, or of weights and
    activations, as ``int8-bf16``; a pruning, ``unstructured``, ``random`` (unstructured, any
    weights), ``structured`` or ``random_structured`` with its rate, as ``structured:0.5`` or
    ``structured:50%``, or ``2:4``; ``compile`` or ``cuda_graphs``.

    Raises
    ------
    InputError
        If a word is none of these, or two are of one kind.
    """
    found: dict[str, object] = {}
    for word in text.split("+"):
        for key, value in _word(word.strip(), text).items():
            if key in found:
                raise InputError(f"variant must have one {key}, got two in {text!r:.80}")
            found[key] = value
    criterion = found.pop("criterion", "magnitude")
    try:
        plain = Settings.model_validate(found).plain_dtype
        settings = Settings.model_validate({**found, "kv_cache": plain})
    except ValidationError as error:
        raise InputError(problems_of(error, "")) from None
    return Variant.model_validate({"settings": settings, "criterion": criterion})


def _word(word: str, text: str) -> dict[str, object]:
    """Return the settings that one word of a variant stands for."""
    weights, activations = get_args(WeightDtype), get_args(ActivationDtype)
    if word in {"compile", "cuda_graphs"}:
        return {"launch": word}
    if word == "2:4":
        return {"pruning": Pruning(pattern="2:4", rate=0.5)}
    first, _, second = word.partition("-")
    if first in weights and (second in activations or word == first):
        return {"weights": first, **({"activations": second} if second else {})}
    patterns = {
        "unstructured": ("unstructured", "magnitude"),
        "structured": ("structured", "magnitude"),
        "random": ("unstructured", "random"),
        "random_structured": ("structured", "random"),
    }
    pattern, _, rate = word.partition(":")
    if pattern in patterns:
        kind, criterion = patterns[pattern]
        return {
            "pruning": {"pattern": kind, "rate": _rate(rate, text)},
            **({"criterion": criterion} if criterion == "random" else {}),
        }
    near = did_you_mean(pattern, [*weights, *patterns, "2:4", "compile", "cuda_graphs"])
    raise InputError(f"variant must be made of known words, got {word!r:.80} in {text!r:.80}{near}")


def _rate(rate: str, text: str) -> float:
    """Return the share that ``0.5`` or ``50%`` means."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?(?:e-?\d+)?)(%?)", rate, flags=re.ASCII)
    if match is None:
        raise InputError(
            f"variant must give a rate such as 0.5 or 50%, got {rate!r:.40} in {text!r:.80}"
        )
    return float(match[1]) / (100 if match[2] else 1)
