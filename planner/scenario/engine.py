"""Limits and scheduling policy of one replica's serving engine, named as vLLM names them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import Field, model_validator

from planner.scenario.rules import Broken, broken, refuse
from planner.spec import Spec
from planner.units import Count, Duration, PositiveFraction, SizeOrZero

if TYPE_CHECKING:
    from collections.abc import Iterator

#: A limit of the engine: a whole number, 1 to 2**31 - 1 as an engine's own integers.
Limit = Annotated[int, Field(ge=1, le=2**31 - 1, strict=True)]


class Chunked(Spec):
    """Chunked prefill: running requests first, then prompts cut to the token budget [1]_.

    Parameters
    ----------
    scheduler_reserve_full_isl : bool
        Whether a waiting request is admitted only if its whole prompt, and what it had generated
        before a preemption, would fit into the free KV blocks; else its first chunk has to. vLLM
        has the option since early 2026 and sets it by default.

    References
    ----------
    .. [1] A. Agrawal et al., "Taming throughput-latency tradeoff in LLM inference with
       Sarathi-Serve," OSDI 2024; the scheduler of vLLM V1.
    """

    kind: Literal["chunked"] = "chunked"
    scheduler_reserve_full_isl: bool = True


class PrefillFirst(Spec):
    """Continuous batching in which a step is either whole prompts or decoding, prompts first [1]_.

    Parameters
    ----------
    scheduler_recv_interval : int
        While requests decode, new ones are looked for after so many steps, >= 1; SGLang's flag of
        that name [2]_. Where nothing runs, and after a step of prompts, they are seen at once.

    References
    ----------
    .. [1] G.-I. Yu et al., "Orca: a distributed serving system for transformer-based generative
       models," OSDI 2022; the scheduler of vLLM V0.
    .. [2] sgl-project/sglang, ``managers/scheduler_recv_skipper.py``.
    """

    kind: Literal["prefill_first"] = "prefill_first"
    scheduler_recv_interval: Limit = 1


class Static(Spec):
    """Batches formed once and run until their last request has finished.

    Parameters
    ----------
    batch_size : int
        A batch starts as soon as this many requests wait, >= 1.
    timeout : float
        A smaller batch starts when its oldest request has waited this long, >= 0. [s]
    """

    kind: Literal["static"] = "static"
    batch_size: Count
    timeout: Duration


Scheduler = Annotated[Chunked | PrefillFirst | Static, Field(discriminator="kind")]


class MeasuredMemory(Spec):
    """What an engine's log says it takes of each device, in place of the estimates.

    vLLM logs them when it starts: weights as "model loading took", and the rest as "peak
    activation", "non-torch memory" and "CUDA graph memory".

    Parameters
    ----------
    weights, activation, non_torch, cuda_graphs : float, optional
        Bytes of one device, >= 0; by default estimated. Versions before 0.21 and eager engines
        take nothing for CUDA graphs. [B]
    """

    weights: SizeOrZero | None = None
    activation: SizeOrZero | None = None
    non_torch: SizeOrZero | None = None
    cuda_graphs: SizeOrZero | None = None

    def given(self) -> dict[str, float]:
        """Return the bytes that are given, by name [B]."""
        return {name: value for name, value in self if value is not None}


class Engine(Spec):
    """What one replica's engine may hold and batch.

    Parameters
    ----------
    scheduler : Chunked or PrefillFirst or Static
        Which requests run next.
    max_num_seqs : int
        Requests in service at once, >= 1.
    max_num_batched_tokens : int
        Tokens in one step, >= ``max_num_seqs``. [tokens]
    block_size : int
        Tokens in one block of KV cache, >= 1. [tokens]
    gpu_memory_utilization : float
        Share of the device's memory that the engine may use, in (0, 1].
    max_model_len : int, optional
        Longest prompt and answer together; by default the smaller of the model's maximum and
        the KV pool. [tokens]
    kv_tokens : int, optional
        KV pool of one replica as the engine logs it; by default computed from the memory. For
        models with sliding windows that is the logged maximum concurrency times its length, which
        vLLM logs as the size from version 0.21 on. [tokens]
    disable_hybrid_kv_cache_manager : bool
        Whether layers with a sliding window keep every token. By default the chunked scheduler
        gives back what they do not see, as vLLM does; the others keep every token in any case.
    measured_memory : MeasuredMemory
        What the engine's log says of its memory, in place of estimates.
    """

    scheduler: Scheduler = Chunked()
    max_num_seqs: Limit = 256
    max_num_batched_tokens: Limit = 2048
    block_size: Limit = 16
    gpu_memory_utilization: PositiveFraction = 0.9
    max_model_len: Limit | None = None
    kv_tokens: Annotated[int, Field(ge=1, le=2**53, strict=True)] | None = None
    disable_hybrid_kv_cache_manager: Annotated[bool, Field(strict=True)] = False
    measured_memory: MeasuredMemory = MeasuredMemory()

    @model_validator(mode="after")
    def _limits_fit_together(self) -> Self:
        refuse(self._problems())
        return self

    @property
    def frees_windows(self) -> bool:
        """Whether layers with a sliding window give back the blocks that they do not see."""
        return self.scheduler.kind == "chunked" and not self.disable_hybrid_kv_cache_manager

    def _problems(self) -> Iterator[Broken]:
        if self.max_num_batched_tokens < self.max_num_seqs:
            rule = (
                f">= max_num_seqs ({self.max_num_seqs}), since every running request needs one "
                "token of a step"
            )
            yield broken("max_num_batched_tokens", rule, self.max_num_batched_tokens)
        if isinstance(self.scheduler, Static) and self.scheduler.batch_size > self.max_num_seqs:
            rule = f"<= max_num_seqs ({self.max_num_seqs})"
            yield broken("scheduler.batch_size", rule, self.scheduler.batch_size)
        if self.kv_tokens is None:
            return
        if self.kv_tokens < self.block_size:
            rule = f"at least one block, block_size ({self.block_size})"
            yield broken("kv_tokens", rule, self.kv_tokens)
        if self.max_model_len is not None and self.max_model_len > self.kv_tokens:
            rule = f"<= kv_tokens ({self.kv_tokens})"
            yield broken("max_model_len", rule, self.max_model_len)
