from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.errors import InputError
from planner.scenario.fleet import SessionAffinity
from planner.scenario.model import Scenario
from planner.scenario.reader import load_scenario, read_scenario

GOOD = """\
name: chat
traffic:
  duration: 10min
  arrivals: {kind: poisson, rate: 5 req/s}
  lengths: {kind: fixed, prompt: 100, output: 10}
service:
  kind: llm
  model: llama-3.1-8b
fleet: {device: H100-SXM-80GB, replicas: 2}
"""

STAGES = """\
name: bert
traffic:
  requests: 100
  arrivals: {kind: poisson, rate: 5 req/s}
  lengths: {kind: fixed, prompt: 100, output: 1}
service:
  kind: stages
  stages:
    - {name: encode, compute: {time: 10 ms}}
"""


def messages(text, **options):
    with pytest.raises(InputError) as caught:
        read_scenario(text, "x.yaml", **options)
    return [str(problem) for problem in caught.value.problems]


def test_a_good_scenario_is_read():
    scenario = read_scenario(GOOD, base_dir=Path("here"))
    assert (scenario.traffic.duration, scenario.fleet.replicas) == (600.0, 2)
    assert scenario.base_dir == Path("here")
    assert scenario.simulation.seed == 1


def test_paths_start_from_the_folder_of_the_file(tmp_path):
    (tmp_path / "x.yaml").write_text(GOOD, encoding="utf-8")
    assert load_scenario(tmp_path / "x.yaml").base_dir == tmp_path
    assert load_scenario(str(tmp_path / "x.yaml"), seed=7).simulation.seed == 7


def test_all_problems_of_a_file_are_reported_at_once_in_order_of_their_lines():
    text = """\
nam: chat
traffic:
  duration: 600
  arrivals: {kind: possion, rate: 5 req/s}
  lengths: {kind: fixed, prompt: 100, output: many}
service:
  kind: llm
  model: llama-3.1-8b
  engine:
    max_num_seqs: true
    scheduler: {}
    gpu_memory_utilization: 90
  network: -20 ms
fleet:
  device: H100-SXM-80GB
  replica: 2
  price: 3
  router: random
  events:
    - {at: 5 min, kind: leaf}
  device: A100
objectives: "ttft:p95<500; tppt:p95<50ms"
simulation: [1]
"""
    assert messages(text) == [
        "x.yaml:1:1: name: must be given",
        "x.yaml:1:1: nam: must be a known key; did you mean 'name'?",
        (
            "x.yaml:3:13: traffic.duration: must be a duration with a unit, got 600; "
            "write '600 ms' or '600 s'"
        ),
        (
            "x.yaml:4:20: traffic.arrivals.kind: must be one of 'poisson', 'gamma', "
            "'deterministic', 'mmpp', 'profile', 'trace', 'closed_loop', "
            "got 'possion'; did you mean 'poisson'?"
        ),
        "x.yaml:5:47: traffic.lengths.output: must be a whole number, got 'many'",
        "x.yaml:10:19: service.engine.max_num_seqs: must be a whole number, got true",
        (
            "x.yaml:11:5: service.engine.scheduler.kind: must be given: one of 'chunked', "
            "'prefill_first', 'static'"
        ),
        "x.yaml:12:29: service.engine.gpu_memory_utilization: must be <= 1, got 90",
        "x.yaml:13:12: service.network: must be >= 0, got '-20 ms'",
        "x.yaml:16:3: fleet.replica: must be a known key; did you mean 'replicas'?",
        (
            "x.yaml:17:10: fleet.price: must be one of 'low', 'aws', 'azure', 'high' or a price as "
            "'$2.5/h', got 3"
        ),
        (
            "x.yaml:18:11: fleet.router: must be a mapping with a kind, one of 'round_robin', "
            "'random', 'power_of_two', 'least_outstanding', 'least_kv', 'session_affinity', "
            "got 'random'; write for instance {kind: random}"
        ),
        (
            "x.yaml:20:25: fleet.events.0.kind: must be one of 'leave', 'join' or 'fail', got "
            "'leaf'; did you mean 'leave'?"
        ),
        "x.yaml:21:3: fleet.device: must be given once, got it again; the first is in line 15",
        (
            "x.yaml:22:13: objectives: must be a duration with a unit, got '500'; "
            "write '500 ms' or '500 s' (in 'ttft:p95<500')"
        ),
        (
            "x.yaml:22:13: objectives: must bound a metric, got 'tppt' in 'tppt:p95<50ms'; "
            "did you mean 'tpot'?"
        ),
        "x.yaml:23:13: simulation: must be a mapping, got a list",
    ]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (
            "name: chat", "name: 12",
            ["x.yaml:1:7: name: must be text, got 12; put it in quotes"],
        ),
        (
            "name: chat", "name: chat\nschema_version: 2",
            ["x.yaml:2:17: schema_version: must be 1, got 2"],
        ),
        (
            "replicas: 2", "replicas: '2'",
            [
                ("x.yaml:9:42: fleet.replicas: must be a whole number, got '2'; "
                "leave the quotes out"),
            ],
        ),
        (
            "replicas: 2", "replicas: ~",
            ["x.yaml:9:42: fleet.replicas: must be a whole number, got nothing"],
        ),
        (
            "device: H100-SXM-80GB",
            "device: {name: x, bandwidht: 1 TB/s, peaks: {bf17: 1 TFLOP/s}}",
            [
                "x.yaml:9:9: fleet.device.bandwidth: must be given",
                ("x.yaml:9:27: fleet.device.bandwidht: must be a known key; "
                "did you mean 'bandwidth' or 'host_bandwidth'?"),
                ("x.yaml:9:54: fleet.device.peaks.bf17: must be one of 'fp32', 'bf16', 'fp16', "
                "'fp8', 'int8' or 'fp4', got 'bf17'; did you mean 'bf16'?"),
            ],
        ),
        (
            "model: llama-3.1-8b", "model: {config: 3}",
            ["x.yaml:8:19: service.model.config: must be text, got 3; put it in quotes"],
        ),
        (
            "model: llama-3.1-8b", "model: [llama]",
            ["x.yaml:8:10: service.model: must be a mapping, got a list"],
        ),
        (
            "model: llama-3.1-8b",
            "model: x\n  settings: {pruning: {pattern: structured, rate: 0}}",
            [("x.yaml:9:51: service.settings.pruning.rate: must be above 0 and below 1 for "
             "'structured', got 0.0")],
        ),
        (
            "rate: 5 req/s", "rate: .inf",
            [
                ("x.yaml:4:35: traffic.arrivals.rate: must be a rate with a unit, got inf; "
                "write 'inf req/s' or 'inf req/min'"),
            ],
        ),
        (
            "rate: 5 req/s", "rate: 1e999 req/s",
            ["x.yaml:4:35: traffic.arrivals.rate: must be a finite number, got '1e999 req/s'"],
        ),
        (
            "rate: 5 req/s", "rate: 0 req/s",
            ["x.yaml:4:35: traffic.arrivals.rate: must be > 0, got '0 req/s'"],
        ),
        (
            "duration: 10min", "duration: 30s",
            [
                ("x.yaml:1:1: simulation.warmup: must be < traffic.duration (30 s), got 60 s, its "
                "default; nothing would be left to measure"),
            ],
        ),
        (
            "kind: llm", "kind: lm",
            [("x.yaml:7:9: service.kind: must be one of 'llm', 'stages', got 'lm'; "
             "did you mean 'llm'?")],
        ),
    ],
)  # fmt: skip
def test_messages_point_at_what_is_wrong(old, new, expected):
    assert messages(GOOD.replace(old, new)) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            GOOD.replace("fleet: {device: H100-SXM-80GB, replicas: 2}\n", ""),
            ["x.yaml:1:1: fleet: must be given, since an LLM runs on devices"],
        ),
        (
            GOOD.replace("replicas: 2", "events: [{at: 1 min, kind: leave, replicas: 2}]"),
            [("x.yaml:9:76: fleet.events.0.replicas: must be <= 1, the replicas there are at 60 s, "
             "got 2")],
        ),
        (
            GOOD.replace("replicas: 2", "events: [{at: 10 min, kind: fail}]"),
            ["x.yaml:9:46: fleet.events.0.at: must be < traffic.duration (600 s), got 600 s"],
        ),
        (
            GOOD.replace(
                "{kind: poisson, rate: 5 req/s}", "{kind: closed_loop, clients: 3, think: 1 s}"
            ).replace("  kind: llm", "  kind: llm\n  after: [{name: tts, overhead: 1 s}]"),
            [("x.yaml:8:10: service.after: must be left out where clients wait for their answers, "
             "as 'requests' do; write a traffic with a rate")],
        ),
        (
            STAGES + "fleet: {device: L4, router: {kind: random}, failures: {mtbf: 1d, mttr: 1h}}\n"
            "objectives: goodput{tpot<1s}>=0.9\n",
            [("x.yaml:10:29: fleet.router: must be left out for a service of stages, whose fleet "
             "only says what it costs"),
             ("x.yaml:10:55: fleet.failures: must be left out for a service of stages, whose fleet "
             "only says what it costs"),
             ("x.yaml:11:13: objectives: must bound ttft, e2e or wait, got "
             "'goodput{tpot<1s}>=0.9'; stages answer all at once, so that there is no time "
             "between tokens")],
        ),
        (
            GOOD.replace("kind: llm", "kind: llm\n  engine: {max_num_seqs: 64, "
                         "scheduler: {kind: static, batch_size: 65, timeout: 1s}}"),
            [("x.yaml:8:68: service.engine.scheduler.batch_size: must be <= max_num_seqs (64), "
             "got 65")],
        ),
    ],
)  # fmt: skip
def test_rules_between_sections_point_at_the_key_to_change(text, expected):
    assert messages(text) == expected


def test_a_class_has_objectives_of_its_own_which_are_checked():
    text = GOOD.replace("  arrivals:", "  classes:\n    - name: a\n      arrivals:").replace(
        "  lengths:", "      objectives: ttft:p95<1s\n      lengths:"
    )
    (objective,) = read_scenario(text).class_objectives()["a"]
    assert objective.seconds == 1.0
    assert messages(text.replace("<1s", "<1")) == [
        (
            "x.yaml:7:19: traffic.classes.0.objectives: must be a duration with a unit, got '1'; "
            "write '1 ms' or '1 s' (in 'ttft:p95<1')"
        )
    ]


def test_a_scenario_of_stages_may_say_what_it_costs():
    scenario = read_scenario(STAGES + "fleet: {device: L4, price: $1/h}\n")
    assert scenario.fleet.price == 1.0
    assert scenario.class_objectives() == {}


@pytest.mark.parametrize(
    ("text", "got"),
    [("", "an empty file"), ("# only\n", "an empty file"), ("- 1\n", "a list"), ("x\n", "'x'")],
)
def test_a_file_that_is_no_mapping(text, got):
    assert messages(text) == [
        f"x.yaml: must be a mapping with the keys of a scenario, got {got}; see planner init"
    ]


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_scenario_with_a_line_lost_is_read_or_refused_without_a_traceback(data):
    lines = GOOD.splitlines()
    index = data.draw(st.integers(0, len(lines) - 1))
    lines[index] = data.draw(
        st.sampled_from(["", "  ", "x: 1", "  kind: 3", "- a", "\tb", lines[0]])
    )
    try:
        scenario = read_scenario("\n".join(lines), "x.yaml")
    except InputError as error:
        scenario, problems = None, [str(problem) for problem in error.problems]
    if scenario is None:
        assert all(each.startswith("x.yaml") and "must " in each for each in problems)
        assert not any("pydantic" in each or "Input should" in each for each in problems)
    else:
        assert isinstance(scenario, Scenario)


# --- overrides -----------------------------------------------------------------------------------


def test_overrides_change_what_is_there_and_add_what_is_not():
    scenario = read_scenario(
        GOOD,
        overrides=[
            "fleet.replicas=4",
            "fleet.autoscaler.max_replicas=8",
            "traffic.arrivals={kind: gamma, rate: 3 req/s, cv: 2}",
            "fleet.router.kind=session_affinity",
            "fleet.replicas=5",
            "objectives=ttft:p95<1s",
        ],
        seed=9,
    )
    assert scenario.fleet.replicas == 5
    assert scenario.fleet.autoscaler.max_replicas == 8
    assert (scenario.traffic.arrivals.kind, scenario.traffic.arrivals.cv) == ("gamma", 2)
    assert scenario.fleet.router == SessionAffinity()
    assert scenario.objectives[0].text == "ttft:p95<1s"
    assert scenario.simulation.seed == 9


def test_overrides_select_items_of_lists_by_index_or_name():
    scenario = read_scenario(
        STAGES,
        overrides=["service.stages.0.compute.degree=2", "service.stages.encode.overhead=1 ms"],
    )
    (stage,) = scenario.service.stages
    assert (stage.compute.degree, stage.overhead) == (2, 0.001)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (
            "fleet.replica=3",
            "--set fleet.replica=3: fleet.replica: must be a known key; did you mean 'replicas'?",
        ),
        (
            "fleet.replicas=0",
            "--set fleet.replicas=0: fleet.replicas: must be >= 1, got 0",
        ),
        (
            "fleet.router={kind: rnd}",
            (
                "--set fleet.router={kind: rnd}: fleet.router.kind: must be one of 'round_robin', "
                "'random', 'power_of_two', 'least_outstanding', 'least_kv', 'session_affinity', "
                "got 'rnd'; did you mean 'random'?"
            ),
        ),
        ("fleet", "--set fleet: must read key=value, as in --set fleet.replicas=3"),
        ("=3", "--set =3: must read key=value, as in --set fleet.replicas=3"),
        ("a..b=3", "--set a..b=3: must read key=value, as in --set fleet.replicas=3"),
        (
            "service.model.layers=3",
            (
                "--set service.model.layers=3: service.model: must be a mapping to hold 'layers', "
                "got 'llama-3.1-8b'"
            ),
        ),
        (
            "fleet.replicas=[1",
            (
                "--set fleet.replicas=[1: fleet.replicas: must be YAML: expected ',' or ']', "
                "but got '<stream end>'; put the value in quotes"
            ),
        ),
        (
            "fleet={a: 1, a: 2}",
            (
                "--set fleet={a: 1, a: 2}: fleet: must be given once, got it again; "
                "the first is in line 1"
            ),
        ),
    ],
)
def test_errors_of_overrides_name_the_override(override, message):
    assert messages(GOOD, overrides=[override]) == [message]


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (
            "service.stages.encoed.overhead=1ms",
            (
                "--set service.stages.encoed.overhead=1ms: service.stages: must be an index or the "
                "name of one item, got 'encoed'; did you mean 'encode'?"
            ),
        ),
        (
            "service.stages.1.overhead=1ms",
            (
                "--set service.stages.1.overhead=1ms: service.stages: must be an index below 1, "
                "got '1'"
            ),
        ),
        (
            "service.stages.encode.compute.time=1",
            (
                "--set service.stages.encode.compute.time=1: service.stages.0.compute.time: must "
                "be a duration with a unit, got 1; write '1 ms' or '1 s'"
            ),
        ),
    ],
)
def test_errors_of_overrides_of_lists(override, message):
    assert messages(STAGES, overrides=[override]) == [message]


def test_problems_of_the_file_and_of_all_overrides_come_together():
    found = messages(GOOD + "flet: 1\n", overrides=["a", "fleet.replicas=0"], seed=-1)
    assert found == [
        "x.yaml:10:1: flet: must be a known key; did you mean 'fleet'?",
        "--set a: must read key=value, as in --set fleet.replicas=3",
        "--set fleet.replicas=0: fleet.replicas: must be >= 1, got 0",
        "--seed -1: simulation.seed: must be >= 0, got -1",
    ]


@settings(deadline=None)
@given(replicas=st.integers(1, 1000), rate=st.floats(1e-3, 1e3), name=st.text("abc 1:", min_size=1))
def test_any_value_set_is_the_value_read(replicas, rate, name):
    quoted = "'" + name + "'"
    scenario = read_scenario(
        GOOD,
        overrides=[
            f"fleet.replicas={replicas}", f"traffic.arrivals.rate={rate} req/s", f"name={quoted}",
        ],
    )  # fmt: skip
    assert scenario.fleet.replicas == replicas
    assert scenario.traffic.arrivals.rate == rate
    assert scenario.name == name


@given(st.text(max_size=30))
def test_any_override_is_applied_or_refused_by_name(override):
    try:
        read_scenario(GOOD, "x.yaml", overrides=[override])
    except InputError as error:
        assert all(problem.file.startswith("--set ") for problem in error.problems)  # noqa: PT017
