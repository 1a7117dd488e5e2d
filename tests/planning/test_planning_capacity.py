"""Capacity: against closed forms, with an interval that covers, and a reason for its end."""

import json
import math

import jsonschema
import pytest
from command_line import CLOSED, LLM, STAGES, planner, refused, sets

from planner.evaluate import simulate
from planner.planning.capacity import capacity, surely_met, surely_missed
from planner.planning.capacity_result import PRECISION
from planner.planning.knobs import knob_of
from planner.report.capacity import limited_of, render_capacity
from planner.scenario.reader import read_scenario
from planner.traffic import traces

#: One exponential server of 10 req/s: sojourn times are exponential with rate 10 - rate, so that
#: their mean is 300 ms at 10 - 1 / 0.3 and their p95 is 1 s at 10 - ln 20.
MM1 = """\
name: one server
traffic:
  requests: 3000
  arrivals: {kind: poisson, rate: 5 req/s}
  lengths: {kind: fixed, prompt: 1, output: 1}
service:
  kind: stages
  stages: [{name: s, variability: {kind: exponential}, compute: {time: 100 ms}}]
objectives: "e2e:mean<300ms"
simulation: {replications: 5, warmup: 50 s}
"""
MEAN, P95 = 10 - 1 / 0.3, 10 - math.log(20)


def found(text, *changes, seed=None):
    return capacity(read_scenario(text, overrides=changes, seed=seed))


@pytest.mark.parametrize(("objective", "truth"), [("e2e:mean<300ms", MEAN), ("e2e:p95<1s", P95)])
def test_the_interval_covers_the_closed_form(objective, truth):
    covered = 0
    for seed in range(12):
        one = found(MM1, f"objectives={objective}", seed=seed)
        assert one.low <= one.value <= one.high
        assert one.value == pytest.approx(truth, rel=0.25)
        covered += one.low <= truth <= one.high
    # 12 intervals of 95 %: 8 or fewer would happen once in 5,000 times
    assert covered >= 9


def test_the_capacity_is_where_simulate_stops_meeting_the_objectives():
    one = found(LLM, "objectives=ttft:p95<20ms; tpot:p95<12ms", "traffic.duration=20 s")
    spec = read_scenario(
        LLM, overrides=["objectives=ttft:p95<20ms; tpot:p95<12ms", "traffic.duration=20 s"]
    )
    at = {
        value: simulate(knob_of(spec).at(value)).result
        for value in (one.value, one.above, one.low, one.high)
        if value is not None
    }
    assert at[one.value].met
    assert not at[one.above].met
    assert one.value < one.above <= one.value * (1 + PRECISION)
    assert one.low is None or surely_met(at[one.low])
    assert one.high is None or surely_missed(at[one.high])
    assert {each.outcome.objective for each in one.binds} <= {"ttft:p95<20ms", "tpot:p95<12ms"}
    assert one.ends_at == "objectives"
    assert one.per_replica == one.value / 2
    assert one.headroom == one.value / 5 - 1


def test_two_replicas_carry_at_least_what_one_does_and_a_looser_objective_more():
    changes = ("traffic.duration=15 s", "simulation.replications=2")
    one = found(LLM, *changes, "objectives=ttft:p95<20ms", "fleet.replicas=1")
    two = found(LLM, *changes, "objectives=ttft:p95<20ms", "fleet.replicas=2")
    loose = found(LLM, *changes, "objectives=ttft:p95<40ms", "fleet.replicas=1")
    assert one.value < two.value
    assert one.value < loose.value


def test_an_objective_that_any_load_meets_ends_at_saturation():
    one = found(MM1, "objectives=e2e:p95<10000s")
    assert one.ends_at == "saturation"
    assert one.binds == ()
    assert 9 < one.value <= 10
    assert one.saturation_per_s == 10


@pytest.mark.parametrize("own", ["0.2 req/s", "5 req/s", "9.9 req/s", "50 req/s"])
def test_where_the_search_starts_decides_little(own):
    one = found(MM1, f"traffic.arrivals.rate={own}")
    assert one.value == pytest.approx(MEAN, rel=0.1)
    assert one.headroom == pytest.approx(one.value / one.own - 1)


def test_an_objective_that_fails_unloaded_has_no_capacity(tmp_path):
    (tmp_path / "s.yaml").write_text(MM1)
    args = ("capacity", tmp_path / "s.yaml", *sets("objectives=e2e:p95<200ms; e2e:p99<9s"), "-q")
    ran = planner(*args)
    assert ran.code == 4
    assert "no capacity, an objective fails at any load" in ran.out
    assert "e2e:p95<200ms is missed with" in ran.out
    assert "e2e:p99<9s is missed" not in ran.out
    as_json = planner(*args, "--json")
    content = json.loads(as_json.out)
    assert (as_json.code, content["capacity"], content["ends_at"]) == (4, None, "unloaded")
    assert [each["objective"] for each in content["binds"]] == ["e2e:p95<200ms"]


def test_a_fleet_that_is_lost_has_no_capacity_although_it_is_fast_without_load():
    one = found(
        LLM,
        "fleet.events=[{at: 20 s, kind: fail, replicas: 2}, {at: 39 s, kind: join, replicas: 2}]",
        "simulation.replications=2",
    )
    assert (one.value, one.ends_at) == (None, "objectives")
    assert one.binds


def test_clients_are_counted_where_they_wait_for_answers(tmp_path):
    (tmp_path / "s.yaml").write_text(CLOSED)
    changes = sets("objectives=tpot:p95<9ms", "simulation.warmup=0 s", "traffic.requests=500")
    ran = planner("capacity", tmp_path / "s.yaml", *changes, "--json", "-q")
    content = json.loads(ran.out)
    assert content["unit"] == "clients"
    assert content["capacity"] == int(content["capacity"])
    assert content["own"] == 8
    more = content["above"]
    at = [
        planner(
            "simulate", tmp_path / "s.yaml", *changes, *sets(f"traffic.arrivals.clients={n}"), "-q"
        ).code
        for n in (int(content["capacity"]), int(more))
    ]
    assert at == [0, 3]
    assert "clients" in planner("capacity", tmp_path / "s.yaml", *changes, "-q").out


def test_more_clients_than_requests_are_not_tried(tmp_path):
    (tmp_path / "s.yaml").write_text(CLOSED)
    changes = sets("objectives=ttft:p95<100s", "simulation.warmup=0 s")
    ran = planner("capacity", tmp_path / "s.yaml", *changes, "-q")
    assert ran.code == 0
    assert "each client sends only 1 requests; give the traffic more" in ran.out
    assert "capacity at least 200 clients" in ran.out
    assert "no more clients to offer" in ran.out


def test_a_trace_is_replayed_faster(tmp_path):
    rows = "".join(f"{k / 4},9000,50\n" for k in range(1500))
    (tmp_path / "t.csv").write_text("arrival_s,prompt_tokens,output_tokens\n" + rows)
    (tmp_path / "s.yaml").write_text(
        LLM.replace("  duration: 40 s\n", "")
        .replace("{kind: poisson, rate: 5 req/s}", "{kind: trace, path: t.csv}")
        .replace("{kind: fixed, prompt: 100, output: 20}", "{kind: from_arrivals}")
    )
    ran = planner("capacity", tmp_path / "s.yaml", *sets("objectives=ttft:p95<500ms"), "-q")
    assert ran.code == 0, ran.err
    assert "the scenario's own 4 req/s" in ran.out
    assert "notice" not in ran.out
    assert "block bootstrap" in ran.out


CLASSES = """[
  {name: chat, arrivals: {kind: profile, points: [{at: 0 s, rate: 4 req/s}]},
   lengths: {kind: fixed, prompt: 300, output: 30}, objectives: "ttft:p90<25ms"},
  {name: label, arrivals: {kind: gamma, rate: 2 req/s, cv: 3},
   lengths: {kind: fixed, prompt: 500, output: 1}}]"""


def test_a_trace_is_read_once(tmp_path, monkeypatch):
    (tmp_path / "t.csv").write_text(
        "arrival_s,prompt_tokens,output_tokens\n" + "".join(f"{k / 5},100,10\n" for k in range(300))
    )
    traffic = f"{{arrivals: {{kind: trace, path: '{tmp_path / 't.csv'}'}}}}"
    changes = (f"traffic={traffic}", "objectives=ttft:p95<500ms", "simulation.warmup=0 s")
    opened = []
    whole = traces.open_table
    monkeypatch.setattr(traces, "open_table", lambda *args: opened.append(args) or whole(*args))
    result = found(LLM, *changes)
    assert (len(opened), result.runs > 2) == (1, True)
    at = knob_of(read_scenario(LLM, overrides=changes)).at(result.value)
    assert simulate(at).result.whole.to_json() == result.result.whole.to_json()
    assert len(opened) == 2 + 1  # outside of a search it is read for every use


def test_classes_are_turned_up_together(tmp_path):
    (tmp_path / "s.yaml").write_text(LLM)
    traffic = "traffic={duration: 40 s, classes: " + " ".join(CLASSES.split()) + "}"
    args = ("capacity", tmp_path / "s.yaml", *sets(traffic, "objectives=e2e:p99<9s"), "-q")
    ran = planner(*args, "--json")
    content = json.loads(ran.out)
    schema = json.loads(planner("schema", "capacity").out)
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.Draft202012Validator(schema).validate(content)
    assert content["own"] == 6
    assert content["binds"][0]["class"] == "chat"
    assert "chat: ttft:p90<25ms is missed with" in planner(*args).out


@pytest.mark.parametrize(
    ("text", "change", "message"),
    [
        (STAGES, "description=x", "objectives: must be given, since capacity is the highest rate"),
        (LLM, "objectives=[]", "objectives: must be given"),
        (LLM, "fleet.device=nothing", "fleet.device: must be"),
    ],
)
def test_what_has_no_capacity_to_look_for_is_refused(tmp_path, text, change, message):
    (tmp_path / "s.yaml").write_text(text)
    assert message in refused(planner("capacity", tmp_path / "s.yaml", *sets(change), "-q"))


def test_without_intervals_of_the_objectives_no_interval_is_stated():
    short = found(MM1, "simulation.replications=1", "traffic.requests=60", "simulation.warmup=1 s")
    assert not short.has_interval
    assert short.low is not None
    assert {short.to_json()[key] for key in ("low", "high", "confidence")} == {None}
    said = render_capacity(short)
    assert "without an interval: surely met up to" in said
    assert "95 % interval" not in said
    assert limited_of(short).ends == (short.low, short.high)
    whole = found(MM1)
    assert whole.has_interval
    assert whole.to_json()["low"] == whole.low
    assert whole.to_json()["confidence"] == 0.95
