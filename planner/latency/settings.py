"""Optimisation settings: data types and pruning, as a user chooses them."""

from __future__ import annotations

from typing import Literal

from pydantic import model_validator
from pydantic_core import PydanticCustomError

from planner.spec import Spec
from planner.units import Fraction

WeightDtype = Literal["fp32", "bf16", "fp16", "fp8", "int8", "int4", "fp4", "mxfp4"]
KvDtype = Literal["fp32", "bf16", "fp16", "fp8", "int8"]
ActivationDtype = Literal["fp32", "bf16", "fp16", "fp8", "int8", "fp4"]
Pattern = Literal["none", "unstructured", "structured", "2:4"]


class Pruning(Spec):
    """Which weights were removed.

    Parameters
    ----------
    pattern : {"none", "unstructured", "structured", "2:4"}
        ``unstructured``: single weights, stored as zeros. ``structured``: whole rows, heads or
        channels. ``2:4``: two of every four, for sparse tensor cores.
    rate : float
        Share of the linear layers' weights removed; 0.5 for ``2:4``.
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
        rule = {
            "none": ("0 without a pattern", self.rate == 0),
            "2:4": ("0.5 for '2:4'", self.rate == 0.5),
        }.get(self.pattern, (f"above 0 and below 1 for '{self.pattern}'", 0 < self.rate < 1))
        if not rule[1]:
            raise PydanticCustomError(
                "broken_rule",
                "must be {rule}, got {got}",
                {"key": "rate", "rule": rule[0], "got": repr(self.rate)},
            )
        return self


class Settings(Spec):
    """Data types and pruning of a served model.

    Parameters
    ----------
    weights : str
        Data type of the stored weights.
    kv_cache : str
        Data type of the KV cache.
    activations : str, optional
        Data type that the linear layers compute in; by default what the weights' usual scheme
        computes in, e.g. ``fp8`` for ``fp8`` weights and ``bf16`` for ``int4`` ones.
    pruning : Pruning
        Which weights were removed.
    """

    weights: WeightDtype = "bf16"
    kv_cache: KvDtype = "bf16"
    activations: ActivationDtype | None = None
    pruning: Pruning = Pruning()
