"""How long a step of one replica takes, as a function of what its batch holds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from planner.latency.step import step_parts

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy as np

    from planner.catalog.provenance import SourcedNumber


@dataclass(frozen=True)
class StepTime:
    """How long a step of one replica takes, as a function of its batch.

    Parameters
    ----------
    coefficients : recarray, shape (1,)
        See :data:`planner.latency.step.STEP_FIELDS`. With pipeline parallelism they describe a
        micro-batch's pass through all stages.
    provenance : list of SourcedNumber
        The numbers that went into them.
    request_overhead : float
        The host's work on a request outside all steps, part of its ttft. [s]
    """

    coefficients: np.recarray[Any, Any]
    provenance: list[SourcedNumber]
    request_overhead: float = 0.0

    def parts(
        self, prefill: Iterable[tuple[int, int]] = (), decode: Iterable[int] = ()
    ) -> tuple[float, float, float, float]:
        """Return the seconds of compute, storage, transfer and overhead of one step.

        Parameters
        ----------
        prefill : iterable of (int, int)
            Of each prompt's chunk: its tokens, and the tokens of its prompt cached before. A
            chunk is taken to complete its prompt, so that a token is sampled.
        decode : iterable of int
            Tokens cached before, of each decoding sequence.
        """
        window = self.coefficients.window[0]
        parts = step_parts(self.coefficients[0], *step_batch(prefill, decode, window))
        compute, storage, transfer, overhead = map(float, parts)
        return compute, storage, transfer, overhead

    def seconds(self, prefill: Iterable[tuple[int, int]] = (), decode: Iterable[int] = ()) -> float:
        """Return the duration of one step, the sum of :meth:`parts` [s]."""
        return sum(self.parts(prefill, decode))


class StepBatch(NamedTuple):
    """What a step holds, as :func:`~planner.latency.step.step_parts` takes it.

    Parameters
    ----------
    tokens, sequences, samples, attended, attended_window : float
    context, context_window, context_decode : float
        See there.
    """

    tokens: float
    sequences: float
    samples: float
    attended: float
    attended_window: float
    context: float
    context_window: float
    context_decode: float


def step_batch(
    prefill: Iterable[tuple[int, int]] = (), decode: Iterable[int] = (), window: float = 0.0
) -> StepBatch:
    """Return what a step of chunks and decoding sequences holds.

    Parameters
    ----------
    prefill, decode
        See :meth:`StepTime.parts`.
    window : float
        Attention window of the sliding-window layers; 0 if there are none. [tokens]
    """
    decoding = [(1, done) for done in decode]
    chunks = [*prefill, *decoding]
    pairs = context = pairs_window = context_window = 0.0
    for chunk, done in chunks:
        pairs += chunk * done + chunk * (chunk + 1) / 2
        context += done + chunk
        if window:
            inside = min(max(window - done, 0), chunk)
            pairs_window += inside * done + inside * (inside + 1) / 2
            pairs_window += (chunk - inside) * window
            context_window += min(done, window - 1) + chunk
    tokens = sum(chunk for chunk, _ in chunks)
    n = len(chunks)
    decoded = float(sum(done + 1 for _, done in decoding))
    return StepBatch(tokens, n, n, pairs, pairs_window, context, context_window, decoded)
