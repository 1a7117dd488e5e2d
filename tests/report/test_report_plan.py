"""Reports of plans: the fleet to buy first, or what is in the way; many fleets, a small page."""

import json

import pytest
from command_line import planner, refused

from planner.report.document import Chart, Table
from planner.report.html import render_html
from planner.report.markdown import render_markdown
from planner.report.pages.choose import document_of


def objective(value, margin, **other):
    return {
        "objective": "ttft:p95<300ms", "class": None, "value": value, "low": value / 2,
        "high": None, "bound": 0.3, "margin": margin, "probability": 0.97,
    } | other  # fmt: skip


def option(replicas=2, price=4.0, value=0.2, **other):
    pool = {
        "device": "H100-SXM-80GB", "replicas": replicas, "spares": 0, "tensor_parallel": 2,
        "pipeline_parallel": 1, "router": {"kind": "least_outstanding"},
        "settings": {"weights": "fp8", "kv_cache": "bf16", "pruning": {"pattern": "2:4",
                     "rate": 0.5}},
        "engine": {"max_num_seqs": 256, "max_num_batched_tokens": 2048},
    }  # fmt: skip
    return {
        "pools": [pool], "devices": 2 * replicas, "usd_per_hour": price,
        "usd_per_million_output_tokens": 0.9, "watts_at_design_power": 700.0 * replicas,
        "quality_loss": 0.004, "quality_source": "measured", "probability": 0.97,
        "objectives": [objective(value, 1 - value / 0.3)], "unmeasured": ["storage_efficiency"],
        "trade": "+$1.00/h",
    } | other  # fmt: skip


def recommendation():
    latency = {"p50": {"value": 0.1, "low": None, "high": None},
               "p95": {"value": 0.2, "low": 0.1, "high": None}}  # fmt: skip
    return option() | {
        "metrics": {"ttft_s": latency}, "binding": "compute", "headroom": 0.31,
        "because": "1 of them misses ttft:p95<300ms", "outage": {"lost": 1, "objectives": [
            objective(0.4, -0.3, probability=0.1)]},
    }  # fmt: skip


def plan(**changes):
    return {
        "schema_version": 1, "tool_version": "0.1.0", "command": "planner plan chat", "seed": 1,
        "scenario": {"name": "<script>chat"}, "target": ["ttft:p95<300ms"],
        "constraints": {"max_cost": "$9/h"}, "confidence": 0.95,
        "recommendation": recommendation(),
        "alternatives": [option(1, 2.0, 0.5, probability=0.2, trade="-$2.00/h, misses")],
        "pareto": [option(), option(3, 6.0, 0.1)],
        "candidates": {"total": 500, "excluded": {"does not fit": 321}, "simulated": 179},
        "infeasible": None, "today": option(6, 12.0, 0.05),
        "difference": [{"sign": "~", "key": "replicas", "before": "6", "after": "2"}],
        "sensitivity": [{"input": "rate", "low": 0.9, "high": 1.1, "still_enough": True,
                         "fewer_would_do": False, "cheaper_would_do": None, "changes_plan": False}],
        "method": {"requests": 19366, "store": "x.jsonl"}, "notices": ["<b>assumed</b>"],
    } | changes  # fmt: skip


@pytest.fixture
def document(tmp_path):
    def make(**changes):
        (tmp_path / "plan.json").write_text(json.dumps(plan(**changes)))
        return document_of([tmp_path])

    return make


def table(document, name):
    (found,) = [b for b in document.blocks() if isinstance(b, Table) and b.name == name]
    return [[cell.text for cell in row] for row in found.rows]


def test_the_fleet_to_buy_comes_first(document):
    found = document()
    assert found.answer.text == "2 x H100-SXM-80GB TP2, $4.00/h"
    assert found.answer.state == "good"
    assert "probability 0.97" in found.answer.sentences[0]
    assert found.answer.sentences[1] == "Traffic may grow by 31 % until one is missed."
    assert table(found, "difference") == [["changed", "replicas", "6", "2"]]
    assert table(found, "excluded") == [["does not fit", "321"]]
    assert table(found, "outage")[0][1] == "ttft:p95<300ms"
    text = render_markdown(found)
    for said in (
        "pruning 2:4 50 %",
        "179 of them simulated",
        "&lt;b&gt;assumed",
        "-$2.00/h, misses",
    ):
        assert said.replace("$", r"\$") in text


def test_the_front_holds_what_no_other_beats(document):
    (chart,) = [block for block in document().blocks() if isinstance(block, Chart)]
    points = chart.draw.keywords["points"]
    assert sorted((p.cost, p.seconds) for p in points if p.front) == [
        (4.0, 0.2), (4.0, 0.2), (6.0, 0.1), (12.0, 0.05)
    ]  # fmt: skip
    assert [p.cost for p in points if p.chosen] == [4.0]
    assert [p.cost for p in points if not p.met] == [2.0]


def test_what_is_predicted_without_spares_says_so(document):
    best = plan()["recommendation"]
    best["pools"][0] |= {"replicas": 3, "spares": 1}
    found = document(recommendation=best)
    titles = [block.title for block in found.blocks() if isinstance(block, Table)]
    assert "Objectives with 2 of the 3 replicas, spares being down" in titles
    assert "Objectives with all 3 at first, from when 1 fails on" in titles
    assert found.answer.sentences[1].endswith("until one is missed, spares being down.")


def test_what_cannot_be_had_says_why_and_what_can(document):
    nearest = option(4, 8.0, 0.25) | {"change": "--max-cost '$8/h'"}
    why = {"binding": "cost", "why": "$4/h buys 2 replicas", "nearest": [nearest]}
    found = document(recommendation=None, infeasible=why, pareto=[], alternatives=[], today=None)
    assert found.answer.text == "No plan meets what was asked"
    assert found.answer.sentences == (
        "What stands in the way: $4/h buys 2 replicas.",
        "What would do: --max-cost '$8/h' buys 4 x H100-SXM-80GB TP2, $8.00/h.",
    )
    assert table(found, "nearest")[0][-1] == "--max-cost '$8/h'"
    assert "No plan" in render_html(found)


def test_a_page_of_five_hundred_fleets_is_small_and_escaped(document):
    many = [option(1 + k % 40, 2.0 + k / 10, 0.29 - k / 2000) for k in range(500)]
    text = render_html(document(pareto=many))
    assert len(text.encode()) < 2_000_000
    assert text.count("<tr>") > 500
    assert "<script>chat" not in text
    assert "<b>assumed" not in text


def test_a_damaged_plan_is_refused(tmp_path):
    content = plan()
    content["recommendation"]["pools"][0]["replicas"] = "many"
    (tmp_path / "p.json").write_text(json.dumps(content))
    said = refused(planner("report", tmp_path / "p.json", "-o", tmp_path / "r.html"))
    assert "recommendation.pools.0.replicas: must be as a command writes it" in said


def test_fleets_that_differ_in_one_choice_say_which(document):
    other, third = option(), option()
    other["pools"][0]["engine"] |= {"max_num_batched_tokens": 8192}
    third["pools"][0]["router"] = {"kind": "round_robin"}
    plain = recommendation()
    for each in (other, third, plain):
        each["pools"][0]["engine"]["scheduler"] = {"kind": "chunked", "own": True}
    other["pools"][0]["engine"]["scheduler"] = {"kind": "static"}
    found = document(recommendation=plain, alternatives=[other, third], pareto=[], today=None)
    said = [row[0].split("\n")[1] for row in table(found, "alternatives")]
    assert "tokens a step 8,192" in said[0]
    assert "tokens a step 2,048" in said[1]
    assert said[0].endswith("scheduler static, router least_outstanding")
    assert said[1].endswith("scheduler chunked, router round_robin")
