"""Pages of what validate and calibrate found: points, runs of a real engine, fits."""

import contextlib
import copy
import json

import jsonschema
import pytest
from command_line import planner, refused
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from report_examples import JSON_VALUES, calibrated, compared, judged, paths_in, points
from test_report_command import HOSTILE, Page

import planner as pl
from planner.catalog.profile import PACKAGED, Profile
from planner.errors import InputError
from planner.report.charts.agreement import thinned
from planner.report.charts.svg import svg_element
from planner.report.document import Chart, Table
from planner.report.markdown import render_markdown
from planner.report.pages.choose import document_of, document_of_json
from planner.report.pages.compressed import kept_bits

EXAMPLES = {"points": points, "validate": compared, "calibrate": calibrated, "quality": judged}


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


def test_quality_says_which_settings_lose_nothing_and_what_unknown_means():
    document = document_of_json(judged())
    assert document.answer.text.startswith("1 of 2 variants no worse than fp32")
    assert document.answer.sentences == (
        "Their intervals reach down to its perplexity: bf16.",
        "1 variant unknown.",
    )
    (table,) = (each for each in document.blocks() if isinstance(each, Table))
    assert [cell.text for cell in table.shown().rows[1]] == [
        "int4", "269", "67.5\n65.5 to 69.5", "1.5\n1.49 to 1.51", "70.0 %\n69.5 to 70.5", "6,132",
    ]  # fmt: skip
    assert {cell.text for cell in table.rows[2][2:]} == {"unknown"}
    assert any("never 0" in getattr(each, "text", "") for each in document.blocks())


def test_quality_of_which_nothing_is_known_has_no_chart():
    content = judged()
    content["rows"] = content["rows"][2:]
    document = document_of_json(content)
    assert document.answer.text == "The quality of no variant is known"
    assert not any(isinstance(each, Chart) for each in document.blocks())


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


def test_predictions_for_the_speed_of_now_stand_beside_those_by_the_profile():
    found = compared()
    table = document_of_json(found).sections[0].blocks[-1]
    assert "by profile" not in [column.title for column in table.columns]
    found["comparisons"][0]["rows"][0]["by_profile"] = 0.125
    table = document_of_json(found).sections[0].blocks[-1]
    at = [column.title for column in table.columns].index("by profile")
    assert [row[at].value for row in table.rows[:2]] == [0.125, None]
    assert table.rows[0][at].text == "125 ms"


def test_a_comparison_draws_every_metric_with_its_runs():
    charts = [each for each in document_of_json(compared()).blocks() if isinstance(each, Chart)]
    assert [each.title.partition(":")[0] for each in charts] == ["ttft", "e2e", "output tokens"]
    drawn = svg_element(charts[0])
    assert all(word in drawn for word in ("range of the runs", "predicted", "60 % one p95"))


def test_a_calibration_says_how_sure_each_number_is():
    document = document_of_json(calibrated())
    assert (
        document.answer.text == "The fit predicts half of the steps left out of it to within 2.0 %"
    )
    assert document.answer.state == "unsure"
    assert "Known to half of its value at best: storage_efficiency." in document.answer.sentences
    tables = {each.name: each for each in document.blocks() if isinstance(each, Table)}
    first, second, guess = tables["coefficients"].rows
    assert [cell.value for cell in first[:3]] == ["compute_efficiency", 0.7, 0.07]
    assert second[3].text == "60 %"
    assert guess[-1].state == "unsure"
    assert tables["correlated"].rows[0][2].value == pytest.approx(-0.9)
    assert [cell.text for cell in tables["settings"].rows[0][:4]] == [
        "weights.int4", "storage", "1.400", "0.100",
    ]  # fmt: skip
    sources = {row[0].text: row[3].text for row in tables["sources"].rows}
    assert sources["overhead_fixed"] == "guess"
    assert sources["int4 perplexity"] == "steps of one"
    charts = {each.name: each.title for each in document.blocks() if isinstance(each, Chart)}
    assert charts["quality_0"] == "perplexity against compression"
    assert len(charts) == 7


def test_a_calibration_shows_its_coefficients_and_residuals(tmp_path):
    (tmp_path / "fit.json").write_text(json.dumps(calibrated()))
    found = pl.read(tmp_path)
    shown = found._repr_html_()
    for said in ("compute_efficiency", "Errors by setting and kind of step", "Speedups"):
        assert said in shown
    assert {"correlations", "residuals_tokens", "speedups"} <= set(found.charts)
    found.save(tmp_path / "page.html")
    assert (tmp_path / "page.html").stat().st_size > 10_000


def test_a_profile_alone_has_a_page_without_residuals():
    document = document_of_json(calibrated()["profile"])
    assert "residuals" not in [each.name for each in document.sections]
    assert document.answer.text == "3 coefficients"


@pytest.mark.parametrize("name", PACKAGED)
def test_every_packaged_profile_has_a_page(name, tmp_path):
    ran = planner("calibrate", "show", name, "--html", tmp_path / "p.html")
    assert ran.code == 0, ran.err
    assert name in (tmp_path / "p.html").read_text()


def test_settings_keep_the_bits_that_the_catalogue_says():
    assert kept_bits("int8-bf16") == pytest.approx(8, abs=0.5)
    assert kept_bits("2:4") == pytest.approx(9, abs=1)
    assert kept_bits("int4+structured:0.5") == pytest.approx(kept_bits("int4") / 2)
    assert kept_bits("bf16+compile") == 16
    assert kept_bits("structured:half") is None


def test_the_schema_of_a_calibration_is_that_of_the_profile():
    schema = json.loads(planner("schema", "calibrate").out)["$defs"]
    model = Profile.model_json_schema(mode="serialization")
    assert schema["profile"]["properties"].keys() == model["properties"].keys()
    for name, part in model["$defs"].items():
        assert schema[name]["properties"].keys() == part["properties"].keys()


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
