"""``planner plan`` on a terminal: one screen, the fleet first, then why, then what else there is.

``UPDATE_GOLDEN=1 pytest tests/report`` writes the golden files anew.
"""

import os
import re
from dataclasses import replace
from pathlib import Path

import pytest

from planner.latency.settings import Settings
from planner.planning.candidate import candidate_of
from planner.planning.difference import difference
from planner.planning.limits import Bind, Infeasible, Nearest
from planner.planning.option import Option, Outage, Outcome, Quality
from planner.planning.result import Counts, Influence, Plan, PlanContext, Recommendation
from planner.report.plan import screen_of_plan
from planner.report.screen import render_screen
from planner.scenario.reader import read_scenario

GOLDEN = Path(__file__).parents[1] / "golden"
TODAY = read_scenario(
    """
name: help desk
traffic:
  duration: 400 s
  arrivals: {kind: poisson, rate: 12 req/s}
  lengths: {kind: fixed, prompt: 700, output: 150}
service: {kind: llm, model: llama-3.1-8b, settings: {weights: bf16}}
fleet: {device: L40S, replicas: 6}
"""
)
TARGET = ("ttft:p95<300ms", "chat: goodput{tpot<40ms}>=0.95")
QUALITY = Quality(0.004, "fp8+kv_cache:fp8: measured")


def render_plan(found, **options):
    return render_screen(screen_of_plan(found), **options)


def outcomes(ttft=0.241, probability=0.993):
    return (
        Outcome(TARGET[0], None, ttft, ttft - 0.02, ttft + 0.02, 0.3, probability),
        Outcome(TARGET[1].partition(": ")[2], "chat", 0.9812, 0.975, None, 0.95, 0.9996),
    )


def option(replicas=4, weights="fp8", kv_cache="fp8", **changed):
    settings = Settings(weights=weights, kv_cache=kv_cache)
    candidate = candidate_of(
        TODAY.model_copy(
            update={"service": TODAY.service.model_copy(update={"settings": settings})}
        )
    )
    values = {
        "candidate": candidate,
        "replicas": replicas,
        "spares": 0,
        "usd_per_hour": 0.79 * replicas,
        "usd_per_million_output_tokens": 0.4877 * replicas / 4,
        "watts": 350.0 * replicas,
        "kwh_per_million_output_tokens": 0.216 * replicas / 4,
        "quality": QUALITY,
        "probability": 0.9931,
        "outcomes": outcomes(),
    }
    return Option(**{**values, **changed})


def plan(**changed):
    best = option(spares=1, unmeasured=("a", "b", "c", "d", "e", "quality"))
    recommendation = Recommendation(
        option=best,
        metrics={},
        binds=(
            Bind("quality", "without --max-quality-loss 3 x L40S int4/bf16, $2.37/h, would do"),
            Bind("wait", "ttft:p95<300ms is made of wait most"),
            Bind("cost", "--max-cost allows no replica more, which makes $4.74/h"),
        ),
        headroom=0.17,
        because="3 of them miss ttft:p95<300ms (412 ms), which is made of wait most; nothing "
        "cheaper meets it",
        outage=Outage(1, outcomes(0.2934, 0.62)),
    )
    context = PlanContext(
        command="planner plan", tool_version="0", scenario={}, title="help desk", seed=1,
        target=TARGET, constraints={"max_cost": "$4/h", "max_quality_loss": "2 %", "spares": "1"},
        confidence=0.95, profile="profile 'assumed' of 2026-11-25", offered_per_s=12.04,
    )  # fmt: skip
    values = {
        "context": context,
        "recommendation": recommendation,
        "alternatives": (
            option(3, probability=0.31, trade="-$0.79/h, misses ttft:p95<300ms (P 0.31)"),
            option(5, "bf16", "bf16", quality=Quality(0.0, "as stored"), unmeasured=("a",),
                   trade="+$0.79/h, -0.4 points of quality lost, tightest margin 24 % for 20 %"),
        ),
        "pareto": (best, *(option(n, traffic_share=0.16, probability=0.97) for n in range(6, 15))),
        "counts": Counts(540, {"does not fit into memory": 122, "no price": 18, "a": 4, "b": 3,
                               "c": 2, "d": 1, "e": 1}, 389),
        "infeasible": None,
        "today": option(6, "bf16", "bf16", probability=0.9995),
        "difference": difference(candidate_of(TODAY), TODAY.fleet.replicas, option(4)),
        "sensitivity": (Influence("rate", 0.9, 1.1, enough=False, fewer=False),),
        "method": {"requests": 14_400, "replications": 5, "verified": 7, "evaluations": 1_234,
                   "coefficient_draws": 32},
        "notices": ("coefficients are assumed",),
    }  # fmt: skip
    return Plan(**{**values, **changed})


def infeasible():
    near = option(5, usd_per_hour=3.95)
    why = Infeasible("cost", "$3/h buys 3", (Nearest("--max-cost '$3.95/h'", near),))
    return plan(
        recommendation=None, infeasible=why, alternatives=(), pareto=(), difference=(),
        sensitivity=(), today=None,
    )  # fmt: skip


@pytest.mark.parametrize(("name", "made"), [("plan", plan), ("plan_infeasible", infeasible)])
def test_the_screen_is_the_golden_one(name, made):
    text, file = render_plan(made()), GOLDEN / f"{name}.txt"
    if os.environ.get("UPDATE_GOLDEN"):
        file.write_text(text, encoding="utf-8")
    assert text == file.read_text(encoding="utf-8")


def test_what_changes_against_today_is_written_as_terraform_does():
    text = render_plan(plan())
    assert re.search(r"^  ~ replicas +6 -> 4$", text, re.MULTILINE)
    assert re.search(r"^  \+ kv_cache +fp8$", text, re.MULTILINE)
    assert re.search(r"^  ~ weights +bf16 -> fp8$", text, re.MULTILINE)


def test_all_that_is_asked_of_the_answer_is_on_one_screen():
    text = render_plan(plan())
    words = " ".join(text.split())
    for said in (
        "Plan: 4 + 1 spare x L40S", "241 ms", "20 %", "0.993", "$3.16/h",
        "$0.49 per million output tokens", "at most 1,400 W",
        "0.22 kWh per million output tokens", "0.4 % lost", "headroom   17 %", "binds      quality",
        "because    3 of them miss", "-$0.79/h, misses", "with 1 lost", "293 ms", "today      6 x",
        "16 % of the traffic", "assumed    a, b, c, d and 2 more",
        "bf16/bf16* +$0.79/h", "* with speeds or a quality that nobody measured",
        "and 5 more in --json",
        "rate of requests 10 % up or down: may be too few replicas",
    ):  # fmt: skip
        assert " ".join(said.split()) in words
    assert len(text.splitlines()) <= 60
    assert max(map(len, text.splitlines())) <= 80


def test_fleets_that_differ_in_what_their_line_leaves_out_are_told_apart():
    both = plan().alternatives
    one = both[0]
    engine = one.candidate.engine.model_copy(update={"max_num_batched_tokens": 4096})
    other = replace(one, candidate=replace(one.candidate, engine=engine))
    text = " ".join(render_plan(plan(alternatives=(one, other))).split())
    default = one.candidate.engine.max_num_batched_tokens
    assert default != 4096
    assert "4,096 tokens/step" in text
    assert f"{default:,} tokens/step" in text
    assert "tokens/step" not in render_plan(plan())
    assert text.count(" sequences") == 1  # the plan alone says what is the same in all


@pytest.mark.parametrize("width", [20, 80, 100, 250])
def test_no_line_is_wider_than_the_terminal_between_80_and_100_columns(width):
    assert max(map(len, render_plan(plan(), width=width).splitlines())) <= min(max(width, 80), 100)


@pytest.mark.parametrize(
    ("share", "said"),
    [(None, "set by clients"), (0.17, "17 % more"), (4.0, "at least 400 % more")],
)
def test_headroom_that_was_not_found_is_said_to_be_at_least_so_much(share, said):
    text = render_plan(plan(recommendation=replace(plan().recommendation, headroom=share)))
    assert f"headroom   {said}" in text


def test_colours_are_those_of_a_difference():
    lines = render_plan(plan(), colour=True).splitlines()
    (changed,) = [line for line in lines if "~ replicas" in line]
    (added,) = [line for line in lines if "+ kv_cache" in line]
    assert "\x1b[33m" in changed
    assert "\x1b[32m" in added
    assert "\x1b[" not in render_plan(plan())
