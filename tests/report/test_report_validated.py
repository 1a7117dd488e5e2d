"""Pages of what validate found: points of a table, and runs of a real engine."""

import contextlib
import copy
import json

import jsonschema
import pytest
from command_line import planner, refused
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from report_examples import JSON_VALUES, compared, paths_in, points
from test_report_command import HOSTILE, Page

from planner.errors import InputError
from planner.report.charts.agreement import thinned
from planner.report.charts.svg import svg_element
from planner.report.document import Chart, Table
from planner.report.markdown import render_markdown
from planner.report.pages.choose import document_of, document_of_json

EXAMPLES = {"points": points, "validate": compared}


@pytest.fixture(params=EXAMPLES)
def example(request):
    return EXAMPLES[request.param]


@pytest.mark.parametrize("layout", EXAMPLES)
def test_the_examples_are_as_commands_print(layout):
    schema = json.loads(planner("schema", layout).out)
    jsonschema.Draft202012Validator(schema).validate(EXAMPLES[layout]())


def written(folder, content):
    file = folder / "result.json"
    file.write_text(json.dumps(content))
    made = ["-o", folder / "r.html", "--charts", folder / "c", "--tables", folder / "t"]
    ran = planner("report", file, *made)
    assert ran.code == 0, ran.err
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_a_saved_result_becomes_a_page_pictures_and_numbers(example, tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    one, other = (written(tmp_path / name, example()) for name in ("a", "b"))
    assert one == other
    endings = {path.suffix for path in one}
    assert endings == {".json", ".html", ".svg", ".csv"}


def test_names_with_markup_stay_text(example, tmp_path):
    page = written(tmp_path, example(HOSTILE))
    text = next(data.decode() for path, data in page.items() if path.suffix == ".html")
    assert HOSTILE not in text
    assert len(Page(text).scripts) == 1
    assert any(HOSTILE in said for said in Page(text).texts)
    assert "<script" not in render_markdown(document_of_json(example(HOSTILE)))


def test_points_say_how_far_off_and_where():
    document = document_of_json(points())
    assert document.answer.text.endswith("throughput 50.0 %, ttft 10.0 %")
    assert "throughput 0 %, ttft 100 %" in document.answer.sentences[1]
    tables = {each.name: each for each in document.blocks() if isinstance(each, Table)}
    assert [cell.text for cell in tables["worst_rows"].rows[0][:2]] == ["one-0", "throughput"]
    assert tables["worst_rows"].rows[0][4].value == pytest.approx(0.5)
    by_engine = {(row[0].text, row[1].text): row[3].value for row in tables["by_engine"].rows}
    assert by_engine["sglang", "throughput"] == pytest.approx(0.5)
    assert by_engine["vllm one", "ttft"] == pytest.approx(0.1)
    assert "by_device" not in tables  # all are of one


def test_a_comparison_is_judged_by_its_tolerance():
    judged = document_of_json(compared()).answer
    assert judged.state == "bad"
    assert judged.text.startswith("2 of 6 numbers are off by more than 20 %")
    good = compared()
    for each in good["comparisons"]:
        each["rows"][1]["met"] = True
    assert document_of_json(good).answer.state == "good"
    free = document_of_json(compared(tolerance=None))
    assert free.answer.state == ""
    assert "e2e 90.5 %" in free.answer.text


def test_a_comparison_draws_every_metric_with_its_runs():
    charts = [each for each in document_of_json(compared()).blocks() if isinstance(each, Chart)]
    assert [each.title.partition(":")[0] for each in charts] == ["ttft", "e2e", "output tokens"]
    drawn = svg_element(charts[0])
    assert all(word in drawn for word in ("range of the runs", "predicted", "60 % one p95"))


def test_a_drawing_of_many_points_stays_small():
    many = [(1 + k % 7 / 1e4, 1 + k % 11 / 1e4) for k in range(100_000)]
    assert len(thinned(many)) == 1


def test_columns_must_be_as_long_as_each_other(tmp_path):
    content = points()
    content["rows"]["groups"]["device"].pop()
    (tmp_path / "x.json").write_text(json.dumps(content))
    said = refused(planner("report", tmp_path / "x.json", "-o", tmp_path / "r.html"))
    assert "columns must have 40 values each, as many as id has" in said


@pytest.mark.parametrize("value", [1e-12, 1e15])
def test_extreme_measurements_are_drawn(value):
    content = points()
    content["rows"]["measured"] = [value] * 40
    document = document_of_json(content)
    for chart in document.blocks():
        if isinstance(chart, Chart):
            assert svg_element(chart).endswith("</svg>")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_any_damage_is_refused_or_shown(example, tmp_path, data):
    content = copy.deepcopy(example())
    path = data.draw(st.sampled_from([path for path in paths_in(content) if path]))
    part = content
    for key in path[:-1]:
        part = part[key]
    part[path[-1]] = data.draw(JSON_VALUES)
    (tmp_path / "x.json").write_text(json.dumps(content))
    with contextlib.suppress(InputError):
        assert render_markdown(document_of([tmp_path / "x.json"]))
