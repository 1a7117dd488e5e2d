"""What every scheduler of the engine does: sequences that wait and run, slots and blocks.

There is neither model nor clock in here. A scheduler is told of requests, asked for the work of a
step, and told what it brought; the engine runs it on a real model, a test on simulated steps.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True)
class Chunk:
    """Consecutive tokens of one sequence that a step processes.

    Parameters
    ----------
    slot : int
        Of the cache; one for each sequence in service.
    token_ids : list of int
        At least one. A decoding sequence has one, the token sampled last.
    start : int
        Tokens of the sequence that are cached already: the position of the first.
    sample : bool
        Whether the token after the last is wanted; not so amid a prefill.
    padding : int
        Tokens at the start of the sequence that stand for nothing: they take time and memory,
        but no other token sees them.
    """

    slot: int
    token_ids: list[int]
    start: int
    sample: bool = True
    padding: int = 0


@dataclass(frozen=True)
class Limits:
    """What the engine may hold and batch, named as in :class:`planner.scenario.engine.Engine`.

    Parameters
    ----------
    scheduler : {"chunked", "prefill_first", "static"}
        Policy.
    max_num_seqs : int
        Requests in service at once, >= 1.
    max_num_batched_tokens : int
        Tokens of a step, >= ``max_num_seqs``. [tokens]
    block_size : int
        Tokens in one block of KV cache. [tokens]
    blocks : int
        Blocks of KV cache.
    max_model_len : int
        Longest prompt and answer together. [tokens]
    watermark : int
        Blocks that ``prefill_first`` keeps free at admission, unless nothing runs.
    reserve_full_isl : bool
        Whether ``chunked`` admits a sequence only if all its tokens would fit.
    recv_interval : int
        Decode steps after which ``prefill_first`` looks for requests that have arrived.
    batch_size, timeout : int, float
        Of ``static``: a batch starts with so many requests, or once its oldest has waited so
        long. [-, s]
    """

    scheduler: Literal["chunked", "prefill_first", "static"]
    max_num_seqs: int
    max_num_batched_tokens: int
    block_size: int
    blocks: int
    max_model_len: int
    watermark: int = 0
    reserve_full_isl: bool = True
    recv_interval: int = 1
    batch_size: int = 1
    timeout: float = 0.0

    def blocks_for(self, tokens: int) -> int:
        """Return the blocks that `tokens` cached tokens occupy."""
        return -(-tokens // self.block_size)


@dataclass(eq=False)
class Sequence:
    """A request on its way through the engine.

    Parameters
    ----------
    row : int
        Number of the request.
    token_ids : list of int
        Its prompt; the tokens sampled are added to it.
    output_tokens : int
        How many to sample, >= 1.
    arrival : float
        When it came. [s]
    prompt_tokens, cached, slot : int
        Length of the prompt; tokens in the cache; slot there, -1 where it has none.
    decoding : bool
        Whether its prefill is over.
    preemptions : int
        How often it lost its cache.
    admitted : float
        When it first ran; NaN before. [s]
    times : list of float
        When each of its tokens came. [s]
    """

    row: int
    token_ids: list[int]
    output_tokens: int
    arrival: float
    prompt_tokens: int = field(init=False)
    cached: int = 0
    slot: int = -1
    decoding: bool = False
    preemptions: int = 0
    admitted: float = math.nan
    times: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.prompt_tokens = len(self.token_ids)

    @property
    def left(self) -> int:
        """Tokens that are not cached yet: 1 while it decodes, more before."""
        return len(self.token_ids) - self.cached

    @property
    def finished(self) -> bool:
        """Whether it has all its tokens."""
        return len(self.times) == self.output_tokens

    def next_chunk(self, tokens: int) -> Chunk:
        """Return the next `tokens` tokens that are not cached."""
        end = self.cached + tokens
        token_ids = self.token_ids[self.cached : end]
        return Chunk(self.slot, token_ids, self.cached, end == len(self.token_ids))


#: A step: sequences, each with its chunk.
Work = list[tuple[Sequence, Chunk]]


class Scheduler(ABC):
    """Waiting and running sequences, slots and blocks of the cache.

    Parameters
    ----------
    limits : Limits
        What fits.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.waiting: deque[Sequence] = deque()
        self.running: list[Sequence] = []  # oldest first
        self.free_blocks = limits.blocks
        self._free_slots = list(range(limits.max_num_seqs))[::-1]

    @abstractmethod
    def schedule(self, now: float) -> Work:
        """Return the work of the step that starts now; admits and preempts as it takes."""

    def add(self, sequence: Sequence) -> None:
        """Let `sequence` wait as the last."""
        self.waiting.append(sequence)

    def ready(self, now: float) -> float:
        """Return when the next step could start: now, later, or inf if there is nothing to do."""
        return now if self.waiting or self.running else math.inf

    def end_step(self, work: Work, tokens: Iterable[int], now: float) -> list[Sequence]:
        """Take note of what a step brought; return the sequences that finished.

        Those that were decoding come first, by number.
        """
        decoded, prefilled = list[Sequence](), list[Sequence]()
        for (sequence, chunk), token in zip(work, tokens, strict=True):
            if sequence.finished:  # carried along in a static batch
                continue
            sequence.cached += len(chunk.token_ids)
            if not chunk.sample:
                continue
            was_decoding, sequence.decoding = sequence.decoding, True
            sequence.token_ids.append(token)
            sequence.times.append(now)
            if sequence.finished:
                (decoded if was_decoding else prefilled).append(sequence)
        finished = [*sorted(decoded, key=lambda each: each.row), *prefilled]
        for sequence in finished:
            self._release(sequence)
        return finished

    def _blocks_to_grow(self, sequence: Sequence, tokens: int) -> int:
        """Return the blocks that `tokens` more tokens of `sequence` need."""
        blocks_for = self.limits.blocks_for
        return blocks_for(sequence.cached + tokens) - blocks_for(sequence.cached)

    def _admit(self, now: float) -> Sequence:
        """Let the first of those waiting run."""
        sequence = self.waiting.popleft()
        sequence.slot = self._free_slots.pop()
        if math.isnan(sequence.admitted):
            sequence.admitted = now
        self.running.append(sequence)
        return sequence

    def _release(self, sequence: Sequence) -> None:
        """Take slot and blocks from a sequence that has finished or is preempted."""
        self.running.remove(sequence)
        self._free_slots.append(sequence.slot)
        self.free_blocks += self.limits.blocks_for(sequence.cached)

    def _preempt_youngest(self) -> Sequence:
        """Stop the youngest sequence: its cache is lost, it waits as the first."""
        victim = self.running[-1]
        self._release(victim)
        victim.cached, victim.decoding = 0, False
        victim.preemptions += 1
        self.waiting.appendleft(victim)
        return victim

    def _continue_running(self, budget: int) -> tuple[Work, bool]:
        """Return the work of those that run, oldest first, and whether any was preempted.

        While a sequence needs more blocks than are free, the youngest is preempted, if need be
        the one in question.
        """
        work: Work = []
        preempted = False
        while len(work) < len(self.running):
            sequence = self.running[len(work)]
            tokens = min(sequence.left, budget)
            victim = None
            while victim is not sequence and self._blocks_to_grow(sequence, tokens) > (
                self.free_blocks
            ):
                victim = self._preempt_youngest()
                preempted = True
            if victim is sequence:
                break
            self.free_blocks -= self._blocks_to_grow(sequence, tokens)
            work.append((sequence, sequence.next_chunk(tokens)))
            budget -= tokens
        return work, preempted
