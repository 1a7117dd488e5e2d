"""The engine's schedulers, those of the simulator: which tokens of which sequence run next."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from calibrate.scheduling import Chunk, Limits, Scheduler, Sequence, Work

if TYPE_CHECKING:
    from collections.abc import Iterable


class ChunkedScheduler(Scheduler):
    """Running sequences first, then waiting ones, prompts cut to one token budget."""

    def schedule(self, now: float) -> Work:
        """Return the work of the step that starts now."""
        work, preempted = self._continue_running(self.limits.max_num_batched_tokens)
        budget = self.limits.max_num_batched_tokens - sum(len(c.token_ids) for _, c in work)
        while self.waiting and self._free_slots and budget and not preempted:
            tokens = min(self.waiting[0].left, budget)
            blocks = self.limits.blocks_for(tokens)
            whole = self.limits.blocks_for(self.waiting[0].left)
            if (whole if self.limits.reserve_full_isl else blocks) > self.free_blocks:
                break
            self.free_blocks -= blocks
            sequence = self._admit(now)
            work.append((sequence, sequence.next_chunk(tokens)))
            budget -= tokens
        return work


class PrefillFirstScheduler(Scheduler):
    """Whole prompts while one fits, else a token for every running sequence.

    While sequences decode it looks for new ones every ``recv_interval`` steps.
    """

    def __init__(self, limits: Limits) -> None:
        super().__init__(limits)
        self._received = 0  # of those that wait, the first so many, which it knows
        self._unread = 0  # decode steps since it looked for others

    def schedule(self, now: float) -> Work:
        """Return the work of the step that starts now."""
        self._receive()
        work: Work = []
        tokens = 0
        while self._fits(tokens):
            sequence = self._admit(now)
            self._received -= 1
            work.append((sequence, sequence.next_chunk(sequence.left)))
            tokens += sequence.left
            self.free_blocks -= self.limits.blocks_for(sequence.left)
        self._unread = 0 if work else self._unread + 1
        return work or self._decode()

    def _receive(self) -> None:
        """Look at what waits, if it is time to."""
        if not self.running or self._unread in {0, self.limits.recv_interval}:
            self._received, self._unread = len(self.waiting), 0

    def _decode(self) -> Work:
        """Return a token's work for every running sequence; those that are preempted are known."""
        waiting = len(self.waiting)
        work, _ = self._continue_running(self.limits.max_num_batched_tokens)
        self._received += len(self.waiting) - waiting
        return work

    def _fits(self, tokens: int) -> bool:
        """Return whether the first prompt can join a step with `tokens` prompt tokens."""
        if not self._received or not self._free_slots:
            return False
        left = self.waiting[0].left
        if tokens and tokens + left > self.limits.max_num_batched_tokens:
            return False
        spare = self.limits.watermark if self.running else 0
        return self.limits.blocks_for(left) + spare <= self.free_blocks


class StaticScheduler(Scheduler):
    """A batch is formed once and runs to the end of its longest output, prompts padded.

    A sequence that has finished keeps its place until then; the tokens it goes on to sample are
    dropped.
    """

    def __init__(self, limits: Limits) -> None:
        super().__init__(limits)
        self._batch: list[Sequence] = []
        self._length = 0  # cached tokens of each, padding included

    def ready(self, now: float) -> float:
        """Return when the next step could start: now, later, or inf if there is nothing to do."""
        if self._batch or len(self.waiting) >= self.limits.batch_size:
            return now
        if not self.waiting:
            return math.inf
        return max(now, self.waiting[0].arrival + self.limits.timeout)

    def schedule(self, now: float) -> Work:
        """Return the work of the step that starts now."""
        if self._batch:
            return [
                (each, Chunk(each.slot, each.token_ids[-1:], self._length, padding=padding))
                for each, padding in zip(self._batch, self._paddings(), strict=True)
            ]
        self._form_batch(now)
        return [
            (each, Chunk(each.slot, [0] * padding + each.token_ids, 0, padding=padding))
            for each, padding in zip(self._batch, self._paddings(), strict=True)
        ]

    def _form_batch(self, now: float) -> None:
        """Admit as many as wait, up to the batch size, while their padded cache fits."""
        prompt = output = 0
        while self.waiting and len(self._batch) < self.limits.batch_size:
            first = self.waiting[0]
            prompt, output = (
                max(prompt, first.prompt_tokens),
                max(output, first.output_tokens),
            )
            blocks = (len(self._batch) + 1) * self.limits.blocks_for(prompt + output)
            if self._batch and blocks > self.limits.blocks:
                break
            self.free_blocks = max(self.limits.blocks - blocks, 0)
            self._batch.append(self._admit(now))

    def _paddings(self) -> list[int]:
        """Return the padding before the prompt of each sequence of the batch."""
        longest = max(each.prompt_tokens for each in self._batch)
        return [longest - each.prompt_tokens for each in self._batch]

    def end_step(self, work: Work, tokens: Iterable[int], now: float) -> list[Sequence]:
        """Take note of what a step brought; return the sequences that finished."""
        self._length += len(work[0][1].token_ids)  # all have the same
        finished = super().end_step(work, tokens, now)
        if not self.running:
            self._free_slots += [each.slot for each in self._batch]
            self._batch, self._length = [], 0
            self.free_blocks = self.limits.blocks
        return finished

    def _release(self, sequence: Sequence) -> None:
        """Let a sequence that has finished keep slot and blocks: they are the batch's."""
        self.running.remove(sequence)


def make_scheduler(limits: Limits) -> Scheduler:
    """Return the scheduler that `limits` name."""
    kinds: dict[str, type[Scheduler]] = {
        "chunked": ChunkedScheduler,
        "prefill_first": PrefillFirstScheduler,
        "static": StaticScheduler,
    }
    return kinds[limits.scheduler](limits)
