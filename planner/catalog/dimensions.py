"""Sizes of a model: whole numbers, none larger than any model's."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

#: Largest dimension that is taken for one.
MAX_SIZE = 10**9
#: Most layers: groups of them share the KV cache, and each is kept.
MAX_LAYERS = 10**5
#: A whole number from 1; the same from 0; a number of layers.
Dimension = Annotated[int, Field(ge=1, le=MAX_SIZE, strict=True)]
DimensionOrZero = Annotated[int, Field(ge=0, le=MAX_SIZE, strict=True)]
Layers = Annotated[int, Field(ge=1, le=MAX_LAYERS, strict=True)]
