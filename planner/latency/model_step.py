"""The step time of a model on a device: shapes, peaks and settings made into coefficients.

For a step with ``p`` prefill and ``n`` decoding tokens, attention work ``A`` and context ``K``:

    compute  = 2 N_active (p + n) / (a_c e_c peak TP) + attention FLOPs A / (e_a peak TP) + head
               (latent attention: more FLOPs per token of context where a sequence decodes)
    storage  = (weights touched) / (a_s e_s bandwidth TP) + K kv_bytes / (a_s e_kv bandwidth)
               (linear attention: and the states of the sequences, read and written)
    transfer = collectives of the layers and hand-overs of the pipeline
    overhead = t_0 + t_L layers + t_1 n

The embedding table is neither multiplied nor read but for single rows; the output head is read
every step and multiplied for sampled tokens only. Of a mixture of experts, ``m`` tokens that each
choose ``k`` of ``E`` experts uniformly hit ``E (1 - (1 - k/E)^m)`` of them, and these are read.
Kernels that take few rows at a time read the weights of a dense model
``1 + reread (1 - exp(-(m - 1) / reread_tokens))`` times.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from planner.catalog.provenance import SourcedNumber
from planner.errors import InputError
from planner.latency.collectives import step_transfer
from planner.latency.parallel import check_parallel, check_served, kv_share
from planner.latency.step import step_coefficients
from planner.latency.step_time import StepTime

if TYPE_CHECKING:
    from planner.catalog.devices import Device, PeakDtype
    from planner.catalog.formats import Part
    from planner.catalog.models import ModelShape
    from planner.catalog.profile import Profile
    from planner.latency.settings import Settings


@dataclass
class _Ledger:
    """Numbers that were looked up, in order, each once."""

    numbers: dict[str, SourcedNumber] = field(default_factory=dict)

    def use(self, number: SourcedNumber) -> float:
        """Note `number`, unless a profile does without it, and return its value."""
        if number.provenance != "computed":
            self.numbers[number.name] = number
        return number.value


@dataclass(frozen=True)
class _Rates:
    """What one device gets done per second, efficiencies and speedups included."""

    layers: float  # FLOP/s of the linear layers
    experts: float  # FLOP/s of routed experts
    head: float  # FLOP/s of the output head
    attention: float  # FLOP/s of attention
    weights: float  # B/s of the layers' weights
    routed: float  # B/s of the routed experts' weights
    plain: float  # B/s of what no setting speeds up
    kv: float  # B/s of the KV cache
    transfer_speedup: float
    overhead_speedup: float


def step_time(
    shape: ModelShape,
    device: Device,
    settings: Settings,
    profile: Profile,
    *,
    tensor_parallel: int = 1,
    pipeline_parallel: int = 1,
) -> StepTime:
    """Return the step time of `shape` on `device`.

    Parameters
    ----------
    shape : ModelShape
        A decoder.
    device : Device
        Each of the replica's devices.
    settings : Settings
        Data types and pruning.
    profile : Profile
        Efficiencies, overheads, overlap.
    tensor_parallel, pipeline_parallel : int
        Devices that share a layer; stages in a row.

    Raises
    ------
    InputError
        If the model is not a decoder or cannot be divided so, the device has no peak for a data
        type, or the profile is of another device or lacks a coefficient.
    """
    check_served(shape)
    check_parallel(shape, device, tensor_parallel, pipeline_parallel)
    settings.check(device)
    profile.check(device)
    ledger = _Ledger()
    rates = _rates(device, settings, profile, ledger)
    for number in settings.numbers():
        ledger.use(number)
    values = (
        _compute(shape, settings, rates, tensor_parallel)
        | _overhead(shape, profile, device, ledger)
        | _reread(_storage(shape, settings, rates, tensor_parallel), profile, device, ledger)
        | _transfer(
            shape,
            device,
            profile,
            ledger,
            degrees=(tensor_parallel, pipeline_parallel),
            bytes_per_element=settings.plain_bytes,
            speedup=rates.transfer_speedup,
        )
        | {"overlap": ledger.use(profile.coefficient("overlap", device))}
    )
    values["overhead_fixed"] /= rates.overhead_speedup
    if shape.n_windowed_layers:
        values["window"] = float(shape.sliding_window)
    origin = shape.origin
    ledger.use(SourcedNumber("parameters", shape.parameters, "-", origin.provenance, origin.source))
    around = ledger.use(profile.coefficient("request_overhead", device))
    return StepTime(step_coefficients(**values), list(ledger.numbers.values()), around)


def _rates(device: Device, settings: Settings, profile: Profile, ledger: _Ledger) -> _Rates:
    """Return the rates of one device."""

    def speedup(part: Part, *kinds: str) -> float:
        return math.prod(ledger.use(each) for each in settings.speedup(part, profile, *kinds))

    def coefficient(name: str) -> float:
        return ledger.use(profile.coefficient(name, device))

    quantised = ledger.use(_peak(device, settings.compute_dtype))
    plain = ledger.use(_peak(device, settings.plain_dtype))
    origin = device.origin("bandwidth")
    bandwidth = ledger.use(
        SourcedNumber("bandwidth", device.bandwidth, "B/s", origin.provenance, origin.source)
    )
    linear, stored = coefficient("compute_efficiency"), coefficient("storage_efficiency")
    layers = linear * quantised * speedup("compute", "weights", "pruning", "launch")
    weights = stored * bandwidth * speedup("storage", "weights", "pruning", "launch")
    return _Rates(
        layers=layers,
        experts=layers * coefficient("expert_compute"),
        head=linear * plain,
        attention=coefficient("attention_efficiency") * plain * speedup("compute", "kv_cache"),
        weights=weights,
        routed=weights * coefficient("expert_storage"),
        plain=stored * bandwidth,
        kv=coefficient("kv_efficiency") * bandwidth * speedup("storage", "kv_cache"),
        transfer_speedup=speedup("transfer", "weights", "kv_cache", "pruning"),
        overhead_speedup=speedup("overhead", "launch"),
    )


def _peak(device: Device, dtype: PeakDtype) -> SourcedNumber:
    """Return the peak of `device` in `dtype`, which it has."""
    origin = device.origin(f"peaks.{dtype}")
    value = device.peaks[dtype]
    return SourcedNumber(f"peak {dtype}", value, "FLOP/s", origin.provenance, origin.source)


def _compute(
    shape: ModelShape, settings: Settings, rates: _Rates, tensor_parallel: int
) -> dict[str, float]:
    """Return the coefficients of compute: two FLOPs per parameter and token, and attention's.

    Latent attention is folded where a sequence decodes: one latent is read for all heads, at the
    price of more arithmetic than a prompt's. A shape that folding costs nothing keeps the form.
    """
    used = shape.active_linear_parameters - shape.fixed_parameters  # of routed experts
    layers = shape.fixed_parameters / rates.layers + used / rates.experts
    linear = shape.linear_attention
    states = shape.linear_layers * linear.flops_per_token if linear else 0
    pair = shape.attention_flops_per_pair / (rates.attention * tensor_parallel)
    folded = shape.decode_flops_per_pair / (rates.attention * tensor_parallel)
    return {
        "compute_per_token": 2 * settings.flops_left * layers / tensor_parallel
        + states / (rates.attention * tensor_parallel),
        "compute_per_sample": 2 * shape.head_parameters / (rates.head * tensor_parallel),
        "compute_per_context": shape.full_layers * pair,
        "compute_per_context_window": shape.n_windowed_layers * pair,
        "compute_per_context_decode": shape.full_layers * max(folded - pair, 0.0),
    }


def _storage(
    shape: ModelShape, settings: Settings, rates: _Rates, tensor_parallel: int
) -> dict[str, float]:
    """Return the coefficients of storage: weights and KV cache over memory bandwidth."""
    fixed = shape.fixed_parameters * settings.layer_bytes / rates.weights
    head = shape.head_parameters * settings.plain_bytes / rates.plain
    experts = shape.routed_parameters * settings.expert_bytes / rates.routed
    kv = shape.kv_elements_per_layer * settings.kv_bytes * kv_share(shape, tensor_parallel)
    linear = shape.linear_attention
    states = 2 * shape.linear_layers * linear.state_bytes / tensor_parallel if linear else 0.0
    missed = 1 - shape.experts_per_token / shape.n_experts if shape.n_experts else 0.0
    if missed == 0:  # no experts, or every token uses all of them
        fixed, experts = fixed + experts, 0.0
    return {
        "storage_fixed": (fixed + head) / tensor_parallel,
        "storage_experts": experts / tensor_parallel,
        "experts_log_miss": math.log(missed) if missed else 0.0,
        "storage_per_context": shape.full_layers * kv / rates.kv,
        "storage_per_context_window": shape.n_windowed_layers * kv / rates.kv,
        "storage_per_token": shape.kv_layers * kv / rates.kv,
        "storage_per_sequence": states / rates.kv,
    }


def _overhead(
    shape: ModelShape, profile: Profile, device: Device, ledger: _Ledger
) -> dict[str, float]:
    """Return the coefficients of overhead.

    A layer is a dozen kernels, each of which begins when the one before has ended: with small
    batches these gaps are most of a step, and the more layers, the more of them.
    """

    def coefficient(name: str) -> float:
        return ledger.use(profile.coefficient(name, device))

    layers = coefficient("overhead_per_layer") * shape.n_layers
    experts = coefficient("overhead_per_moe_layer") * shape.moe_layers
    return {
        "overhead_fixed": coefficient("overhead_fixed") + layers + experts,
        "overhead_per_sequence": coefficient("overhead_per_sequence"),
    }


def _reread(
    storage: dict[str, float], profile: Profile, device: Device, ledger: _Ledger
) -> dict[str, float]:
    """Return the coefficients of `storage` for kernels that read the weights several times.

    A kernel that multiplies one row, or a few, at a time reads the weights from cache again for
    the next; beyond some tens of rows it takes them all at once. Or one row has a kernel of its
    own, and that for several lays the weights out anew. Seen on CPUs. It has the form of the
    experts that a batch hits, so that a model has one or the other.

    Raises
    ------
    InputError
        If the profile has such kernels and the model experts.
    """
    again = profile.coefficient("reread", device)
    if again.value == 0:
        return storage
    if storage["storage_experts"]:
        raise InputError(
            f"profile {profile.name!r} must be one without 'reread' for a mixture of experts; "
            "measure one with such a model"
        )
    tokens = ledger.use(profile.coefficient("reread_tokens", device))
    if tokens == 0:
        raise InputError(f"profile {profile.name!r} must have reread_tokens beside reread")
    more = storage["storage_fixed"] * ledger.use(again)
    again_for = {"storage_experts": more, "experts_log_miss": -1 / tokens, "experts_free": 1.0}
    return {**storage, **again_for}


def _transfer(
    shape: ModelShape,
    device: Device,
    profile: Profile,
    ledger: _Ledger,
    *,
    degrees: tuple[int, int],
    bytes_per_element: float,
    speedup: float,
) -> dict[str, float]:
    """Return the coefficients of transfer; none where a device works alone."""
    link = device.link
    if degrees == (1, 1) or link is None:
        return {}
    origin = device.origin("link.bandwidth")
    bandwidth = ledger.use(
        SourcedNumber("link bandwidth", link.bandwidth, "B/s", origin.provenance, origin.source)
    )
    transfer = step_transfer(
        shape.n_layers,
        *degrees,
        shape.hidden_size * bytes_per_element,
        bandwidth=bandwidth * ledger.use(profile.coefficient("link_efficiency", device)),
        latency=ledger.use(profile.coefficient("link_latency", device)),
    )
    return {
        "transfer_fixed": transfer.fixed / speedup,
        "transfer_per_token": transfer.per_token / speedup,
    }
