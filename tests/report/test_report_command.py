"""``planner report``: pages, Markdown, pictures and numbers of what simulate wrote."""

import csv
import html
import json
import os
import re
from html.parser import HTMLParser
from xml.etree import ElementTree as ET

import pytest
from command_line import CLOSED, LLM, STAGES, planner, refused, sets

HOSTILE = "<script>alert(1)</script>"
VOID = {"meta", "link", "input", "br", "img", "wbr"}


class Page(HTMLParser):
    """What a browser would find: elements, texts, scripts; tags that do not match are refused."""

    def __init__(self, text):
        super().__init__()
        self.open, self.texts, self.scripts, self.ids, self.links = [], [], [], [], []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        if tag not in VOID:
            self.open.append(tag)
        self.ids += [value for name, value in attrs if name == "id"]
        self.links += [value for name, value in attrs if name in {"href", "src", "xlink:href"}]

    def handle_startendtag(self, _tag, attrs):
        self.ids += [value for name, value in attrs if name == "id"]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        (self.scripts if self.open[-1:] == ["script"] else self.texts).append(data)


def simulated(folder, text, *changes):
    path = folder.with_suffix(".yaml")
    path.write_text(text)
    ran = planner("simulate", path, "-q", "--out", folder, *sets(*changes))
    assert ran.code in {0, 3}, ran.err
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def run(folder):
    return simulated(folder / "small", LLM)


def page_of(tmp_path, *runs):
    done = planner("report", *runs, "-o", tmp_path / "r.html")
    assert done.code == 0, done.err
    return (tmp_path / "r.html").read_text()


CASES = {
    "llm": (LLM, []),
    "stages": (STAGES, ["objectives=e2e:p99<1s; goodput{e2e<1s}>=0.9"]),
    "closed loop": (CLOSED, []),
    "overloaded": (LLM, ["traffic.arrivals.rate=2000 req/s", "traffic.duration=10 s"]),
    "one token": (LLM, ["traffic.lengths.output=1", "objectives=tpot:mean<1s"]),
    "failing": (
        LLM,
        ["fleet.events=[{at: 20 s, kind: fail}, {at: 30 s, kind: join}]", "objectives=e2e:p99<1ms"],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_every_kind_of_run_has_a_page_and_markdown(case, tmp_path):
    text, changes = CASES[case]
    out = simulated(tmp_path / "run", text, *changes)
    page = Page(page_of(tmp_path, out))
    assert len(page.ids) == len(set(page.ids))
    assert planner("report", out, "-o", tmp_path / "r.md").code == 0
    words = {"overloaded": "No steady state", "failing": "1 of 1 objective missed"}
    said = words.get(case, "objective")
    assert said in " ".join(page.texts)
    assert said in (tmp_path / "r.md").read_text()


def test_a_page_says_what_the_summary_says(run, tmp_path):
    page, summary = page_of(tmp_path, run), json.loads((run / "summary.json").read_text())
    text = " ".join(" ".join(Page(page).texts).split())
    assert f"{summary['requests']['arrived']:,}" in text
    assert f"{1000 * summary['metrics']['ttft_s']['p95']['value']:.1f}" in text
    assert summary["command"] in text
    assert all(each["source"] in text for each in summary["provenance"]["numbers"])
    for title in ("ttft: time to the first token", "e2e: what it is made of", "Utilisation"):
        assert title in text


def test_a_page_loads_nothing(run, tmp_path):
    page = page_of(tmp_path, run)
    assert all(link.startswith(("#", "data:")) for link in Page(page).links)
    assert "url(http" not in page
    assert "default-src 'none'" in html.unescape(page)


def test_a_name_with_markup_stays_text(tmp_path):
    out = simulated(tmp_path / "run", LLM, f"name='{HOSTILE} $x$ & \"'")
    text = page_of(tmp_path, out)
    page = Page(text)
    assert len(page.scripts) == 1
    assert HOSTILE not in text
    assert any(HOSTILE in text for text in page.texts)
    assert planner("report", out, "-o", tmp_path / "r.md").code == 0
    assert "<script" not in (tmp_path / "r.md").read_text().partition("```")[0]


def test_the_same_runs_give_the_same_bytes(run, tmp_path):
    written = []
    for name in ("a", "b"):
        to = tmp_path / name
        args = ["-o", to / "r.html", "--charts", to / "c", "--tables", to / "t"]
        assert planner("report", run, *args).code == 0
        written.append({p.relative_to(to): p.read_bytes() for p in to.rglob("*") if p.is_file()})
    assert written[0] == written[1]
    assert len(written[0]) > 10


def test_json_of_a_command_is_as_good_as_its_folder(run, tmp_path):
    (tmp_path / "small.json").write_bytes((run / "summary.json").read_bytes())
    assert page_of(tmp_path, tmp_path / "small.json") == page_of(tmp_path, run)


def test_simulate_writes_the_page_of_its_result(tmp_path):
    (tmp_path / "s.yaml").write_text(LLM)
    ran = planner("simulate", tmp_path / "s.yaml", "-q", "--html", tmp_path / "r.html")
    assert ran.code == 0
    assert "The objective is met" in (tmp_path / "r.html").read_text()
    ran = planner("simulate", tmp_path / "s.yaml", "-q", "--html", tmp_path / "r.txt")
    assert "--html: must end in .html or .md, got 'r.txt'" in refused(ran)


def test_tables_are_written_as_numbers(run, tmp_path):
    summary = json.loads((run / "summary.json").read_text())
    assert planner("report", run, "--tables", tmp_path).code == 0
    with (tmp_path / "latency.csv").open() as file:
        rows = {row["metric"]: row for row in csv.DictReader(file)}
    found = summary["metrics"]["ttft_s"]["p95"]
    ends = {"p95_s": "value", "p95_low_s": "low", "p95_high_s": "high"}
    assert {key: float(rows["ttft"][key]) for key in ends} == {k: found[v] for k, v in ends.items()}
    with (tmp_path / "objectives.csv").open() as file:
        (row,) = csv.DictReader(file)
    (objective,) = summary["objectives"]
    assert [row["met"], row["sure"]] == ["true", str(objective["sure"]).lower()]
    known = {"value": objective["value"], "low": objective["low"], "high": objective["high"]}
    assert {key: row[key] for key in known} == {
        key: "" if each is None else repr(each) for key, each in known.items()
    }


def test_a_page_has_intervals_below_the_values_and_no_columns_of_their_ends(run, tmp_path):
    found = json.loads((run / "summary.json").read_text())["metrics"]["ttft_s"]["p95"]
    texts = Page(page_of(tmp_path, run)).texts
    low, high = (f"{1000 * found[end]:.1f}" for end in ("low", "high"))
    assert any(each.startswith(low) and each.endswith(high) for each in texts)
    assert not {"low", "high", "sure", "p95_low_s"} & set(texts)


def test_a_fleet_that_stays_as_it_is_has_its_replicas_said_and_not_drawn(run, tmp_path):
    page = Page(page_of(tmp_path, run))
    assert "replicas, all the time" in page.texts
    assert "replicas" not in page.ids


def test_tables_as_parquet_hold_the_same_numbers(run, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    args = ["--tables", tmp_path, "--table-format", "parquet"]
    assert planner("report", run, *args).code == 0
    assert planner("report", run, "--tables", tmp_path).code == 0
    for path in tmp_path.glob("*.parquet"):
        table = parquet.read_table(path)
        with path.with_suffix(".csv").open() as file:
            rows = list(csv.reader(file))
        assert table.column_names == rows[0]
        assert table.num_rows == len(rows) - 1
    values = parquet.read_table(tmp_path / "latency.parquet").column("p95_s").to_pylist()
    assert all(isinstance(each, float) for each in values)


@pytest.mark.parametrize(
    ("option", "form", "asked"),
    [("--chart-format", "svg", "--charts"), ("--table-format", "csv", "--tables")],
)
def test_a_form_of_files_that_nobody_asked_for_is_refused(run, tmp_path, option, form, asked):
    page = tmp_path / "r.html"
    assert refused(planner("report", run, "-o", page, option, form)) == (
        f"{option}: must come with {asked} DIR, got it without; add that\n"
    )
    assert not page.exists()


def test_charts_are_written_as_pictures_that_say_what_they_show(run, tmp_path):
    assert planner("report", run, "--charts", tmp_path).code == 0
    names = {path.stem for path in tmp_path.glob("*.svg")}
    assert {"ttft_distribution", "e2e_parts", "utilisation", "queue"} <= names
    for path in tmp_path.glob("*.svg"):
        text = "".join(ET.parse(path).getroot().itertext())  # noqa: S314 - our own
        assert re.search(r"milliseconds|requests|replicas up|%", text), path
    assert planner("report", run, "--charts", tmp_path, "--chart-format", "png").code == 0
    png = (tmp_path / "queue.png").read_bytes()
    assert png.startswith(b"\x89PNG")
    assert b"tEXtDate" not in png


def test_markdown_links_to_the_pictures_beside_it(run, tmp_path):
    args = ["-o", tmp_path / "r.md", "--charts", tmp_path / "pictures"]
    assert planner("report", run, *args).code == 0
    links = re.findall(r"\]\(([^)]+)\)", (tmp_path / "r.md").read_text())
    assert len(links) > 5
    assert all((tmp_path / link).is_file() for link in links)


def test_runs_stand_side_by_side(run, tmp_path, folder):
    runs = [run]
    for rate in (2, 20, 60, 900):
        name = folder / f"at{rate}"
        runs.append(
            simulated(name, LLM, f"traffic.arrivals.rate={rate} req/s", "traffic.duration=20 s")
        )
    runs.append(simulated(folder / "one", LLM, "fleet.replicas=1"))
    text = " ".join(Page(page_of(tmp_path, *runs, run)).texts)
    for said in ("7 runs compared", "small (2)", "at900", "no steady state"):
        assert said in text
    for said in ("Cost and ttft p95", "ttft against load", "Latency by requests per second"):
        assert said in text


def test_numbers_that_runs_share_have_one_row_and_others_one_each(run, tmp_path, folder):
    other = simulated(folder / "h200", LLM, "fleet.device=H200-SXM-141GB")
    known = [json.loads((each / "summary.json").read_text())["provenance"]["numbers"]
             for each in (run, other)]  # fmt: skip
    assert planner("report", run, other, "--tables", tmp_path / "t").code == 0
    with (tmp_path / "t" / "sources.csv").open() as file:
        rows = [(row["number"], row["source"]) for row in csv.DictReader(file)]
    both = [*known[0], *known[1]]
    distinct = {json.dumps(each): (each["name"], each["source"]) for each in both}
    assert sorted(rows) == sorted(distinct.values())
    assert len(known[0]) < len(rows) < len(both)


def test_of_runs_that_cost_the_same_to_the_cent_the_busiest_is_named(run, tmp_path, folder):
    busy = simulated(folder / "busy", LLM, "traffic.arrivals.rate=20 req/s")
    three = simulated(folder / "three", LLM, "fleet.replicas=3")
    content = json.loads((run / "summary.json").read_text())
    content["cost"]["usd_per_hour"] -= 1e-12
    (tmp_path / "small.json").write_text(json.dumps(content))
    texts = Page(page_of(tmp_path, tmp_path / "small.json", busy, three)).texts
    assert any(each.startswith("The cheapest of them: busy, $") for each in texts)


def test_runs_that_cost_the_same_are_not_drawn_by_cost(run, tmp_path, folder):
    other = simulated(folder / "later", LLM, "simulation.warmup=11 s", "traffic.duration=33 s")
    page = Page(page_of(tmp_path, run, other))
    assert "cost_latency" not in page.ids
    assert any(each.startswith("Each of them costs $") for each in page.texts)


@pytest.mark.parametrize(
    ("objectives", "said"),
    [
        ("ttft:p95<5s", "The objective is met"),
        ("ttft:p95<5s; tpot:p95<5s", "Both objectives are met"),
        ("ttft:p95<5s; tpot:p95<5s; e2e:p95<50s", "All 3 objectives met"),
    ],
)
def test_the_answer_counts_objectives_as_people_do(run, tmp_path, objectives, said):
    content = json.loads((run / "summary.json").read_text())
    (one,) = content["objectives"]
    content["objectives"] = [{**one, "objective": each} for each in objectives.split("; ")]
    (tmp_path / "run.json").write_text(json.dumps(content))
    assert planner("report", tmp_path / "run.json", "-o", tmp_path / "r.md").code == 0
    assert f"**✓ {said}**" in (tmp_path / "r.md").read_text()


def test_without_objectives_no_title_promises_them(tmp_path):
    run = simulated(tmp_path / "run", STAGES)
    texts = Page(page_of(tmp_path, run)).texts
    assert "Traffic and load" in texts
    assert "Objectives and cost" not in texts


def test_a_report_needs_somewhere_to_go(run, tmp_path):
    assert "must be told what to write" in refused(planner("report", run))
    ran = planner("report", run, "-o", tmp_path / "r.docx")
    assert "--output: must end in .html or .md, got 'r.docx'" in refused(ran)
    (tmp_path / "file").write_text("")
    ran = planner("report", run, "-o", tmp_path / "file" / "r.html")
    assert "--output: must be a file that can be written" in refused(ran)


def test_an_earlier_report_survives_one_that_fails(run, tmp_path, monkeypatch):
    (tmp_path / "r.html").write_text("earlier")

    def full(*_args, **_kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fdopen", full)
    ran = planner("report", run / "summary.json", "-o", tmp_path / "r.html")
    assert ran.code == 2
    assert (tmp_path / "r.html").read_text() == "earlier"
    assert [path.name for path in tmp_path.iterdir()] == ["r.html"]
