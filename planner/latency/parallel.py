"""Which ways of dividing a model over devices a serving engine accepts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from planner.errors import InputError, Problem

if TYPE_CHECKING:
    from planner.catalog.devices import Device
    from planner.catalog.models import ModelShape

#: vLLM pads the vocabulary to a multiple of this before dividing it. [tokens]
VOCABULARY_PADDING = 64


def kv_share(shape: ModelShape, tensor_parallel: int) -> float:
    """Return the share of a layer's KV cache that each device keeps.

    KV heads are divided, and replicated where there are more devices than heads; the latent of
    MLA belongs to all heads, so that every device keeps all of it.
    """
    if shape.is_mla:
        return 1.0
    return max(1.0, shape.n_kv_heads / tensor_parallel) / shape.n_kv_heads


def check_served(shape: ModelShape) -> None:
    """Do nothing if the model generates text token by token with one KV cache.

    Raises
    ------
    InputError
        If it is an encoder or an encoder-decoder.
    """
    if shape.arch != "decoder":
        raise InputError(
            Problem(
                f"must be a decoder, got {shape.name!r}, an {shape.arch!r} model; "
                "describe it by its stage times: service: {kind: stages, ...}",
                "service.model",
            )
        )


def check_parallel(
    shape: ModelShape, device: Device, tensor_parallel: int, pipeline_parallel: int
) -> None:
    """Do nothing if the model can be divided so.

    Raises
    ------
    InputError
        With every rule that is broken, and which degrees would do.
    """
    most = device.link.devices if device.link else 1
    possible = ", ".join(map(str, possible_degrees(shape, most)))
    problems = [
        Problem(
            f"must {rule}, got {tensor_parallel}; possible: {possible}", "fleet.tensor_parallel"
        )
        for rule, holds in _rules(shape, tensor_parallel)
        if not holds
    ]
    if pipeline_parallel > shape.n_layers:
        message = f"must be at most the {shape.n_layers} layers, got {pipeline_parallel}"
        problems.append(Problem(message, "fleet.pipeline_parallel"))
    if tensor_parallel * pipeline_parallel > 1 and device.link is None:
        problems.append(
            Problem(
                f"must be a device with a link to others, got {device.name!r}, which has none; "
                "use one device per replica, or write it inline with link: {bandwidth: ...}",
                "fleet.device",
            )
        )
    elif device.link is not None and tensor_parallel > device.link.devices:
        problems.append(
            Problem(
                f"must be at most the {device.link.devices} devices that {device.link.name} joins, "
                f"got {tensor_parallel}; use pipeline_parallel between nodes",
                "fleet.tensor_parallel",
            )
        )
    if problems:
        raise InputError(problems)


def _rules(shape: ModelShape, degree: int) -> list[tuple[str, bool]]:
    """Return what tensor parallelism must do with the model, and whether it does."""
    kv = shape.n_kv_heads
    vocabulary = -(-shape.vocab_size // VOCABULARY_PADDING) * VOCABULARY_PADDING
    rules = [
        (f"divide the {shape.n_heads} attention heads", shape.n_heads % degree == 0),
        (
            f"divide the {kv} KV heads or be a multiple of them",
            shape.is_mla or kv % degree == 0 or degree % kv == 0,
        ),
        (f"divide the vocabulary, padded to {vocabulary:,}", vocabulary % degree == 0),
        (f"divide the feed-forward width {shape.ffn_size}", shape.ffn_size % degree == 0),
    ]
    if shape.linear_attention:
        heads = shape.linear_attention.key_heads
        rules.append((f"divide the {heads} key heads of linear attention", heads % degree == 0))
    if shape.n_experts:
        width = shape.moe_ffn_size
        rules.append((f"divide the experts' width {width}", width % degree == 0))
    return rules


def possible_degrees(shape: ModelShape, most: int = 64) -> list[int]:
    """Return the tensor-parallel degrees up to `most` that the model's sizes allow."""
    degrees = range(1, min(shape.n_heads, most) + 1)
    return [degree for degree in degrees if all(holds for _, holds in _rules(shape, degree))]
