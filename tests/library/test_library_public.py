"""What ``import planner`` offers: the numbers of the command line, shown, drawn and tabulated."""

import ast
import doctest
import importlib
import json
from dataclasses import astuple, replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from command_line import CLOSED, LLM, STAGES, TRACE, planner, sets

import planner as pl
from planner.report.sweep_plot import sweep_drawing

HOSTILE = "<script>alert(1)</script>"


class Fragment(HTMLParser):
    """Tags of a fragment, refused where they do not match, and its texts."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.texts = [], [], []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, _attrs):
        self.tags.append(tag)
        if tag != "br":
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts += [data.strip()] * bool(data.strip())


@pytest.fixture(scope="module")
def result():
    return pl.parse(LLM).simulate()


@pytest.fixture(scope="module")
def swept():
    return pl.parse(LLM).sweep({"fleet.replicas": range(1, 3), "traffic.rate": "2,20 req/s"})


@pytest.fixture(scope="module")
def limit():
    return pl.parse(STAGES, {"objectives": "e2e:p95<20ms"}).capacity()


def test_every_public_name_is_there_typed_and_documented():
    for name in pl.__all__:
        assert name in dir(pl)
        assert getattr(pl, name).__doc__
    with pytest.raises(AttributeError, match="no attribute 'simulat'"):
        _ = pl.simulat


@pytest.mark.parametrize("name", ["", ".library.run", ".library.scenario", ".library.values"])
def test_examples_of_docstrings_hold(name):
    found = doctest.testmod(importlib.import_module(f"planner{name}"))
    assert found.attempted
    assert not found.failed


def test_a_type_checker_sees_every_name_that_is_made_when_asked_for():
    file = Path(pl.__file__)
    (block,) = (
        node
        for node in ast.parse(file.read_text()).body
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
    )
    assert sorted(name.name for each in block.body for name in each.names) == pl.__all__
    assert (file.parent / "py.typed").is_file()


def test_a_name_a_path_and_a_scenario_are_the_same_scenario(tmp_path):
    named = pl.load("article_example")
    (tmp_path / "copy.yaml").write_text(named.to_yaml())
    for given in ("article_example", tmp_path / "copy.yaml", str(tmp_path / "copy.yaml"), named):
        assert pl.simulate(given).metrics["e2e"]["p99"].value == pytest.approx(2e-3)


def test_numbers_are_those_of_the_command_line(result, swept, limit, tmp_path):
    path = tmp_path / "s.yaml"
    path.write_text(LLM)
    ours, printed = result.to_json(), json.loads(planner("simulate", path, "--json", "-q").out)
    assert {**ours, "command": ""} == {**printed, "command": ""}
    grid = ["--vary", "fleet.replicas=1:2", "--vary", "traffic.rate=2,20 req/s"]
    printed = json.loads(planner("sweep", path, *grid, "--json", "-q").out)
    assert {**swept.to_json(), "command": ""} == {**printed, "command": ""}
    path.write_text(STAGES)
    bound = sets("objectives=e2e:p95<20ms")
    printed = json.loads(planner("capacity", path, *bound, "--json", "-q").out)
    assert {**limit.to_json(), "command": ""} == {**printed, "command": ""}
    assert (limit.value, limit.low, limit.high) == tuple(
        printed[name] for name in ("capacity", "low", "high")
    )


def test_values_change_a_copy(result):
    one = pl.parse(LLM)
    three = one.with_values({"fleet.replicas": np.int64(3)}, seed=7)
    assert (one.spec.fleet.replicas, three.spec.fleet.replicas) == (2, 3)
    assert three.spec.simulation.seed == 7
    assert three.with_values(["traffic.rate=2 req/s"]).spec.simulation.seed == 7
    assert one.simulate().to_json() == result.to_json()


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: pl.parse(LLM, {"fleet.replicas": 0}), "fleet.replicas=0: fleet.replicas: must be"),
        (lambda: pl.parse(LLM, "fleet.replicas=0"), "values: must be a mapping or a list"),
        (lambda: pl.parse(LLM, {"name": object()}), "name: must be a number, text"),
        (lambda: pl.parse(LLM, {"name": float("nan")}), "name: must be a number, text"),
        (lambda: pl.parse("name: x\nnope: 1\n"), "<text>:2:1: nope: must be a known key"),
        (lambda: pl.load("chatbott"), "did you mean 'chatbot'?"),
        (lambda: pl.parse(TRACE).simulate(), "trace.csv: must exist, got no such file"),
        (lambda: pl.parse(LLM.replace("H100", "X1")).simulate(), "<text>:7:17: fleet.device: "),
        (lambda: pl.parse(LLM).sweep("fleet.replicas=1:2"), "vary: must be a mapping or a list"),
        (lambda: pl.parse(LLM).sweep({"fleet.replicas": [1]}, jobs=0), "jobs: must be a number"),
        (lambda: pl.parse(LLM).sweep({"fleet.nope": [1]}), "must be a known key"),
        (lambda: pl.parse(CLOSED).capacity(), "objectives: must be"),
    ],
)
def test_what_cannot_be_is_told_as_on_the_command_line_without_its_options(make, said):
    with pytest.raises(pl.InputError) as refused:
        make()
    assert said in str(refused.value)
    assert "--set" not in str(refused.value)


@pytest.mark.parametrize("text", [LLM, STAGES, CLOSED], ids=["llm", "stages", "clients"])
def test_every_kind_of_result_shows_draws_and_tabulates_itself(text):
    found = pl.parse(text).simulate()
    Fragment(found._repr_html_())
    frame = found.to_frame()
    for metric, statistics in found.metrics.items():
        for statistic, each in statistics.items():
            (row,) = frame[(frame.metric == metric) & (frame.statistic == statistic)].itertuples()
            for value, known in zip(row[4:], astuple(each), strict=True):
                assert (value == known) or (np.isnan(value) and known is None)
    requests = found.requests()
    assert len(requests) == found.to_json()["requests"]["arrived"]
    parts = requests.filter(regex="^e2e_.*_s$").sum(axis=1)
    np.testing.assert_allclose(parts, requests.finished_s - requests.arrival_s, atol=1e-6)
    for chart in found.charts:
        picture, words = found.plot(chart)._repr_png_()
        assert picture.startswith(b"\x89PNG")
        assert len(words["alt"]) > 20


def test_a_chart_that_is_not_there_is_refused_with_those_that_are(result):
    with pytest.raises(pl.InputError, match="did you mean 'ttft_distribution'"):
        result.plot("ttft")


def test_a_page_is_saved(result, tmp_path):
    result.save(tmp_path / "r.html")
    assert "1 of 1" not in (tmp_path / "r.html").read_text()
    with pytest.raises(pl.InputError, match=r"path: must end in \.html or \.md, got 'r\.pdf'"):
        result.save(tmp_path / "r.pdf")


def test_sweeps_and_capacities_show_themselves(swept, limit):
    shown = Fragment(swept._repr_html_())
    assert shown.tags.count("tr") == 1 + len(swept.cells)
    assert len(swept.to_frame()) == len(swept.cells) == 4
    assert swept.plot()._repr_png_()[0].startswith(b"\x89PNG")
    assert f"{limit.value:.3g} req/s" in " ".join(Fragment(limit._repr_html_()).texts)
    for each in (swept, limit):
        assert repr(each).startswith(f"<{type(each).__name__} ")
        assert str(each).endswith("\n")


def test_a_sweep_is_saved_with_its_sliders(swept, tmp_path):
    swept.save(tmp_path / "sweep.html")
    page = (tmp_path / "sweep.html").read_text()
    assert page.count('type="range"') == len(swept.found.axes)
    swept.save(tmp_path / "sweep.md")
    assert (tmp_path / "sweep.md").read_text().startswith("# ")


def test_a_capacity_is_saved_and_drawn_with_what_was_simulated(limit, tmp_path):
    limit.save(tmp_path / "capacity.md")
    assert limit.unit in (tmp_path / "capacity.md").read_text().partition("##")[0]
    (axes,) = limit.plot("e2e").axes
    drawn = {line.get_label(): line for line in axes.lines}
    assert len(drawn["e2e p95"].get_xdata()) == len(limit.found.loads)
    assert any(label.startswith("capacity, ") for label in drawn)
    with pytest.raises(pl.InputError, match="metric: must be one of"):
        limit.plot("itl")


def test_a_long_sweep_is_cut_and_says_so():
    found = pl.parse(STAGES).sweep({"simulation.seed": range(60), "traffic.duration": ["3 s"]})
    shown = Fragment(found._repr_html_())
    assert shown.tags.count("tr") == 1 + 50
    assert "and 10 more rows." in shown.texts


def test_markup_in_names_stays_text():
    scenario = pl.parse(STAGES, {"name": HOSTILE, "description": HOSTILE})
    grid = scenario.sweep({"service.stages.encoder.name": [HOSTILE, "b"]})
    limit = scenario.with_values({"objectives": "e2e:p95<20ms"}).capacity()
    for each in (scenario, scenario.simulate(), grid, limit):
        page = Fragment(each._repr_html_())
        assert "script" not in page.tags
        assert any(HOSTILE in text for text in page.texts)


PLANNED = {
    "plan": {
        "devices": ["L40S", "A100-SXM-80GB"], "tensor_parallel": [1], "weights": ["bf16"],
        "kv_cache": ["bf16"], "max_num_batched_tokens": [2048],
    },
    "objectives": "ttft:p95<1s; tpot:p95<60ms",
}  # fmt: skip


def test_a_plan_is_what_the_command_finds_shown_tabulated_drawn_and_saved(tmp_path):
    scenario = pl.parse(LLM.replace("name: small", f"name: '{HOSTILE}'"), PLANNED)
    plan = scenario.plan(store=tmp_path / "e.jsonl", jobs=1)
    assert plan.feasible
    assert plan.recommendation == plan.to_json()["recommendation"]
    frame = plan.to_frame()
    first = frame.iloc[0]
    assert first["kind"] == "plan"
    assert first["usd_per_hour"] == plan.recommendation["usd_per_hour"]
    assert set(frame["device"]) <= {"L40S", "A100-SXM-80GB", "H100-SXM-80GB"}
    assert f"Plan: {first['replicas']} x {first['device']}" in str(plan)
    shown = Fragment(plan._repr_html_())
    assert "script" not in shown.tags
    assert any(first["device"] in text for text in shown.texts)
    assert plan.plot().axes[0].get_xlabel()
    plan.save(tmp_path / "plan.html")
    assert HOSTILE not in (tmp_path / "plan.html").read_text()


def test_a_target_that_nothing_meets_is_an_answer(tmp_path):
    plan = pl.plan(
        pl.parse(LLM, PLANNED), target="ttft:p95<1us", store=tmp_path / "e.jsonl", jobs=1
    )
    assert not plan.feasible
    assert plan.recommendation is None
    assert plan.to_json()["infeasible"]["nearest"]
    with pytest.raises(pl.InputError, match="two fleets"):
        plan.plot()


def test_what_a_command_wrote_is_read_shown_and_drawn(tmp_path, result):
    (tmp_path / "run.json").write_text(json.dumps(result.to_json()))
    found = pl.read(tmp_path / "run.json")
    assert found.charts == result.charts
    assert found._repr_html_() == result._repr_html_()
    assert found.plot()._repr_png_() == result.plot()._repr_png_()
    assert str(found).startswith("# ")
    both = pl.read(tmp_path / "run.json", str(tmp_path / "run.json"))
    assert repr(both) == "<Report '2 runs compared': 2 of 2 runs meet every objective>"


def test_what_cannot_be_read_says_so(tmp_path):
    with pytest.raises(pl.InputError, match="must be one or more results, got none"):
        pl.read()
    with pytest.raises(pl.InputError, match="No such file"):
        pl.read(tmp_path / "none.json")


def test_a_sweep_of_stages_has_no_panel_for_what_they_do_not_have():
    found = pl.parse(STAGES).sweep({"traffic.arrivals.rate": "10,30 req/s"})
    seen = [axes.get_ylabel() for axes in found.plot().axes if axes.get_visible()]
    assert seen == ["ttft p95, ms", "e2e p95, ms", "load, share of saturation"]


def test_one_slow_line_of_a_sweep_does_not_press_the_others_flat(swept):
    cells = [dict(cell) for cell in swept.cells]
    first = cells[0]["metrics"]["ttft_s"]["p95"]
    slow = {**first, "value": 1000 * first["value"], "high": None}
    cells[0]["metrics"] = cells[0]["metrics"] | {
        "ttft_s": cells[0]["metrics"]["ttft_s"] | {"p95": slow}
    }
    drawn = sweep_drawing(replace(swept.found, cells=tuple(cells)))
    scales = {axes.get_ylabel(): axes.get_yscale() for axes in drawn.axes}
    assert (scales["ttft p95, ms"], scales["e2e p95, ms"]) == ("log", "linear")
    (legend,) = drawn.legends
    assert [text.get_text() for text in legend.get_texts()] == ["rate 2 req/s", "rate 20 req/s"]
