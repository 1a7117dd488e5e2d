"""For every key of a scenario: a small scenario, a change of the key, and what must change."""

from __future__ import annotations

from typing import NamedTuple

#: What a change must do to the result.
NUMBERS = "numbers"  # what was simulated
COST = "cost"  # the cost alone
INTERVALS = "intervals"  # the ends of the intervals alone
OBJECTIVES = "objectives"  # the objectives alone
SOURCES = "sources"  # the provenance of numbers alone
HEADER = "header"  # how the result is called, alone
PRICE = "price"  # the cost, and where the price comes from
KEPT = "kept"  # nothing but the scenario in the result: kept for the reader
PLANNED = "planned"  # the plan alone
REFUSED = "refused"  # the changed value is refused, since a limit is met

LLM = """
name: base
traffic:
  requests: 80
  arrivals: {kind: poisson, rate: 20 req/s}
  lengths: {kind: uniform, prompt: {min: 100, max: 900}, output: {min: 5, max: 60}}
service: {kind: llm, model: qwen2.5-3b}
fleet: {device: L4, replicas: 2}
simulation: {replications: 2, warmup: 0 s}
"""
PLAN = (
    LLM
    + """\
objectives: "ttft:p95<400ms; tpot:p90<70ms"
plan:
  devices: [L4]
  tensor_parallel: [1]
  weights: [bf16]
  kv_cache: [bf16]
  max_num_batched_tokens: [2048]
"""
)
STAGES = """
name: base
traffic:
  requests: 80
  arrivals: {kind: poisson, rate: 40 req/s}
  lengths: {kind: fixed, prompt: 1, output: 1}
service:
  kind: stages
  stages:
    - name: only
      compute: {time: 20 ms, degree: 2, speedup: 2}
      storage: {time: 5 ms}
      transfer: {time: 5 ms}
fleet: {device: L4, price: $1/h}
simulation: {replications: 2, warmup: 0 s}
"""
#: Files beside the scenarios.
FILES = {
    "log.csv": "a,b,p,q,x,y\n"
    + "".join(
        f"{k / 10},{k / 5},{100 + k},{200 + k},{5 + k % 9},{20 + k % 7}\n" for k in range(60)
    ),
    "ties.csv": "arrival_s,prompt_tokens,output_tokens\n"
    + "".join(f"{k // 10},{300 + 7 * k},{9 + k % 30}\n" for k in range(80)),
    "other.csv": "arrival_s,prompt_tokens,output_tokens\n"
    + "".join(f"{k / 20},{200 + 5 * k},{30 - k % 25}\n" for k in range(80)),
    "rates.csv": "t_s,rate_rps,model\n0,10,a\n10,40,a\n0,30,b\n10,5,b\n",
    "more_rates.csv": "t_s,rate_rps,model\n0,50,a\n10,20,a\n",
}


class Case(NamedTuple):
    """One key: a change of it on a base, itself changed first by `setup`, and its effect."""

    change: str
    setup: str = ""
    effect: str = NUMBERS
    base: str = LLM


ARR, LEN, SERVICE, FLEET = "traffic.arrivals", "traffic.lengths", "service", "fleet"
ENGINE, SETTINGS, MODEL, DEVICE = (
    "service.engine", "service.settings", "service.model", "fleet.device",
)  # fmt: skip
MAPPED = "columns: {arrival: a, prompt: p, output: x}"
LOG = f"{ARR}={{kind: trace, path: log.csv, {MAPPED}}} | {LEN}=null"
TIES = f"{ARR}={{kind: trace, path: ties.csv}} | {LEN}=null"
PROFILE = (
    f"{ARR}={{kind: profile, cv: 1, shape: linear, "
    "points: [{at: 0 s, rate: 5 req/s}, {at: 4 s, rate: 40 req/s}]}"
)
RATES = f"{ARR}={{kind: profile, path: rates.csv, series: a}}"
MMPP = (
    f"{ARR}={{kind: mmpp, states: [{{rate: 5 req/s, dwell: 1 s}}, {{rate: 50 req/s, dwell: 1 s}}]}}"
)
CLOSED = f"{ARR}={{kind: closed_loop, clients: 6, think: {{kind: constant, mean: 1 s}}}}"
TWO = (
    f"{ARR}=null | {LEN}=null | traffic.classes=["
    "{name: one, arrivals: {kind: poisson, rate: 10 req/s}, "
    "lengths: {kind: fixed, prompt: 300, output: 20}, sessions: 2},"
    "{name: two, arrivals: {kind: poisson, rate: 10 req/s}, "
    "lengths: {kind: fixed, prompt: 600, output: 30}}] | fleet.router={kind: session_affinity}"
)
LOGNORMAL = f"{LEN}={{kind: lognormal, prompt: {{mean: 400, cv: 1}}, output: {{mean: 20, cv: 1}}}}"
INDEPENDENT = (
    f"{LEN}={{kind: independent, prompt: {{kind: fixed, tokens: 400}}, "
    "output: {kind: uniform, min: 5, max: 50}}"
)
EMPIRICAL = (
    f"{LEN}={{kind: empirical, prompt: {{values: [100, 900]}}, output: {{values: [5, 50]}}}}"
)
QUANTILES = (
    f"{LEN}={{kind: empirical, prompt: {{quantiles: [{{p: 0.5, tokens: 200}}, "
    "{p: 1, tokens: 900}]}, output: {values: [5, 50]}}"
)
EMPIRICAL_FILE = f"{LEN}={{kind: empirical, path: ties.csv}}"
JOINT = f"{LEN}={{kind: joint, path: ties.csv}}"
TIGHT = f"{ENGINE}.kv_tokens=4000 | {ENGINE}.max_model_len=1600"
STATIC = f"{ENGINE}.scheduler={{kind: static, batch_size: 8, timeout: 500 ms}}"
FAILING = f"{FLEET}.failures={{mtbf: 3 s, mttr: 1 s, retry_delay: 100 ms}} | {FLEET}.replicas=3"
EVENT = f"{FLEET}.events=[{{at: 1 s, kind: leave}}] | {FLEET}.replicas=3"
SCALED = (
    "traffic.requests=900 | traffic.arrivals.rate=30 req/s | service.engine.max_num_seqs=8 | "
    "fleet.autoscaler={max_replicas: 8, min_replicas: 1, target: 0.5, interval: 2 s, "
    "start_time: 1 s, loading_bandwidth: 10 GB/s, scale_down_delay: 4 s}"
)
DENSE = (
    "service.model={name: mine, hidden_size: 1024, n_layers: 24, n_heads: 16, n_kv_heads: 4, "
    "head_dim: 64, ffn_size: 4096, ffn_gated: true, vocab_size: 32000, max_position: 4096}"
)
MOE = f"{DENSE} | {MODEL}.n_experts=16 | {MODEL}.experts_per_token=2 | {MODEL}.moe_ffn_size=512"
WINDOWED = f"{DENSE} | {MODEL}.sliding_window=128 | {MODEL}.n_windowed_layers=12"
MLA = (
    f"{DENSE} | {MODEL}.kv_lora_rank=256 | {MODEL}.q_lora_rank=512 | {MODEL}.qk_rope_dim=32 | "
    f"{MODEL}.qk_nope_dim=64 | {MODEL}.v_head_dim=64"
)
LINEAR = (
    f"{DENSE} | {MODEL}.gated_attention=true | {MODEL}.linear_attention={{n_layers: 16, "
    "key_heads: 8, value_heads: 16, key_head_dim: 64, value_head_dim: 64}"
)
CHIP = (
    "fleet.device={name: mine, memory: 12 GiB, bandwidth: 400 GB/s, peaks: {bf16: 100 TFLOP/s}, "
    "link: {name: wire, bandwidth: 20 GB/s, devices: 2}, prices: {low: $1/h}, "
    "origins: {bandwidth: {provenance: datasheet, source: page 1}}} | fleet.tensor_parallel=2"
)
BEFORE = f"{SERVICE}.before=[{{name: ears, compute: {{time: 20 ms}}}}]"
VARIED = "service.stages.0.variability={kind: gamma, cv: 0.5}"

CASES: dict[str, Case] = {
    "Scenario.schema_version": Case("schema_version=2", effect=REFUSED),
    "Scenario.name": Case("name=other", effect=HEADER),
    "Scenario.description": Case("description=other", effect=KEPT),
    "Scenario.traffic": Case("traffic={requests: 80, arrivals: {kind: trace, path: ties.csv}}"),
    "Scenario.service": Case("service={kind: llm, model: qwen2.5-1.5b}"),
    "Scenario.fleet": Case("fleet={device: L40S}"),
    "Scenario.objectives": Case(
        "objectives=ttft:p95<1ms", "objectives=ttft:p95<9s", effect=OBJECTIVES
    ),
    "Scenario.simulation": Case("simulation={seed: 9, replications: 2, warmup: 0 s}"),
    "SimulationSpec.seed": Case("simulation.seed=2"),
    "SimulationSpec.replications": Case("simulation.replications=3"),
    "SimulationSpec.warmup": Case("simulation.warmup=1 s"),
    "SimulationSpec.confidence": Case("simulation.confidence=0.8", effect=INTERVALS),
    "Traffic.duration": Case("traffic.duration=3 s", "traffic.duration=2 s"),
    "Traffic.requests": Case("traffic.requests=90"),
    "Traffic.rate": Case("traffic.rate=25 req/s"),
    "Traffic.arrivals": Case("traffic.arrivals={kind: gamma, rate: 20 req/s, cv: 2}"),
    "Traffic.lengths": Case("traffic.lengths={kind: fixed, prompt: 100, output: 9}"),
    "Traffic.sessions": Case("traffic.sessions=3", "fleet.router={kind: session_affinity}"),
    "Traffic.classes": Case(TWO),
    "RequestClass.name": Case("traffic.classes.0.name=three", TWO),
    "RequestClass.arrivals": Case("traffic.classes.0.arrivals.rate=15 req/s", TWO),
    "RequestClass.lengths": Case("traffic.classes.0.lengths.prompt=500", TWO),
    "RequestClass.objectives": Case(
        "traffic.classes.0.objectives=ttft:p95<1ms",
        TWO + " | traffic.classes.0.objectives=ttft:p95<9s",
        effect=OBJECTIVES,
    ),
    "RequestClass.sessions": Case("traffic.classes.0.sessions=20", TWO),
    # arrivals
    "PoissonArrivals.kind": Case(f"{ARR}={{kind: deterministic, rate: 20 req/s}}"),
    "PoissonArrivals.rate": Case(f"{ARR}.rate=25 req/s"),
    "GammaArrivals.kind": Case(f"{ARR}={{kind: gamma, rate: 20 req/s, cv: 3}}"),
    "GammaArrivals.rate": Case(f"{ARR}.rate=25 req/s", f"{ARR}={{kind: gamma, rate: 20 req/s}}"),
    "GammaArrivals.cv": Case(f"{ARR}.cv=2", f"{ARR}={{kind: gamma, rate: 20 req/s}}"),
    "DeterministicArrivals.kind": Case(
        f"{ARR}.kind=poisson", f"{ARR}={{kind: deterministic, rate: 20 req/s}}"
    ),
    "DeterministicArrivals.rate": Case(
        f"{ARR}.rate=25 req/s", f"{ARR}={{kind: deterministic, rate: 20 req/s}}"
    ),
    "MmppArrivals.kind": Case(MMPP),
    "MmppArrivals.states": Case(
        f"{ARR}.states=[{{rate: 5 req/s, dwell: 1 s}}, {{rate: 50 req/s, dwell: 1 s}}, "
        "{rate: 0 req/s, dwell: 1 s}]",
        MMPP,
    ),
    "MmppState.rate": Case(f"{ARR}.states.1.rate=60 req/s", MMPP),
    "MmppState.dwell": Case(f"{ARR}.states.1.dwell=2 s", MMPP),
    "ProfileArrivals.kind": Case(PROFILE),
    "ProfileArrivals.points": Case(
        f"{ARR}.points=[{{at: 0 s, rate: 20 req/s}}, {{at: 4 s, rate: 40 req/s}}]", PROFILE
    ),
    "ProfileArrivals.path": Case(f"{ARR}.path=more_rates.csv", RATES),
    "ProfileArrivals.series": Case(f"{ARR}.series=b", RATES),
    "ProfileArrivals.shape": Case(f"{ARR}.shape=step", PROFILE),
    "ProfileArrivals.period": Case(f"{ARR}.period=5 s", PROFILE + " | traffic.requests=200"),
    "ProfileArrivals.cv": Case(f"{ARR}.cv=2", PROFILE),
    "RatePoint.at": Case(f"{ARR}.points.1.at=2 s", PROFILE),
    "RatePoint.rate": Case(f"{ARR}.points.1.rate=80 req/s", PROFILE),
    "TraceArrivals.kind": Case(f"{ARR}={{kind: trace, path: ties.csv}}"),
    "TraceArrivals.path": Case(f"{ARR}.path=other.csv", TIES),
    "TraceArrivals.columns": Case(f"{ARR}.columns={{prompt: output_tokens}}", TIES),
    "TraceArrivals.window": Case(f"{ARR}.window=[2 s, 6 s]", TIES),
    "TraceArrivals.speedup": Case(f"{ARR}.speedup=2", TIES),
    "TraceArrivals.spread_ties": Case(f"{ARR}.spread_ties=true", TIES),
    "TraceArrivals.max_size": Case(f"{ARR}.max_size=100 B", TIES, effect=REFUSED),
    "Columns.arrival": Case(f"{ARR}.columns.arrival=b", LOG),
    "Columns.prompt": Case(f"{ARR}.columns.prompt=q", LOG),
    "Columns.output": Case(f"{ARR}.columns.output=y", LOG),
    "Columns.unit": Case(f"{ARR}.columns.unit=ms", LOG),
    "ClosedLoopArrivals.kind": Case(CLOSED),
    "ClosedLoopArrivals.clients": Case(f"{ARR}.clients=12", CLOSED),
    "ClosedLoopArrivals.think": Case(f"{ARR}.think=2 s", CLOSED),
    "ClosedLoopArrivals.ramp": Case(f"{ARR}.ramp=3 s", CLOSED),
    "ConstantThink.kind": Case(f"{ARR}.think.kind=exponential", CLOSED),
    "ConstantThink.mean": Case(f"{ARR}.think.mean=2 s", CLOSED),
    "ExponentialThink.kind": Case(f"{ARR}.think={{kind: exponential, mean: 1 s}}", CLOSED),
    "ExponentialThink.mean": Case(
        f"{ARR}.think.mean=2 s", f"{CLOSED} | {ARR}.think={{kind: exponential, mean: 1 s}}"
    ),
    # lengths
    "FixedLengths.kind": Case(f"{LEN}={{kind: fixed, prompt: 500, output: 30}}"),
    "FixedLengths.prompt": Case(
        f"{LEN}.prompt=600", f"{LEN}={{kind: fixed, prompt: 500, output: 30}}"
    ),
    "FixedLengths.output": Case(
        f"{LEN}.output=40", f"{LEN}={{kind: fixed, prompt: 500, output: 30}}"
    ),
    "UniformLengths.kind": Case(LOGNORMAL),
    "UniformLengths.prompt": Case(f"{LEN}.prompt={{min: 200, max: 800}}"),
    "UniformLengths.output": Case(f"{LEN}.output={{min: 10, max: 50}}"),
    "LognormalLengths.kind": Case(LOGNORMAL, INDEPENDENT),
    "LognormalLengths.prompt": Case(f"{LEN}.prompt={{mean: 600, cv: 0.5}}", LOGNORMAL),
    "LognormalLengths.output": Case(f"{LEN}.output={{mean: 30, cv: 0.5}}", LOGNORMAL),
    "IndependentLengths.kind": Case(INDEPENDENT),
    "IndependentLengths.prompt": Case(f"{LEN}.prompt={{kind: fixed, tokens: 500}}", INDEPENDENT),
    "IndependentLengths.output": Case(f"{LEN}.output={{kind: fixed, tokens: 30}}", INDEPENDENT),
    "EmpiricalLengths.kind": Case(EMPIRICAL),
    "EmpiricalLengths.prompt": Case(f"{LEN}.prompt={{values: [200, 900]}}", EMPIRICAL),
    "EmpiricalLengths.output": Case(f"{LEN}.output={{values: [5, 60]}}", EMPIRICAL),
    "EmpiricalLengths.path": Case(f"{LEN}.path=other.csv", EMPIRICAL_FILE),
    "EmpiricalLengths.columns": Case(f"{LEN}.columns={{prompt: output_tokens}}", EMPIRICAL_FILE),
    "EmpiricalLengths.max_size": Case(f"{LEN}.max_size=100 B", EMPIRICAL_FILE, effect=REFUSED),
    "JointLengths.kind": Case(JOINT, EMPIRICAL_FILE),
    "JointLengths.path": Case(f"{LEN}.path=other.csv", JOINT),
    "JointLengths.columns": Case(f"{LEN}.columns={{prompt: output_tokens}}", JOINT),
    "JointLengths.max_size": Case(f"{LEN}.max_size=100 B", JOINT, effect=REFUSED),
    "LengthsFromArrivals.kind": Case(
        f"{LEN}={{kind: from_arrivals}}", f"{ARR}={{kind: trace, path: ties.csv}}"
    ),
    "FixedLength.kind": Case(f"{LEN}.prompt={{kind: lognormal, mean: 400, cv: 1}}", INDEPENDENT),
    "FixedLength.tokens": Case(f"{LEN}.prompt.tokens=500", INDEPENDENT),
    "UniformLength.kind": Case(f"{LEN}.output={{kind: fixed, tokens: 27}}", INDEPENDENT),
    "UniformLength.min": Case(f"{LEN}.prompt.min=400"),
    "UniformLength.max": Case(f"{LEN}.prompt.max=700"),
    "LognormalLength.kind": Case(
        f"{LEN}.prompt={{kind: lognormal, mean: 400, cv: 1}}", INDEPENDENT
    ),
    "LognormalLength.mean": Case(f"{LEN}.prompt.mean=500", LOGNORMAL),
    "LognormalLength.cv": Case(f"{LEN}.prompt.cv=2", LOGNORMAL),
    "LognormalLength.min": Case(f"{LEN}.prompt.min=300", LOGNORMAL),
    "LognormalLength.max": Case(f"{LEN}.prompt.max=500", LOGNORMAL),
    "EmpiricalLength.kind": Case(
        f"{LEN}.prompt={{kind: empirical, values: [400, 500]}}", INDEPENDENT
    ),
    "EmpiricalLength.values": Case(f"{LEN}.prompt.values=[100, 800]", EMPIRICAL),
    "EmpiricalLength.quantiles": Case(
        f"{LEN}.prompt.quantiles=[{{p: 0, tokens: 100}}, {{p: 1, tokens: 900}}]", QUANTILES
    ),
    "Quantile.p": Case(f"{LEN}.prompt.quantiles.0.p=0.6", QUANTILES),
    "Quantile.tokens": Case(f"{LEN}.prompt.quantiles.0.tokens=300", QUANTILES),
    # plan
    "Scenario.plan": Case(
        "plan={devices: [L40S], tensor_parallel: [1]}", effect=PLANNED, base=PLAN
    ),
    "PlanSpec.devices": Case("plan.devices=[L40S]", effect=PLANNED, base=PLAN),
    "PlanSpec.tensor_parallel": Case("plan.tensor_parallel=[2]", effect=PLANNED, base=PLAN),
    "PlanSpec.pipeline_parallel": Case("plan.pipeline_parallel=[2]", effect=PLANNED, base=PLAN),
    "PlanSpec.weights": Case("plan.weights=[fp8]", effect=PLANNED, base=PLAN),
    "PlanSpec.kv_cache": Case("plan.kv_cache=[fp8]", effect=PLANNED, base=PLAN),
    "PlanSpec.activations": Case(
        "plan.activations=[bf16]", "plan.weights=[int8]", effect=PLANNED, base=PLAN
    ),
    "PlanSpec.pruning": Case("plan.pruning=[{pattern: '2:4'}]", effect=PLANNED, base=PLAN),
    "PlanSpec.launch": Case("plan.launch=[compile]", effect=PLANNED, base=PLAN),
    "PlanSpec.scheduler": Case("plan.scheduler=[{kind: prefill_first}]", effect=PLANNED, base=PLAN),
    "PlanSpec.max_num_seqs": Case("plan.max_num_seqs=[8]", effect=PLANNED, base=PLAN),
    "PlanSpec.max_num_batched_tokens": Case(
        "plan.max_num_batched_tokens=[512]", effect=PLANNED, base=PLAN
    ),
    "PlanSpec.router": Case("plan.router=[{kind: round_robin}]", effect=PLANNED, base=PLAN),
    "PlanSpec.max_replicas": Case(
        "plan.max_replicas=1", "traffic.rate=60 req/s", effect=PLANNED, base=PLAN
    ),
    "PlanSpec.spares": Case("plan.spares=1", effect=PLANNED, base=PLAN),
    "PlanSpec.max_cost": Case("plan.max_cost=$0.2/h", effect=PLANNED, base=PLAN),
    "PlanSpec.max_devices": Case("plan.max_devices={L4: 0}", effect=PLANNED, base=PLAN),
    "PlanSpec.max_power": Case("plan.max_power=10 W", effect=PLANNED, base=PLAN),
    "PlanSpec.max_quality_loss": Case(
        "plan.max_quality_loss=1%", "plan.weights=[fp8]", effect=PLANNED, base=PLAN
    ),
    "PlanSpec.availability": Case(
        "plan.availability=99.99%",
        "fleet.failures={mtbf: 1 h, mttr: 5 min}",
        effect=PLANNED,
        base=PLAN,
    ),
    "PlanSpec.measured_only": Case("plan.measured_only=true", effect=PLANNED, base=PLAN),
    "PlanSpec.confidence": Case("plan.confidence=0.9999999999", effect=PLANNED, base=PLAN),
    # service
    "LlmService.kind": Case("service={kind: stages, stages: [{name: x, overhead: 9 ms}]}"),
    "LlmService.model": Case("service.model=qwen2.5-1.5b"),
    "LlmService.settings": Case("service.settings={weights: fp8}"),
    "LlmService.engine": Case("service.engine={max_num_seqs: 4}"),
    "LlmService.profile": Case("service.profile=profile.json"),
    "LlmService.network": Case("service.network=20 ms"),
    "LlmService.before": Case(BEFORE),
    "LlmService.after": Case("service.after=[{name: mouth, compute: {time: 20 ms}}]"),
    "ModelConfig.config": Case("service.model.config=b.json", "service.model={config: a.json}"),
    "Settings.weights": Case(f"{SETTINGS}.weights=fp8"),
    "Settings.kv_cache": Case(f"{SETTINGS}.kv_cache=fp8"),
    "Settings.activations": Case(f"{SETTINGS}.activations=bf16", f"{SETTINGS}.weights=fp8"),
    "Settings.launch": Case(f"{SETTINGS}.launch=eager", "service.profile=profile.json"),
    "Settings.pruning": Case(f"{SETTINGS}.pruning={{pattern: '2:4'}}"),
    "Pruning.pattern": Case(
        f"{SETTINGS}.pruning.pattern=structured",
        f"{SETTINGS}.pruning={{pattern: unstructured, rate: 0.5}}",
    ),
    "Pruning.rate": Case(
        f"{SETTINGS}.pruning.rate=0.4", f"{SETTINGS}.pruning={{pattern: structured, rate: 0.5}}"
    ),
    "Engine.scheduler": Case(f"{ENGINE}.scheduler={{kind: prefill_first}}"),
    "Engine.max_num_seqs": Case(f"{ENGINE}.max_num_seqs=4"),
    "Engine.max_num_batched_tokens": Case(f"{ENGINE}.max_num_batched_tokens=512"),
    "Engine.block_size": Case(f"{ENGINE}.block_size=256", TIGHT),
    "Engine.gpu_memory_utilization": Case(f"{ENGINE}.gpu_memory_utilization=0.7"),
    "Engine.max_model_len": Case(f"{ENGINE}.max_model_len=600"),
    "Engine.kv_tokens": Case(f"{ENGINE}.kv_tokens=3000", TIGHT),
    "Engine.disable_hybrid_kv_cache_manager": Case(
        f"{ENGINE}.disable_hybrid_kv_cache_manager=true",
        f"{MODEL}=gemma-2-2b | {ENGINE}.kv_tokens=6000 | {ENGINE}.max_model_len=5800",
    ),
    "Engine.measured_memory": Case(f"{ENGINE}.measured_memory={{non_torch: 12 GiB}}"),
    "MeasuredMemory.weights": Case(f"{ENGINE}.measured_memory.weights=17.6 GiB"),
    "MeasuredMemory.activation": Case(f"{ENGINE}.measured_memory.activation=13 GiB"),
    "MeasuredMemory.non_torch": Case(f"{ENGINE}.measured_memory.non_torch=12 GiB"),
    "MeasuredMemory.cuda_graphs": Case(f"{ENGINE}.measured_memory.cuda_graphs=12.3 GiB"),
    "Chunked.kind": Case(
        f"{ENGINE}.scheduler.kind=prefill_first", f"{ENGINE}.scheduler.kind=chunked"
    ),
    "Chunked.scheduler_reserve_full_isl": Case(
        f"{ENGINE}.scheduler={{kind: chunked, scheduler_reserve_full_isl: false}}",
        f"{TIGHT} | {ENGINE}.max_num_batched_tokens=64 | {ENGINE}.max_num_seqs=64",
    ),
    "PrefillFirst.kind": Case(
        f"{ENGINE}.scheduler.kind=chunked", f"{ENGINE}.scheduler={{kind: prefill_first}}"
    ),
    "PrefillFirst.scheduler_recv_interval": Case(
        f"{ENGINE}.scheduler={{kind: prefill_first, scheduler_recv_interval: 20}}",
        f"{ENGINE}.scheduler={{kind: prefill_first}}",
    ),
    "Static.kind": Case(STATIC),
    "Static.batch_size": Case(f"{ENGINE}.scheduler.batch_size=4", STATIC),
    "Static.timeout": Case(f"{ENGINE}.scheduler.timeout=10 ms", STATIC),
    # stages
    "StagesService.kind": Case("service={kind: llm, model: qwen2.5-3b}", base=STAGES),
    "StagesService.stages": Case("service.stages=[{name: x, overhead: 9 ms}]", base=STAGES),
    "Stage.name": Case("service.stages.0.name=other", effect=HEADER, base=STAGES),
    "Stage.compute": Case("service.stages.0.compute={time: 22 ms}", base=STAGES),
    "Stage.storage": Case("service.stages.0.storage={time: 9 ms}", base=STAGES),
    "Stage.transfer": Case("service.stages.0.transfer={time: 9 ms}", base=STAGES),
    "Stage.overhead": Case("service.stages.0.overhead=2 ms", base=STAGES),
    "Stage.parallel": Case("service.stages.0.parallel=pool", base=STAGES),
    "Stage.variability": Case("service.stages.0.variability={kind: exponential}", base=STAGES),
    "StagePart.time": Case("service.stages.0.compute.time=22 ms", base=STAGES),
    "StagePart.degree": Case("service.stages.0.compute.degree=3", base=STAGES),
    "StagePart.speedup": Case("service.stages.0.compute.speedup=1.5", base=STAGES),
    "Constant.kind": Case(VARIED, "service.stages.0.variability.kind=constant", base=STAGES),
    "Exponential.kind": Case(
        VARIED, "service.stages.0.variability={kind: exponential}", base=STAGES
    ),
    "Gamma.kind": Case("service.stages.0.variability={kind: constant}", VARIED, base=STAGES),
    "Gamma.cv": Case("service.stages.0.variability.cv=0.9", VARIED, base=STAGES),
    # fleet
    "Fleet.device": Case("fleet.device=L40S"),
    "Fleet.replicas": Case("fleet.replicas=3"),
    "Fleet.tensor_parallel": Case("fleet.tensor_parallel=2"),
    "Fleet.pipeline_parallel": Case("fleet.pipeline_parallel=2"),
    "Fleet.price": Case("fleet.price=aws", effect=PRICE),
    "Fleet.router": Case("fleet.router={kind: round_robin}"),
    "Fleet.events": Case(EVENT, "fleet.replicas=3"),
    "Fleet.failures": Case(FAILING, "fleet.replicas=3"),
    "Fleet.autoscaler": Case("fleet.autoscaler.max_replicas=3", SCALED),
    "RoundRobin.kind": Case("fleet.router.kind=random", "fleet.router={kind: round_robin}"),
    "Random.kind": Case("fleet.router.kind=power_of_two", "fleet.router={kind: random}"),
    "PowerOfTwo.kind": Case(
        "fleet.router.kind=least_outstanding",
        "fleet.router={kind: power_of_two} | fleet.replicas=4",
    ),
    "LeastOutstanding.kind": Case(
        "fleet.router.kind=least_kv", "fleet.router.kind=least_outstanding"
    ),
    "LeastKv.kind": Case("fleet.router.kind=session_affinity", "fleet.router={kind: least_kv}"),
    "SessionAffinity.kind": Case(
        "fleet.router.kind=random", "fleet.router={kind: session_affinity}"
    ),
    "Event.at": Case("fleet.events.0.at=2 s", EVENT),
    "Event.kind": Case("fleet.events.0.kind=fail", EVENT),
    "Event.replicas": Case("fleet.events.0.replicas=2", EVENT),
    "Failures.mtbf": Case("fleet.failures.mtbf=2 s", FAILING),
    "Failures.mttr": Case("fleet.failures.mttr=3 s", FAILING),
    "Failures.retry_delay": Case("fleet.failures.retry_delay=1 s", FAILING),
    "TargetUtilisation.kind": Case(SCALED, "traffic.requests=900 | service.engine.max_num_seqs=8"),
    "TargetUtilisation.measure": Case("fleet.autoscaler.measure=busy", SCALED),
    "TargetUtilisation.target": Case("fleet.autoscaler.target=0.9", SCALED),
    "TargetUtilisation.interval": Case("fleet.autoscaler.interval=3 s", SCALED),
    "TargetUtilisation.min_replicas": Case(
        "fleet.autoscaler.min_replicas=6",
        SCALED + " | fleet.replicas=6 | traffic.arrivals.rate=5 req/s | traffic.requests=200",
    ),
    "TargetUtilisation.max_replicas": Case("fleet.autoscaler.max_replicas=3", SCALED),
    "TargetUtilisation.start_time": Case("fleet.autoscaler.start_time=4 s", SCALED),
    "TargetUtilisation.loading_bandwidth": Case(
        "fleet.autoscaler.loading_bandwidth=1 GB/s", SCALED
    ),
    "TargetUtilisation.scale_down_delay": Case("fleet.autoscaler.scale_down_delay=0 s", SCALED),
    # an inline device
    "Device.name": Case(f"{DEVICE}.name=other", CHIP, effect=HEADER),
    "Device.kind": Case(f"{DEVICE}.kind=cpu", CHIP),
    "Device.memory": Case(f"{DEVICE}.memory=10 GiB", CHIP),
    "Device.bandwidth": Case(f"{DEVICE}.bandwidth=300 GB/s", CHIP),
    "Device.peaks": Case(f"{DEVICE}.peaks.bf16=80 TFLOP/s", CHIP),
    "Device.link": Case(f"{DEVICE}.link.bandwidth=10 GB/s", CHIP),
    "Device.host_bandwidth": Case(f"{DEVICE}.host_bandwidth=1 GB/s", f"{CHIP} | {SCALED}"),
    "Device.power": Case(f"{DEVICE}.power=100 W", CHIP, effect=COST),
    "Device.prices": Case(f"{DEVICE}.prices.low=$2/h", CHIP, effect=PRICE),
    "Device.origins": Case(f"{DEVICE}.origins={{}}", CHIP, effect=SOURCES),
    "Link.name": Case(f"{DEVICE}.link.name=other", CHIP, effect=KEPT),
    "Link.bandwidth": Case(f"{DEVICE}.link.bandwidth=10 GB/s", CHIP),
    "Link.devices": Case(f"{DEVICE}.link.devices=1", CHIP, effect=REFUSED),
    "Origin.provenance": Case(
        f"{DEVICE}.origins.bandwidth.provenance=measured", CHIP, effect=SOURCES
    ),
    "Origin.source": Case(f"{DEVICE}.origins.bandwidth.source=page 2", CHIP, effect=SOURCES),
    # an inline model
    "ModelShape.name": Case(f"{MODEL}.name=other", DENSE, effect=HEADER),
    "ModelShape.hf_id": Case(f"{MODEL}.hf_id=lab/mine", DENSE, effect=KEPT),
    "ModelShape.arch": Case(f"{MODEL}.arch=encoder", DENSE, effect=REFUSED),
    "ModelShape.hidden_size": Case(f"{MODEL}.hidden_size=2048", DENSE),
    "ModelShape.n_layers": Case(f"{MODEL}.n_layers=30", DENSE),
    "ModelShape.n_layers_dec": Case(f"{MODEL}.n_layers_dec=2", DENSE, effect=REFUSED),
    "ModelShape.n_heads": Case(f"{MODEL}.n_heads=32", DENSE),
    "ModelShape.n_kv_heads": Case(f"{MODEL}.n_kv_heads=8", DENSE),
    "ModelShape.head_dim": Case(f"{MODEL}.head_dim=128", DENSE),
    "ModelShape.ffn_size": Case(f"{MODEL}.ffn_size=8192", DENSE),
    "ModelShape.ffn_gated": Case(f"{MODEL}.ffn_gated=false", DENSE),
    "ModelShape.vocab_size": Case(f"{MODEL}.vocab_size=64000", DENSE),
    "ModelShape.max_position": Case(f"{MODEL}.max_position=600", DENSE),
    "ModelShape.tied_embeddings": Case(f"{MODEL}.tied_embeddings=true", DENSE),
    "ModelShape.n_experts": Case(f"{MODEL}.n_experts=32", MOE),
    "ModelShape.experts_per_token": Case(f"{MODEL}.experts_per_token=4", MOE),
    "ModelShape.moe_ffn_size": Case(f"{MODEL}.moe_ffn_size=1024", MOE),
    "ModelShape.n_shared_experts": Case(f"{MODEL}.n_shared_experts=2", MOE),
    "ModelShape.n_dense_layers": Case(f"{MODEL}.n_dense_layers=4", MOE),
    "ModelShape.sliding_window": Case(f"{MODEL}.sliding_window=64", WINDOWED),
    "ModelShape.n_windowed_layers": Case(f"{MODEL}.n_windowed_layers=20", WINDOWED),
    "ModelShape.kv_lora_rank": Case(f"{MODEL}.kv_lora_rank=512", MLA),
    "ModelShape.q_lora_rank": Case(f"{MODEL}.q_lora_rank=0", MLA),
    "ModelShape.qk_rope_dim": Case(f"{MODEL}.qk_rope_dim=64", MLA),
    "ModelShape.qk_nope_dim": Case(f"{MODEL}.qk_nope_dim=128", MLA),
    "ModelShape.v_head_dim": Case(f"{MODEL}.v_head_dim=128", MLA),
    "ModelShape.gated_attention": Case(f"{MODEL}.gated_attention=true", DENSE),
    "ModelShape.linear_attention": Case(f"{MODEL}.linear_attention=null", LINEAR),
    "LinearAttention.n_layers": Case(f"{MODEL}.linear_attention.n_layers=20", LINEAR),
    "LinearAttention.key_heads": Case(f"{MODEL}.linear_attention.key_heads=4", LINEAR),
    "LinearAttention.value_heads": Case(f"{MODEL}.linear_attention.value_heads=32", LINEAR),
    "LinearAttention.key_head_dim": Case(f"{MODEL}.linear_attention.key_head_dim=128", LINEAR),
    "LinearAttention.value_head_dim": Case(f"{MODEL}.linear_attention.value_head_dim=128", LINEAR),
    "LinearAttention.conv_kernel": Case(f"{MODEL}.linear_attention.conv_kernel=400", LINEAR),
    "ModelShape.native_dtype": Case(f"{MODEL}.native_dtype=float16", DENSE, effect=KEPT),
    "ModelShape.origin": Case(
        f"{MODEL}.origin={{provenance: measured, source: mine}}", DENSE, effect=SOURCES
    ),
}
