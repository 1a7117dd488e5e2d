"""What to measure, and how large."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from calibrate.measure.clock import Repeats

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    import torch

    from calibrate.measure.points import StepPoint
    from planner.catalog.models import ModelShape


@dataclass(frozen=True)
class Sizes:
    """Sizes of what is measured beside steps.

    Parameters
    ----------
    matmul : tuple of int
        Rows and columns of square matrices.
    memory, disk, host : int
        Bytes read from memory, read from disk, copied from the host. [B]
    links : tuple of int
        Bytes that go from one process to another. [B]
    split : tuple of (int, int)
        Rows and tokens of batches that are split over processes.
    """

    matmul: tuple[int, ...] = (1024, 2048)
    memory: int = 2**29
    disk: int = 2**28
    host: int = 2**28
    links: tuple[int, ...] = (1024, 2**16, 2**20, 2**23)
    split: tuple[tuple[int, int], ...] = ((8, 64),)

    @classmethod
    def quick(cls) -> Sizes:
        """Return sizes that take seconds, and nothing between processes."""
        return cls((1024,), 2**27, 2**26, 2**26, (), ())

    @classmethod
    def full(cls, *, cuda: bool) -> Sizes:
        """Return sizes that show what a GPU, or a CPU, can do at best."""
        if not cuda:
            return cls()
        links = (1024, 2**16, 2**20, 2**24, 2**27)
        return cls((4096, 8192), 2**32, 2**30, 2**30, links, ((64, 512),))


@dataclass(frozen=True)
class Serving:
    """How steps are measured as they come in serving.

    Parameters
    ----------
    clients : tuple of int
        Numbers of clients to serve, one after the other; none for no such measurement.
    seconds : float
        For each of them. [s]
    max_num_batched_tokens, max_model_len : int
        Limits of the engine. [tokens]
    """

    clients: tuple[int, ...] = (1, 4, 8, 16)
    seconds: float = 8.0
    max_num_batched_tokens: int = 256
    max_model_len: int = 1024

    @classmethod
    def quick(cls) -> Serving:
        """Return what takes seconds."""
        return cls((2, 8), 3.0)

    @classmethod
    def full(cls, *, cuda: bool) -> Serving:
        """Return what suits a GPU, or a CPU."""
        return cls((1, 8, 32, 128), 8.0, 2048, 4096) if cuda else cls()


@dataclass(frozen=True)
class Plan:
    """What to measure.

    Parameters
    ----------
    source : str or Path or ModelShape
        Model, see :func:`calibrate.models.load.load_model`.
    variants : tuple of str
        See :func:`calibrate.compression.variant.parse_variant`; the first is the base that the
        others are compared with.
    points : callable
        Returns the steps to measure, given the most tokens that a sequence may hold.
    device : torch.device
        Where.
    repeats : Repeats
        Of each point.
    sizes : Sizes
        Of the rest.
    serving : Serving
        Of steps as they come in serving; an encoder has none.
    windows : int, optional
        Windows of text that quality is measured on: all if None, no quality if 0.
    seconds : float, optional
        Nothing is begun after this time. [s]
    seed : int
        Of the order of points.
    """

    source: str | Path | ModelShape
    variants: tuple[str, ...]
    points: Callable[[int], Sequence[StepPoint]]
    device: torch.device
    repeats: Repeats = field(default_factory=Repeats)
    sizes: Sizes = field(default_factory=Sizes)
    serving: Serving = field(default_factory=Serving)
    windows: int | None = None
    seconds: float | None = None
    seed: int = 0
