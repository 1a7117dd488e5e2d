"""Which steps are measured: prefill over prompts and lengths, decode over batch and context."""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeVar

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Item = TypeVar("Item")

#: What a step holds: chunks of prompts, single tokens of sequences under way, or both.
PointKind = Literal["prefill", "decode", "mixed"]


@dataclass(frozen=True)
class StepPoint:
    """The batch of one engine step.

    Parameters
    ----------
    prefill : tuple of (int, int)
        Of each prompt's chunk: its tokens, and the tokens of its prompt cached before.
    decode : tuple of int
        Tokens cached before, of each decoding sequence.
    """

    prefill: tuple[tuple[int, int], ...] = ()
    decode: tuple[int, ...] = ()

    @property
    def kind(self) -> PointKind:
        """What the step holds."""
        if self.prefill and self.decode:
            return "mixed"
        return "prefill" if self.prefill else "decode"

    @property
    def key(self) -> str:
        """A short name that tells points apart, as ``p4x256@0 d16@512``: count x chunk @ cached."""
        words = [
            f"p{count}x{chunk}@{done}" for (chunk, done), count in Counter(self.prefill).items()
        ]
        words += [f"d{count}@{done}" for done, count in Counter(self.decode).items()]
        return " ".join(words)

    @property
    def sequences(self) -> int:
        """Sequences in the step."""
        return len(self.prefill) + len(self.decode)

    @property
    def tokens(self) -> int:
        """Tokens processed in the step."""
        return sum(chunk for chunk, _ in self.prefill) + len(self.decode)

    @property
    def longest(self) -> int:
        """Tokens of the longest sequence after the step."""
        return max([*(chunk + done for chunk, done in self.prefill), *(n + 1 for n in self.decode)])

    @property
    def context(self) -> int:
        """Tokens of all sequences after the step."""
        return sum(chunk + done for chunk, done in self.prefill) + sum(n + 1 for n in self.decode)


def grid(
    prompts: Iterable[int],
    lengths: Iterable[int],
    batches: Iterable[int],
    contexts: Iterable[int],
    *,
    max_tokens: int,
    max_context: int,
) -> list[StepPoint]:
    """Return prefill, decode and mixed points over the given grids, each once.

    Mixed points pair every decode batch but the largest with every chunk but the longest, with
    one context; chunks in the middle of a prompt are among the prefill points.

    Parameters
    ----------
    prompts, lengths : iterables of int
        Prompts in a prefill step, and tokens of each.
    batches, contexts : iterables of int
        Sequences in a decode step, and tokens cached of each.
    max_tokens : int
        Points with more tokens in a step are left out.
    max_context : int
        Points with more tokens of all sequences together are left out.
    """
    lengths, batches, contexts = sorted(lengths), sorted(batches), sorted(contexts)
    points = [
        StepPoint(prefill=((length, 0),) * count)
        for count, length in itertools.product(prompts, lengths)
    ]
    points += [
        StepPoint(prefill=((length, done),))
        for length, done in itertools.product(lengths[:-1], contexts[1:])
    ]
    points += [StepPoint(decode=(done,) * n) for n, done in itertools.product(batches, contexts)]
    middle = contexts[len(contexts) // 2]
    points += [
        StepPoint(prefill=((length, 0),), decode=(middle,) * n)
        for length, n in itertools.product(lengths[:-1], batches[:-1])
    ]
    fits = [p for p in points if p.tokens <= max_tokens and p.context <= max_context]
    return list(dict.fromkeys(fits))


def quick_points(limit: int) -> list[StepPoint]:
    """Return some twenty points that a small model passes through in seconds.

    Parameters
    ----------
    limit : int
        Tokens that a sequence may hold.
    """
    return _within(
        grid(
            prompts=(1, 4),
            lengths=(16, 64, 256),
            batches=(1, 4, 16),
            contexts=(32, 480),
            max_tokens=512,
            max_context=8192,
        ),
        limit,
    )


def cpu_points(limit: int) -> list[StepPoint]:
    """Return the points for a CPU and a model of 0.1 to 1 billion parameters.

    Parameters
    ----------
    limit : int
        Tokens that a sequence may hold.
    """
    return _within(
        grid(
            prompts=(1, 2, 4),
            lengths=(4, 16, 48, 128, 256, 512),
            batches=(1, 2, 4, 8, 16, 32),
            contexts=(16, 128, 512, 1024, 2000),
            max_tokens=1024,
            max_context=20_000,
        ),
        limit,
    )


def gpu_points(limit: int) -> list[StepPoint]:
    """Return the points for an accelerator: batch 1 to 256, context 128 to 16,000.

    Parameters
    ----------
    limit : int
        Tokens that a sequence may hold.
    """
    return _within(
        grid(
            prompts=(1, 2, 8),
            lengths=(128, 512, 1024, 2048, 8192),
            batches=(1, 2, 4, 8, 16, 32, 64, 128, 256),
            contexts=(128, 512, 2048, 8192, 16_000),
            max_tokens=8192,
            max_context=300_000,
        ),
        limit,
    )


def _within(points: list[StepPoint], limit: int) -> list[StepPoint]:
    return [point for point in points if point.longest <= limit]


def shuffled(points: Sequence[StepPoint], seed: int) -> list[StepPoint]:
    """Return `points` in a random order, so that a drifting machine looks like noise, not size.

    Each part of the order holds every kind of step in its share: a run that is cut short has some
    of each.
    """
    order = np.random.default_rng(seed).permutation(len(points))
    kinds: dict[str, list[StepPoint]] = {}
    for index in order:
        kinds.setdefault(points[index].kind, []).append(points[index])
    return spread(list(kinds.values()))


def spread(lists: Sequence[Sequence[Item]]) -> list[Item]:
    """Return the items of all lists, each list's in its order, evenly over the whole."""
    placed = [
        ((rank + 0.5) / len(items), number, item)
        for number, items in enumerate(lists)
        for rank, item in enumerate(items)
    ]
    return [item for *_, item in sorted(placed, key=lambda each: each[:2])]
