"""One strategy for every spec that a scenario can hold."""

from __future__ import annotations

from typing import Annotated, Any, get_args, get_origin

from hypothesis import strategies as st

from planner.catalog import devices, models
from planner.catalog.linear_attention import LinearAttention
from planner.catalog.provenance import Origin
from planner.latency import settings, stages
from planner.scenario import engine, fleet, model, plan, service
from planner.scenario.objectives import parse_objectives
from planner.spec import Spec
from planner.traffic import arrivals, closed, columns, lengths, marginals, profile, replay
from planner.traffic import spec as traffic

counts = st.integers(1, 1000)
seconds = st.floats(1e-6, 1e6)
seconds_or_zero = st.just(0.0) | seconds
rates = st.floats(1e-3, 1e3)
numbers = st.floats(1e-3, 1e15)
shares = st.floats(0.01, 0.99)
cvs = st.floats(0.01, 100)
tokens = st.integers(1, 100_000)
paths = st.sampled_from(["traces/a.csv.gz", "b.jsonl"])
words = st.text(min_size=1, max_size=5)


def optional(strategy):
    return st.none() | strategy


def tuples(strategy, least=0, most=3):
    return st.lists(strategy, min_size=least, max_size=most).map(tuple)


def ordered(strategy):
    return st.tuples(strategy, strategy).map(sorted)


def from_pair(cls, low, high, strategy, **others):
    """Build `cls` with two fields of which the first is not larger."""
    return st.builds(
        lambda pair, more: cls(**{low: pair[0], high: pair[1]}, **more),
        ordered(strategy),
        st.fixed_dictionaries(others),
    )


STRATEGIES: dict[type[Spec], st.SearchStrategy[Any]] = {}


def strategy_of(*specs):
    return st.one_of([STRATEGIES[spec] for spec in specs])


S = STRATEGIES
S[Origin] = st.builds(Origin, provenance=st.sampled_from(["given", "measured"]), source=words)
S[devices.Link] = st.builds(devices.Link, name=words, bandwidth=numbers, devices=counts)
S[devices.Device] = st.builds(
    devices.Device,
    name=words,
    kind=st.sampled_from(["gpu", "cpu"]),
    memory=optional(numbers),
    bandwidth=numbers,
    peaks=st.dictionaries(st.sampled_from(["bf16", "fp8"]), numbers, min_size=1),
    link=optional(S[devices.Link]),
    prices=st.dictionaries(st.sampled_from(["low", "aws"]), st.floats(0, 100)),
    origins=st.dictionaries(words, S[Origin], max_size=1),
)
S[LinearAttention] = st.builds(
    LinearAttention,
    n_layers=st.just(1),
    key_heads=st.sampled_from([1, 8]),
    value_heads=st.sampled_from([8, 32]),
    key_head_dim=counts,
    value_head_dim=counts,
    conv_kernel=counts,
)
S[models.ModelShape] = st.builds(
    models.ModelShape,
    name=words,
    hidden_size=st.sampled_from([1024, 4096]),
    n_layers=st.integers(2, 200),
    n_heads=st.sampled_from([8, 32]),
    n_kv_heads=st.sampled_from([1, 8]),
    ffn_size=counts,
    vocab_size=counts,
    max_position=counts,
    tied_embeddings=st.booleans(),
    gated_attention=st.booleans(),
    linear_attention=optional(S[LinearAttention]),
)
S[settings.Pruning] = st.one_of(
    st.just(settings.Pruning()),
    st.builds(settings.Pruning, pattern=st.just("structured"), rate=shares),
    st.just(settings.Pruning(pattern="2:4", rate=0.5)),
)
S[settings.Settings] = st.builds(
    settings.Settings,
    weights=st.sampled_from(["bf16", "fp8", "int4"]),
    kv_cache=st.sampled_from(["bf16", "fp8"]),
    activations=optional(st.just("bf16")),
    pruning=S[settings.Pruning],
    launch=st.sampled_from(["default", "eager", "compile", "cuda_graphs"]),
)

S[stages.StagePart] = st.builds(
    stages.StagePart, time=seconds_or_zero, degree=counts, speedup=st.floats(0.1, 10)
)
S[stages.Constant] = st.just(stages.Constant())
S[stages.Exponential] = st.just(stages.Exponential())
S[stages.Gamma] = st.builds(stages.Gamma, cv=cvs)
S[stages.Stage] = st.builds(
    stages.Stage,
    name=words,
    compute=S[stages.StagePart],
    transfer=S[stages.StagePart],
    overhead=seconds,
    parallel=st.sampled_from(["split", "pool"]),
    variability=strategy_of(stages.Constant, stages.Exponential, stages.Gamma),
)

S[engine.Chunked] = st.builds(engine.Chunked)
S[engine.PrefillFirst] = st.builds(engine.PrefillFirst, scheduler_recv_interval=counts)
S[engine.Static] = st.builds(engine.Static, batch_size=counts, timeout=seconds_or_zero)
S[engine.MeasuredMemory] = st.builds(
    engine.MeasuredMemory,
    weights=optional(st.floats(0, 1e10)),
    activation=optional(st.floats(0, 1e10)),
    non_torch=optional(st.floats(0, 1e10)),
    cuda_graphs=optional(st.floats(0, 1e10)),
)
S[engine.Engine] = st.builds(
    engine.Engine,
    scheduler=strategy_of(engine.Chunked, engine.PrefillFirst, engine.Static),
    max_num_seqs=st.integers(1000, 2000),
    max_num_batched_tokens=st.integers(2000, 10_000),
    block_size=st.integers(1, 64),
    gpu_memory_utilization=shares,
    max_model_len=optional(st.integers(1, 10_000)),
    kv_tokens=optional(st.integers(10_000, 10**7)),
    disable_hybrid_kv_cache_manager=st.booleans(),
    measured_memory=S[engine.MeasuredMemory],
)
S[service.ModelConfig] = st.builds(service.ModelConfig, config=paths)
S[service.LlmService] = st.builds(
    service.LlmService,
    model=words | strategy_of(service.ModelConfig, models.ModelShape),
    settings=S[settings.Settings],
    engine=S[engine.Engine],
    profile=words,
    network=seconds_or_zero,
    before=tuples(S[stages.Stage], most=1),
    after=tuples(S[stages.Stage], most=1),
)
S[service.StagesService] = st.builds(
    service.StagesService, stages=tuples(S[stages.Stage], least=1, most=2)
)

for router in get_args(get_args(fleet.Router)[0]):
    S[router] = st.just(router())
S[fleet.Event] = st.builds(
    fleet.Event, at=seconds_or_zero, kind=st.just("join"), replicas=counts
) | st.builds(fleet.Event, at=seconds, kind=st.sampled_from(["leave", "fail"]))
S[fleet.Failures] = st.builds(
    fleet.Failures, mtbf=seconds, mttr=seconds, retry_delay=seconds_or_zero
)
S[fleet.TargetUtilisation] = st.builds(
    fleet.TargetUtilisation,
    target=shares,
    interval=seconds,
    max_replicas=st.integers(20, 100),
    start_time=seconds_or_zero,
    loading_bandwidth=numbers,
    scale_down_delay=seconds_or_zero,
)
S[fleet.Fleet] = st.builds(
    fleet.Fleet,
    device=words | S[devices.Device],
    replicas=st.integers(5, 20),
    tensor_parallel=st.integers(1, 8),
    pipeline_parallel=st.integers(1, 4),
    price=st.sampled_from(["low", "aws", "azure", "high"]) | st.floats(0, 100),
    router=strategy_of(*get_args(get_args(fleet.Router)[0])),
    events=tuples(S[fleet.Event]),
    failures=optional(S[fleet.Failures]),
    autoscaler=optional(S[fleet.TargetUtilisation]),
)

S[columns.Columns] = st.builds(
    columns.Columns, arrival=optional(words), unit=optional(st.sampled_from(["s", "ms"]))
)
S[arrivals.PoissonArrivals] = st.builds(arrivals.PoissonArrivals, rate=rates)
S[arrivals.GammaArrivals] = st.builds(arrivals.GammaArrivals, rate=rates, cv=cvs)
S[arrivals.DeterministicArrivals] = st.builds(arrivals.DeterministicArrivals, rate=rates)
S[arrivals.MmppState] = st.builds(arrivals.MmppState, rate=rates, dwell=seconds)
S[arrivals.MmppArrivals] = st.builds(
    arrivals.MmppArrivals, states=tuples(S[arrivals.MmppState], least=2)
)
S[profile.RatePoint] = st.builds(profile.RatePoint, at=st.just(0.0), rate=rates)
S[profile.ProfileArrivals] = st.builds(
    profile.ProfileArrivals, path=paths, series=optional(words), period=optional(seconds), cv=cvs
) | st.builds(
    profile.ProfileArrivals,
    points=S[profile.RatePoint].map(lambda point: (point,)),
    shape=st.sampled_from(["linear", "step"]),
)
S[replay.TraceArrivals] = st.builds(
    replay.TraceArrivals,
    path=paths,
    columns=S[columns.Columns],
    window=optional(st.tuples(st.floats(0, 10), st.floats(11, 1e5))),
    speedup=st.floats(0.1, 10),
    spread_ties=st.booleans() | seconds,
    max_size=numbers,
)
S[closed.ConstantThink] = st.builds(closed.ConstantThink, mean=seconds_or_zero)
S[closed.ExponentialThink] = st.builds(closed.ExponentialThink, mean=seconds_or_zero)
S[closed.ClosedLoopArrivals] = st.builds(
    closed.ClosedLoopArrivals,
    clients=counts,
    think=strategy_of(closed.ConstantThink, closed.ExponentialThink),
    ramp=seconds_or_zero,
)

S[marginals.FixedLength] = st.builds(marginals.FixedLength, tokens=tokens)
S[marginals.UniformLength] = from_pair(marginals.UniformLength, "min", "max", tokens)
S[marginals.LognormalLength] = from_pair(
    marginals.LognormalLength, "min", "max", tokens, mean=st.floats(1, 1e5), cv=cvs
)
S[marginals.Quantile] = st.builds(marginals.Quantile, p=st.just(1.0), tokens=tokens)
S[marginals.EmpiricalLength] = st.builds(
    marginals.EmpiricalLength, values=tuples(tokens, least=1)
) | st.builds(marginals.EmpiricalLength, quantiles=S[marginals.Quantile].map(lambda row: (row,)))
sides = strategy_of(*get_args(get_args(marginals.Length)[0]))
S[lengths.FixedLengths] = st.builds(lengths.FixedLengths, prompt=tokens, output=tokens)
for cls, side in (
    (lengths.UniformLengths, S[marginals.UniformLength]),
    (lengths.LognormalLengths, S[marginals.LognormalLength]),
    (lengths.IndependentLengths, sides),
):
    S[cls] = st.builds(cls, prompt=side, output=side)
S[lengths.EmpiricalLengths] = st.builds(
    lengths.EmpiricalLengths,
    prompt=S[marginals.EmpiricalLength],
    output=S[marginals.EmpiricalLength],
) | st.builds(lengths.EmpiricalLengths, path=paths, columns=S[columns.Columns])
S[lengths.JointLengths] = st.builds(lengths.JointLengths, path=paths, max_size=numbers)
S[lengths.LengthsFromArrivals] = st.just(lengths.LengthsFromArrivals())

open_loop = strategy_of(
    arrivals.PoissonArrivals,
    arrivals.GammaArrivals,
    arrivals.DeterministicArrivals,
    arrivals.MmppArrivals,
    profile.ProfileArrivals,
    replay.TraceArrivals,
)
drawn_lengths = strategy_of(
    lengths.FixedLengths,
    lengths.UniformLengths,
    lengths.LognormalLengths,
    lengths.IndependentLengths,
    lengths.EmpiricalLengths,
    lengths.JointLengths,
)
objective_texts = st.sampled_from(
    ["ttft:p95<500ms", "e2e:p99.9<=30s; wait:mean<1s", "goodput{ttft<2s,e2e<50s}>=0.95"]
)
parts = {"arrivals": open_loop, "lengths": drawn_lengths, "sessions": optional(st.floats(1, 20))}
S[traffic.RequestClass] = st.builds(
    traffic.RequestClass, name=words, objectives=optional(objective_texts), **parts
) | st.builds(
    traffic.RequestClass,
    name=words,
    arrivals=S[replay.TraceArrivals],
    lengths=S[lengths.LengthsFromArrivals],
)
closed_class = st.builds(
    traffic.RequestClass, name=words, arrivals=S[closed.ClosedLoopArrivals], lengths=drawn_lengths
)
ends = {"requests": counts, "rate": optional(rates)}
S[traffic.Traffic] = st.builds(traffic.Traffic, **ends, **parts) | st.builds(
    traffic.Traffic,
    **ends,
    classes=st.lists(
        S[traffic.RequestClass], min_size=1, max_size=3, unique_by=lambda each: each.name
    ).map(tuple),
)
closed_traffic = st.builds(
    traffic.Traffic, requests=counts, classes=closed_class.map(lambda each: (each,))
)

S[model.SimulationSpec] = st.builds(
    model.SimulationSpec,
    seed=st.integers(0, 2**40),
    replications=counts,
    warmup=seconds_or_zero,
    confidence=shares,
)
some_devices = words.filter(str.strip) | S[devices.Device]
S[plan.PlanSpec] = st.builds(
    plan.PlanSpec,
    devices=optional(tuples(some_devices, least=1)),
    tensor_parallel=tuples(counts, least=1),
    pipeline_parallel=tuples(counts, least=1),
    weights=optional(tuples(st.sampled_from(["bf16", "int4"]), least=1)),
    kv_cache=optional(tuples(st.sampled_from(["bf16", "fp8"]), least=1)),
    activations=optional(tuples(st.sampled_from(["bf16", "int8"]), least=1)),
    pruning=optional(tuples(S[settings.Pruning], least=1)),
    launch=optional(tuples(st.sampled_from(["eager", "compile"]), least=1)),
    scheduler=optional(
        tuples(strategy_of(engine.Chunked, engine.PrefillFirst, engine.Static), least=1)
    ),
    max_num_seqs=optional(tuples(counts, least=1)),
    max_num_batched_tokens=optional(tuples(counts, least=1)),
    router=optional(tuples(strategy_of(fleet.RoundRobin, fleet.LeastKv), least=1)),
    max_replicas=counts,
    max_cost=optional(st.floats(0, 1e5)),
    max_devices=optional(st.dictionaries(words, counts, max_size=2)),
    max_power=optional(numbers),
    max_quality_loss=optional(shares),
    availability=optional(shares),
    measured_only=st.booleans(),
    confidence=shares,
) | st.builds(plan.PlanSpec, spares=counts)
common = {
    "name": words,
    "description": st.text(max_size=20),
    "objectives": objective_texts.map(parse_objectives),
    "simulation": S[model.SimulationSpec],
    "plan": optional(S[plan.PlanSpec]),
}
S[model.Scenario] = st.one_of(
    st.builds(
        model.Scenario,
        traffic=S[traffic.Traffic],
        service=S[service.LlmService],
        fleet=S[fleet.Fleet],
        **common,
    ),
    st.builds(
        model.Scenario,
        traffic=closed_traffic,
        service=st.builds(service.LlmService, model=words),
        fleet=S[fleet.Fleet],
        **common,
    ),
    st.builds(
        model.Scenario,
        traffic=S[traffic.Traffic] | closed_traffic,
        service=S[service.StagesService],
        **common,
    ),
)


def reachable(cls: type[Spec], seen: set[type[Spec]] | None = None) -> set[type[Spec]]:
    """Return every spec that an instance of `cls` can hold, itself included."""
    seen = set() if seen is None else seen
    if cls not in seen:
        seen.add(cls)
        for field in cls.model_fields.values():
            for member in members(field.annotation):
                reachable(member, seen)
    return seen


def members(annotation: Any) -> list[type[Spec]]:
    """Return the specs in a type, whatever they are wrapped in."""
    if isinstance(annotation, type) and issubclass(annotation, Spec):
        return [annotation]
    arguments = get_args(annotation)
    if get_origin(annotation) is Annotated:
        arguments = arguments[:1]
    return [member for argument in arguments for member in members(argument)]
