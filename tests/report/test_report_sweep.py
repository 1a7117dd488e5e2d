"""Reports of sweeps: what is said, drawn and embedded for the sliders."""

import json

import pytest
from command_line import LLM, planner, refused

from planner.report.document import Chart, Explorer, Listing, Table
from planner.report.html.render import embedded_json, render_html
from planner.report.pages.choose import document_of

VARY = ["--vary", "traffic.arrivals.rate=5,20,60,300", "--vary", "fleet.replicas=1:2"]


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """Return the folder of a sweep over rates and replicas."""
    home = tmp_path_factory.mktemp("sweep")
    (home / "s.yaml").write_text(LLM.replace("small", '"</script><b>$x$"'))
    short = ["--set", "traffic.duration=10 s", "--set", "simulation.replications=1"]
    ran = planner("sweep", home / "s.yaml", *VARY, *short, "-q", "--jobs", "1",
                  "--out", home / "out")  # fmt: skip
    assert ran.code == 0, ran.err
    return home / "out"


@pytest.fixture(scope="module")
def document(stored):
    return document_of([stored])


def block(document, kind):
    (found,) = [each for each in document.blocks() if isinstance(each, kind)]
    return found


def test_every_cell_is_a_row_and_a_position_of_the_sliders(document, stored):
    cells = json.loads((stored / "sweep.json").read_text())["cells"]
    (table, _) = [each for each in document.blocks() if isinstance(each, Table)]
    sliders = block(document, Explorer)
    assert len(table.rows) == len(sliders.results) == len(cells) == 8
    assert [len(axis.values) for axis in sliders.axes] == [4, 2]
    for row, (at, results) in zip(table.rows, sliders.results.items(), strict=True):
        assert row[2:] == results
        assert [cell.text for cell in row[:2]] == [
            axis.values[k] for axis, k in zip(sliders.axes, at, strict=True)
        ]


def test_the_numbers_of_the_scenario_as_it_is_have_their_sources(document, stored):
    content = json.loads((stored / "sweep.json").read_text())
    numbers = content["provenance"]["numbers"]
    (table,) = [each for each in document.blocks() if isinstance(each, Table) and each.folded]
    assert [(row[0].text, row[3].text) for row in table.rows] == [
        (each["name"], each["source"]) for each in numbers
    ]
    (listing,) = [each for each in document.blocks() if isinstance(each, Listing) and each.folded]
    assert "replicas: 2" in listing.text
    assert content["base"]["fleet"]["replicas"] == 2


def test_sliders_start_at_the_scenario_as_it_is(document):
    sliders = block(document, Explorer)
    assert [axis.values[axis.start] for axis in sliders.axes] == ["5", "2"]


def test_sliders_start_where_everything_is_met_if_today_is_no_point(stored, tmp_path):
    content = json.loads((stored / "sweep.json").read_text())
    for axis in content["vary"]:
        axis["today"] = None
    for k, cell in enumerate(content["cells"]):
        cell["objectives_met"] = k in {3, 6}
    path = tmp_path / "sweep.json"
    path.write_text(json.dumps(content))
    assert [axis.start for axis in block(document_of([path]), Explorer).axes] == [1, 1]
    content["vary"][0]["today"] = 3  # and of the replicas of today no cell is known
    path.write_text(json.dumps(content))
    assert [axis.start for axis in block(document_of([path]), Explorer).axes] == [3, 0]


def test_latency_against_load_has_the_rate_of_today(document):
    charts = {each.name: each for each in document.blocks() if isinstance(each, Chart)}
    drawn = charts["load_ttft_p95_and_p99"].draw.keywords
    curves = {curve.label: dict(curve.points) for curve in drawn["curves"]}
    assert list(curves) == [f"{each} replicas {n}" for each in ("p95", "p99") for n in (1, 2)]
    assert drawn["at"].today in curves["p95 replicas 2"]
    both = zip(curves["p95 replicas 2"].values(), curves["p99 replicas 2"].values(), strict=True)
    assert all(p95 <= p99 for p95, p99 in both)
    assert drawn["bounds"] == [("ttft:p95<5s", 5.0)]


def test_a_chart_says_how_many_settings_it_leaves_out(stored, tmp_path):
    content = json.loads((stored / "sweep.json").read_text())
    ours = content["vary"][1]
    ours["values"] = list(range(1, 7))
    content["cells"] = [
        {**cell, "values": {**cell["values"], ours["key"]: replicas}}
        for cell in content["cells"][::2]
        for replicas in ours["values"]
    ]
    (tmp_path / "sweep.json").write_text(json.dumps(content))
    titles = [each.title for each in document_of([tmp_path / "sweep.json"]).blocks()
              if isinstance(each, Chart) and each.name.startswith("load_")]  # fmt: skip
    assert titles
    assert all(each.endswith(" against load, 4 of 6 settings") for each in titles)


def test_the_values_in_a_page_are_those_of_the_cells(document, stored):
    cells = json.loads((stored / "sweep.json").read_text())["cells"]
    line = block(document, Explorer).line
    ttft = {metric["name"]: metric for metric in line["metrics"]}["ttft"]["values"]
    first = cells[0]["metrics"]["ttft_s"]
    assert ttft["0,0"] == [
        pytest.approx(1000 * first[name]["value"], rel=1e-3) for name in ("p95", "p99")
    ]
    assert line["x"] == [5, 20, 60, 300]


def test_no_text_ends_the_data_of_the_sliders(document):
    text = render_html(document)
    assert text.count("<script") == 2
    assert "</script><b>" not in text
    assert embedded_json({"a": "</script><!--"}) == r'{"a":"\u003c/script\u003e\u003c!--"}'


def test_other_numbers_of_cells_than_points_are_refused(stored, tmp_path):
    content = json.loads((stored / "sweep.json").read_text())
    content["cells"].pop()
    (tmp_path / "x.json").write_text(json.dumps(content))
    said = refused(planner("report", tmp_path / "x.json", "-o", tmp_path / "r.html"))
    assert "must have 8 cells, one a point of vary, got 7" in said


def test_results_of_different_commands_do_not_stand_side_by_side(stored, tmp_path):
    said = refused(planner("report", stored, stored, "-o", tmp_path / "r.html"))
    assert (
        "must all be of simulate to stand side by side, got: sweep, sweep; make a page of each"
        in said
    )


def test_a_run_and_a_sweep_make_two_pages(stored, tmp_path):
    run = tmp_path / "run.json"
    short = ["--set", "simulation.replications=1", "--set", "traffic.duration=10 s"]
    run.write_text(planner("simulate", stored.parent / "s.yaml", *short, "-q", "--json").out)
    said = refused(planner("report", run, stored, "-o", tmp_path / "r.html"))
    assert "got: simulate, sweep; make two pages, one of the runs and one of the other" in said


def test_a_page_of_many_cells_is_small(stored, tmp_path):
    content = json.loads((stored / "sweep.json").read_text())
    content["vary"] = [
        {"key": "a.rate", "unit": "req/s", "values": list(range(100)), "today": None},
        {"key": "b", "unit": None, "values": list(range(50)), "today": 3},
    ]
    one = content["cells"][0]
    content["cells"] = [
        {**one, "values": {"a.rate": k, "b": j}} for k in range(100) for j in range(50)
    ]
    (tmp_path / "x.json").write_text(json.dumps(content))
    text = render_html(document_of([tmp_path / "x.json"]))
    assert len(text.encode()) < 2_000_000
    assert "The first 600 of 5,000 rows" in text


def test_the_rate_of_today_is_marked_where_no_cell_has_it(stored, tmp_path):
    content = json.loads((stored / "sweep.json").read_text())
    assert content["requests_per_s"] == 5.0
    for axis in content["vary"]:
        axis["today"] = None
    for known, marked in ((7.5, 7.5), (None, None)):
        (tmp_path / "s.json").write_text(json.dumps(content | {"requests_per_s": known}))
        charts = {c.name: c for c in document_of([tmp_path / "s.json"]).blocks()
                  if isinstance(c, Chart)}  # fmt: skip
        assert charts["load_ttft_p95_and_p99"].draw.keywords["at"].today == marked
