"""The page of a capacity: the answer, the load curve with what is marked on it, the same bytes."""

import json

import pytest
from command_line import CLOSED, LLM, STAGES, planner, refused, sets

from planner.report.document import Chart, Table
from planner.report.html.render import render_html
from planner.report.pages.choose import document_of, document_of_json

SHORT = ("traffic.duration=10 s", "simulation.replications=2", "name=<script>x")
CASES = {
    "rates": (LLM, (*SHORT, "objectives=ttft:p90<20ms; tpot:mean<12ms")),
    "clients": (CLOSED, ("objectives=e2e:p95<1500ms",)),
    "none": (STAGES, ("objectives=e2e:p95<1ms",)),
    "saturation": (STAGES, ("objectives=e2e:p95<1000s",)),
}


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """Return what capacity prints in each case, and the page that it writes."""
    folder, results = tmp_path_factory.mktemp("capacity"), {}
    for name, (text, changes) in CASES.items():
        (folder / f"{name}.yaml").write_text(text)
        page = folder / f"{name}.html"
        ran = planner(
            "capacity", folder / f"{name}.yaml", *sets(*changes), "--json", "--html", page
        )
        assert ran.code == (4 if name == "none" else 0), ran.err
        results[name] = json.loads(ran.out), page.read_text()
    return results


def charts_of(content):
    return {
        each.name: each for each in document_of_json(content).blocks() if isinstance(each, Chart)
    }


@pytest.mark.parametrize("name", CASES)
def test_a_printed_capacity_gives_the_page_that_the_command_wrote(found, name, tmp_path):
    content, page = found[name]
    (tmp_path / "c.json").write_text(json.dumps(content))
    assert render_html(document_of([tmp_path / "c.json"])) == page
    assert "<script>x" not in page
    assert content["command"].split("--set")[0] in page


def test_the_chart_marks_capacity_interval_today_and_what_is_asked(found):
    content, _ = found["rates"]
    drawn = charts_of(content)["load_ttft"].draw.keywords
    at = drawn["at"]
    assert (at.capacity, at.today) == (content["capacity"], content["own"])
    assert at.interval == (content["low"], content["high"])
    assert drawn["bounds"] == [("ttft:p90<20ms", 0.02)]
    curves = {curve.label: dict(curve.points) for curve in drawn["curves"]}
    assert list(curves) == ["ttft p95", "ttft p99", "ttft p90"]
    assert content["capacity"] in curves["ttft p90"]
    for load, value in curves["ttft p90"].items():
        assert value <= curves["ttft p95"][load] <= curves["ttft p99"][load]


def test_each_load_is_a_row_and_the_capacity_is_the_last_that_is_met(found):
    content, _ = found["rates"]
    (table,) = [
        each
        for each in document_of_json(content).blocks()
        if isinstance(each, Table) and each.name == "loads"
    ]
    values = [row[0].value for row in table.rows]
    assert values == sorted(each["value"] for each in content["loads"])
    met = [row[0].value for row in table.rows if row[2].value == "met"]
    assert max(met) == content["capacity"]


def test_the_answer_says_what_ends_it(found):
    answers = {name: document_of_json(content).answer for name, (content, _) in found.items()}
    assert answers["rates"].text.startswith("Capacity ")
    assert "clients" in answers["clients"].text
    assert answers["none"].state == "bad"
    assert "e2e:p95<1ms is missed" in answers["none"].sentences[0]
    assert "saturation" in answers["saturation"].sentences[0]


def test_a_damaged_capacity_is_refused(found, tmp_path):
    content, _ = found["rates"]
    (tmp_path / "c.json").write_text(json.dumps({**content, "low": "few"}))
    said = refused(planner("report", tmp_path / "c.json", "-o", tmp_path / "r.html"))
    assert "low: must be as a command writes it" in said
