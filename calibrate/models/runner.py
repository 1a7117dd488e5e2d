"""One engine step of a real model: the next tokens of a flat batch of chunks.

Both the measurement and the engine run their steps here, so that what is measured is what serves.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from calibrate.models.attention import NAME, FlatBatch, KvCache, Span, current_batch
from calibrate.models.first_times import run_every_size
from calibrate.scheduling import Chunk
from planner.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Chunk", "Runner"]


class Runner:
    """A causal language model of transformers that runs one engine step at a time.

    The model stays as it is between two steps: its own ``forward`` and ``generate`` still work.

    Parameters
    ----------
    model : torch.nn.Module
        With ``config`` and ``logits_to_keep`` as transformers' ``...ForCausalLM`` have them;
        pruned, quantised or compiled as the case may be.
    max_num_seqs : int
        Slots of the cache.
    max_model_len : int
        Tokens of each slot. The cache takes ``max_num_seqs * max_model_len`` tokens of memory, on
        a CPU only for what has been written. [tokens]

    Raises
    ------
    InputError
        If the cache does not fit into memory, or the model has an attention that cannot be run.
    """

    def __init__(self, model: torch.nn.Module, max_num_seqs: int, max_model_len: int) -> None:
        self.model: Any = model.eval()
        self.max_num_seqs = max_num_seqs
        self.device = next(model.parameters()).device
        self._positions = int(model.config.max_position_embeddings)
        self.resize(max_model_len)

    def resize(self, max_model_len: int) -> None:
        """Forget all sequences and take slots of `max_model_len` tokens from now on.

        Raises
        ------
        InputError
            If the cache does not fit into memory; the old one is gone.
        """
        self.max_model_len = max_model_len
        self._cache = KvCache(self.max_num_seqs, max_model_len, self.model.config.num_hidden_layers)
        self._filled = [0] * self.max_num_seqs
        try:
            self.step([Chunk(0, [0], 0)])  # every layer allocates its cache
        except (MemoryError, RuntimeError) as error:  # torch raises either
            if isinstance(error, MemoryError) or "alloc" in str(error) or "memory" in str(error):
                raise InputError(
                    f"a cache of {self.max_num_seqs} sequences of {max_model_len} tokens must fit "
                    f"into the free memory of {self.device}; lower max_num_seqs or max_model_len"
                ) from error
            raise

    def warm_up(self, tokens: int) -> None:
        """Run what is slow the first time, for steps of up to so many tokens in all.

        Parameters
        ----------
        tokens : int
            Of all sequences of a step, >= 1. [tokens]
        """
        run_every_size(self.model, tokens)
        length = 1
        while length <= min(tokens, self.max_model_len):
            self.step([Chunk(0, [0] * length, 0)])
            length *= 2
        for slot in range(self.max_num_seqs):
            self.step([Chunk(each, [0], 0) for each in range(slot + 1)])

    @property
    def kv_bytes(self) -> int:
        """Memory of the whole cache [B]."""
        return self._cache.bytes

    def step(self, work: Sequence[Chunk]) -> list[int]:
        """Process `work` in one forward pass and return the likeliest next token of each chunk.

        Returns when the device is done. The order of the tokens is that of `work`; -1 stands for
        a chunk that wants none.

        Parameters
        ----------
        work : sequence of Chunk
            At least one, of different slots.

        Raises
        ------
        ValueError
            If a chunk lies outside its slot, or after tokens that are not cached.
        """
        logits = self.logits(work)
        if not len(logits):
            if self.device.type == "cuda":
                torch.cuda.synchronize(self.device)
            return [-1] * len(work)
        sampled = iter(logits.argmax(dim=-1).tolist())
        return [next(sampled) if chunk.sample else -1 for chunk in work]

    @torch.inference_mode()
    def logits(self, work: Sequence[Chunk]) -> torch.Tensor:
        """Process `work` as :meth:`step` does; return logits, shape ``(sampled, vocabulary)``."""
        spans = self._spans(work)
        tokens, positions, rows = self._inputs(work, spans)
        last = [span.last - 1 for span, chunk in zip(spans, work, strict=True) if chunk.sample]
        config = self.model.config
        before = config._attn_implementation  # noqa: SLF001 - the name that transformers gives it
        batch = current_batch.set(FlatBatch(spans, rows, self._cache))
        config._attn_implementation = NAME  # noqa: SLF001
        try:
            inputs = {"input_ids": tokens, "position_ids": positions, "use_cache": False}
            if not last:
                self.model.base_model(**inputs)
                out = torch.empty(0, int(config.vocab_size), device=self.device)
            else:
                keep = torch.tensor(last, device=self.device)
                out = self.model(**inputs, logits_to_keep=keep).logits[0]
        finally:
            config._attn_implementation = before  # noqa: SLF001
            current_batch.reset(batch)
        for span, chunk in zip(spans, work, strict=True):
            self._filled[chunk.slot] = span.end
        return out

    @torch.inference_mode()
    def fill(self, slot: int, length: int) -> None:
        """Pretend that `slot` holds the first `length` tokens of some sequence.

        Keys and values are drawn; how long a step takes does not depend on them.
        """
        if not (0 <= slot < self.max_num_seqs and 0 <= length <= self.max_model_len):
            raise ValueError(f"no room for {length} tokens in slot {slot}")
        base = slot * self.max_model_len
        for pair in self._cache.layers.values():
            for each in pair:
                each[base : base + length].normal_()
        self._filled[slot] = length

    def _spans(self, work: Sequence[Chunk]) -> list[Span]:
        """Return where the chunks are, once each is known to be possible."""
        spans, first = [], 0
        for chunk in work:
            n, end = len(chunk.token_ids), chunk.start + len(chunk.token_ids)
            inside = 0 <= chunk.slot < self.max_num_seqs and n and end <= self.max_model_len
            if not inside or not 0 <= chunk.start <= self._filled[chunk.slot]:
                raise ValueError(
                    f"tokens {chunk.start} to {end} do not follow what slot {chunk.slot} of "
                    f"{self.max_num_seqs} holds, or exceed {self.max_model_len}"
                )
            base = chunk.slot * self.max_model_len
            spans.append(Span(first, first + n, base, chunk.start, end, chunk.padding))
            first += n
        return spans

    def _inputs(
        self, work: Sequence[Chunk], spans: Sequence[Span]
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return tokens and positions, shape ``(1, tokens)``, and cache rows, in one transfer."""
        tokens: list[int] = []
        positions: list[int] = []
        rows: list[int] = []
        for chunk, span in zip(work, spans, strict=True):
            tokens.extend(chunk.token_ids)
            rows.extend(range(span.base + span.start, span.base + span.end))
            if not span.padding:
                positions.extend(range(span.start, span.end))
                continue
            # a padded batch carries sequences beyond their end
            places = range(span.start - span.padding, span.end - span.padding)
            positions.extend(min(max(each, 0), self._positions - 1) for each in places)
        flat = torch.tensor([tokens, positions, rows], device=self.device)
        return flat[0:1], flat[1:2], flat[2]
