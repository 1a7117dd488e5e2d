"""Distributions of one length, of the prompt or of the output."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, Literal, Self

import numpy as np
from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from planner.errors import Notice
from planner.spec import Spec
from planner.traffic.traces import MAX_TOKENS

if TYPE_CHECKING:
    from planner.traffic.intensity import FloatArray, IntArray

#: Tokens in a prompt or an output.
Tokens = Annotated[int, Field(ge=1, le=MAX_TOKENS)]


class FixedLength(Spec):
    """Always the same length.

    Parameters
    ----------
    tokens : int
        The length, >= 1.
    """

    kind: Literal["fixed"] = "fixed"
    tokens: Tokens

    def draw(self, n: int, rng: np.random.Generator) -> tuple[IntArray, list[Notice]]:  # noqa: ARG002 - as its siblings
        """Return `n` lengths, shape ``(n,)``, and no notice."""
        return np.full(n, self.tokens, np.int32), []


class UniformLength(Spec):
    """Every length from `min` to `max` equally often.

    Parameters
    ----------
    min, max : int
        Shortest and longest, both possible, >= 1.
    """

    kind: Literal["uniform"] = "uniform"
    min: Tokens = 1
    max: Tokens

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        _check_ordered(self)
        return self

    def draw(self, n: int, rng: np.random.Generator) -> tuple[IntArray, list[Notice]]:
        """Return `n` lengths, shape ``(n,)``, and no notice."""
        return rng.integers(self.min, self.max, size=n, dtype=np.int32, endpoint=True), []


class LognormalLength(Spec):
    """Lognormal lengths, rounded; those beyond `min` or `max` are set to it and counted.

    Parameters
    ----------
    mean : float
        Mean before clipping, > 0; clipping at `max` lowers it. [tokens]
    cv : float
        Coefficient of variation before clipping, > 0. [-]
    min, max : int
        Shortest and longest, >= 1.

    Notes
    -----
    The logarithm is normal with variance ``ln(1 + cv**2)`` and mean
    ``ln(mean) - ln(1 + cv**2)/2``.
    """

    kind: Literal["lognormal"] = "lognormal"
    mean: Annotated[float, Field(gt=0, le=MAX_TOKENS)]
    cv: Annotated[float, Field(gt=0, le=100)]
    min: Tokens = 1
    max: Tokens = MAX_TOKENS

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        _check_ordered(self)
        return self

    def draw(self, n: int, rng: np.random.Generator) -> tuple[IntArray, list[Notice]]:
        """Return `n` lengths, shape ``(n,)``, and notices that count the clipped."""
        variance = math.log1p(self.cv**2)
        drawn = rng.standard_normal(n)
        drawn *= math.sqrt(variance)
        drawn += math.log(self.mean) - variance / 2
        np.rint(np.exp(drawn, out=drawn), out=drawn)
        notices = []
        for bound, beyond, word in (
            (self.min, drawn < self.min, "below"),
            (self.max, drawn > self.max, "above"),
        ):
            count = int(np.count_nonzero(beyond))
            if count:
                notices.append(Notice(f"lengths drawn {word} {bound:,} tokens set to it", count))
        return np.clip(drawn, self.min, self.max, out=drawn).astype(np.int32), notices


class Quantile(Spec):
    """One row of a table of quantiles.

    Parameters
    ----------
    p : float
        Share of lengths up to `tokens`, 0 to 1.
    tokens : int
        The quantile, >= 1.
    """

    p: Annotated[float, Field(ge=0, le=1)]
    tokens: Tokens


class EmpiricalLength(Spec):
    """Lengths as observed: a list to draw from, or a table of quantiles.

    Parameters
    ----------
    values : tuple of int
        Observed lengths, each equally likely. Either this or `quantiles`.
    quantiles : tuple of Quantile
        Published quantiles, increasing, up to p = 1; without a row for p = 0 the shortest is 1.
        Between two rows the logarithm of the length is linear in p, which follows the long tails
        of token counts better than straight lines do.
    """

    kind: Literal["empirical"] = "empirical"
    values: Annotated[tuple[Tokens, ...], Field(min_length=1)] | None = None
    quantiles: Annotated[tuple[Quantile, ...], Field(min_length=1)] | None = None

    @model_validator(mode="after")
    def _is_a_distribution(self) -> Self:
        if (self.values is None) == (self.quantiles is None):
            raise PydanticCustomError(
                "empirical", "must have either 'values' or 'quantiles', one of the two"
            )
        if self.quantiles is None:
            return self
        rows = self.quantiles
        for before, after in pairwise(rows):
            if after.p <= before.p or after.tokens < before.tokens:
                raise PydanticCustomError(
                    "quantiles",
                    "must have increasing quantiles, got {tokens} tokens at p = {p} out of order",
                    {"tokens": after.tokens, "p": after.p},
                )
        if rows[-1].p != 1:
            raise PydanticCustomError(
                "quantiles",
                "must have quantiles up to p = 1, got {p} as the last; add the longest length",
                {"p": rows[-1].p},
            )
        return self

    def draw(self, n: int, rng: np.random.Generator) -> tuple[IntArray, list[Notice]]:
        """Return `n` lengths, shape ``(n,)``, and no notice."""
        if self.values is not None:
            return rng.choice(np.array(self.values, np.int32), n), []
        rows = self.quantiles or ()
        p = np.array([row.p for row in rows])
        logs = np.log([row.tokens for row in rows])
        if p[0] > 0:
            p, logs = np.append(0.0, p), np.append(0.0, logs)
        drawn: FloatArray = np.exp(np.interp(rng.random(n), p, logs))
        return np.rint(drawn).astype(np.int32), []


#: One side's distribution, told apart by ``kind``.
Length = Annotated[
    FixedLength | UniformLength | LognormalLength | EmpiricalLength, Field(discriminator="kind")
]


def _check_ordered(spec: UniformLength | LognormalLength) -> None:
    if spec.min > spec.max:
        raise PydanticCustomError(
            "bounds", "must have min <= max, got {min} > {max}", {"min": spec.min, "max": spec.max}
        )
