"""Lengths of prompts and outputs: drawn independently, in pairs, or taken from the trace."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - a parameter of public methods
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from planner.errors import Notice
from planner.spec import Spec
from planner.traffic.intensity import IntArray  # noqa: TC001 - a field of a public type
from planner.traffic.marginals import (
    EmpiricalLength,
    FixedLength,
    Length,
    LognormalLength,
    Tokens,
    UniformLength,
)
from planner.traffic.traces import MAX_SIZE, Columns, read_trace
from planner.units import Size

if TYPE_CHECKING:
    import numpy as np


class Drawn(NamedTuple):
    """Lengths of `n` requests.

    Parameters
    ----------
    prompt, output : array
        Tokens, >= 1, shape ``(n,)``.
    notices : list of Notice
        What was clipped or left out.
    """

    prompt: IntArray
    output: IntArray
    notices: list[Notice]


class _Lengths(Spec):
    """What kinds of lengths share: whether anything is drawn."""

    @property
    def random(self) -> bool:
        """Whether lengths are drawn at random."""
        return True


def _draw_sides(prompt: Length, output: Length, n: int, rng: np.random.Generator) -> Drawn:
    """Draw both sides, each from a stream of its own, so that one may change without the other."""
    prompt_rng, output_rng = rng.spawn(2)
    prompts, notices = prompt.draw(n, prompt_rng)
    outputs, more = output.draw(n, output_rng)
    notices = [_of("prompt", notice) for notice in notices] + [_of("output", m) for m in more]
    return Drawn(prompts, outputs, notices)


def _of(side: str, notice: Notice) -> Notice:
    return Notice(f"{side} {notice.message}", notice.count)


class FixedLengths(_Lengths):
    """All requests alike: ``{kind: fixed, prompt: 400, output: 150}``.

    Parameters
    ----------
    prompt, output : int
        Tokens, >= 1.
    """

    kind: Literal["fixed"] = "fixed"
    prompt: Tokens
    output: Tokens

    @property
    def random(self) -> bool:
        """Whether lengths are drawn at random: no."""
        return False

    def draw(self, n: int, rng: np.random.Generator, base: Path) -> Drawn:  # noqa: ARG002 - as its siblings
        """Return the lengths of `n` requests."""
        return _draw_sides(FixedLength(tokens=self.prompt), FixedLength(tokens=self.output), n, rng)


class UniformLengths(_Lengths):
    """``{kind: uniform, prompt: {min: 100, max: 900}, output: {min: 1, max: 300}}``.

    Parameters
    ----------
    prompt, output : UniformLength
        Bounds of each side; the sides are independent.
    """

    kind: Literal["uniform"] = "uniform"
    prompt: UniformLength
    output: UniformLength

    def draw(self, n: int, rng: np.random.Generator, base: Path) -> Drawn:  # noqa: ARG002 - as its siblings
        """Return the lengths of `n` requests."""
        return _draw_sides(self.prompt, self.output, n, rng)


class LognormalLengths(_Lengths):
    """``{kind: lognormal, prompt: {mean: 400, cv: 1, max: 8000}, output: {mean: 150, cv: 0.8}}``.

    Parameters
    ----------
    prompt, output : LognormalLength
        Mean, cv and bounds of each side; the sides are independent.
    """

    kind: Literal["lognormal"] = "lognormal"
    prompt: LognormalLength
    output: LognormalLength

    def draw(self, n: int, rng: np.random.Generator, base: Path) -> Drawn:  # noqa: ARG002 - as its siblings
        """Return the lengths of `n` requests."""
        return _draw_sides(self.prompt, self.output, n, rng)


class IndependentLengths(_Lengths):
    """Any distribution for each side: ``{kind: independent, prompt: {kind: ...}, output: ...}``.

    Parameters
    ----------
    prompt, output : FixedLength or UniformLength or LognormalLength or EmpiricalLength
        Distributions of each side.
    """

    kind: Literal["independent"] = "independent"
    prompt: Length
    output: Length

    @property
    def random(self) -> bool:
        """Whether lengths are drawn at random: unless both sides are fixed."""
        return not (self.prompt.kind == "fixed" and self.output.kind == "fixed")

    def draw(self, n: int, rng: np.random.Generator, base: Path) -> Drawn:  # noqa: ARG002 - as its siblings
        """Return the lengths of `n` requests."""
        return _draw_sides(self.prompt, self.output, n, rng)


class EmpiricalLengths(_Lengths):
    """Prompt and output drawn independently from what was observed.

    Parameters
    ----------
    prompt, output : EmpiricalLength
        Lists or quantiles of each side: ``prompt: {values: [12, 400]}``. Either both or `path`.
    path : str
        File with both columns (its times are not read); drawn from independently of each other,
        so that their correlation is lost. ``joint`` keeps it.
    columns : Columns
        Names of the columns, where they are not recognised.
    max_size : float
        Most bytes of text to read. [B]
    """

    kind: Literal["empirical"] = "empirical"
    prompt: EmpiricalLength | None = None
    output: EmpiricalLength | None = None
    path: Annotated[str, Field(min_length=1)] | None = None
    columns: Columns = Columns()
    max_size: Size = MAX_SIZE

    @model_validator(mode="after")
    def _has_a_source(self) -> Self:
        sides = (self.prompt is not None) + (self.output is not None)
        if sides != (2 if self.path is None else 0):
            raise PydanticCustomError(
                "empirical", "must have either a 'path' or both 'prompt' and 'output'"
            )
        return self

    def draw(self, n: int, rng: np.random.Generator, base: Path) -> Drawn:
        """Return the lengths of `n` requests; `base` is where a relative path starts.

        Raises
        ------
        InputError
            If the file cannot be used.
        """
        if self.prompt is not None and self.output is not None:
            return _draw_sides(self.prompt, self.output, n, rng)
        trace = read_trace(base, self.path or "", self.columns, "lengths", self.max_size)
        prompt_rng, output_rng = rng.spawn(2)
        return Drawn(
            prompt_rng.choice(trace.prompt_tokens, n),
            output_rng.choice(trace.output_tokens, n),
            trace.notices,
        )


class JointLengths(_Lengths):
    """Pairs drawn with replacement from a file, so that prompt and output stay correlated.

    Parameters
    ----------
    path : str
        File with both columns; its times are not read.
    columns : Columns
        Names of the columns, where they are not recognised.
    max_size : float
        Most bytes of text to read. [B]
    """

    kind: Literal["joint"] = "joint"
    path: Annotated[str, Field(min_length=1)]
    columns: Columns = Columns()
    max_size: Size = MAX_SIZE

    def draw(self, n: int, rng: np.random.Generator, base: Path) -> Drawn:
        """Return the lengths of `n` requests; `base` is where a relative path starts.

        Raises
        ------
        InputError
            If the file cannot be used.
        """
        trace = read_trace(base, self.path, self.columns, "lengths", self.max_size)
        rows = rng.integers(len(trace), size=n)
        return Drawn(trace.prompt_tokens[rows], trace.output_tokens[rows], trace.notices)


class LengthsFromArrivals(_Lengths):
    """The replayed trace's own lengths, row by row: the default where arrivals are a trace."""

    kind: Literal["from_arrivals"] = "from_arrivals"

    @property
    def random(self) -> bool:
        """Whether lengths are drawn at random: no."""
        return False


#: Lengths that are drawn.
DrawnLengths = (
    FixedLengths
    | UniformLengths
    | LognormalLengths
    | IndependentLengths
    | EmpiricalLengths
    | JointLengths
)

#: All kinds of lengths, told apart by ``kind``.
Lengths = Annotated[
    FixedLengths
    | UniformLengths
    | LognormalLengths
    | IndependentLengths
    | EmpiricalLengths
    | JointLengths
    | LengthsFromArrivals,
    Field(discriminator="kind"),
]
