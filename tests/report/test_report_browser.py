"""Reports in a real browser: no errors, usable by keyboard, readable on a phone, accessible."""

import itertools
import json
import os
import shutil
from pathlib import Path

import pytest
from command_line import LLM, planner, sets
from report_examples import calibrated, compared, judged, points
from test_report_plan import plan

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

#: axe-core checks pages against WCAG; see axe.LICENSE beside it.
AXE = Path(__file__).parent / "data" / "axe.min.js"
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
BROWSER = next(filter(None, map(shutil.which, NAMES)), None)
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
UNFOLD = "for (const each of document.querySelectorAll('details')) each.open = true"
#: The words for each chart, for those who do not see it.
WORDS = """[...document.querySelectorAll("figure [role=img]")].map(each => {
  const ids = each.getAttribute("aria-labelledby").split(" ");
  return ids.map(id => document.getElementById(id).textContent);
})"""
#: Widths and schemes; both schemes and both widths are seen of every kind of page.
SCREENS = ((360, "light"), (1280, "dark"))

pytestmark = pytest.mark.skipif(
    BROWSER is None, reason="no Chromium on the PATH; apt-get install chromium"
)

#: Pages of results that take long to compute, made of examples as JSON has them.
EXAMPLES = {
    "plan": plan,
    "points": points,
    "validate": compared,
    "calibrate": calibrated,
    "quality": judged,
    "profile": lambda: calibrated()["profile"],
}
KINDS = ("simulate", "compare", "sweep", "capacity", *EXAMPLES)

CLASSES = """[
  {name: chat, arrivals: {kind: poisson, rate: 4 req/s}, objectives: "ttft:p90<1s",
   lengths: {kind: lognormal, prompt: {mean: 300, cv: 1}, output: {mean: 30, cv: 1}}},
  {name: label, arrivals: {kind: gamma, rate: 2 req/s, cv: 3}, objectives: "ttft:p95<1ms",
   lengths: {kind: fixed, prompt: 500, output: 9}}]"""


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as starting:
        started = starting.chromium.launch(executable_path=BROWSER, args=FLAGS)
        yield started
        started.close()


def simulated(folder, *changes):
    folder.with_suffix(".yaml").write_text(LLM)
    ran = planner("simulate", folder.with_suffix(".yaml"), "-q", "--out", folder, *sets(*changes))
    assert ran.code in {0, 3}, ran.err
    return folder


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """Return a page of each kind, by name."""
    home = tmp_path_factory.mktemp("pages")
    rates = [
        simulated(home / f"rate{k}", f"traffic.arrivals.rate={k} req/s", "traffic.duration=20 s")
        for k in (2, 20, 100)
    ]
    classes = simulated(
        home / "classes",
        "traffic={duration: 40 s, classes: " + " ".join(CLASSES.split()) + "}",
        "fleet.events=[{at: 20 s, kind: fail}, {at: 30 s, kind: join}]",
    )
    sweep = home / "sweep"
    vary = ["traffic.arrivals.rate=5,20,60,300", "fleet.replicas=1:2",
            "service.settings.kv_cache=bf16,fp8"]  # fmt: skip
    words = [word for each in vary for word in ("--vary", each)]
    short = sets("traffic.duration=10 s", "simulation.replications=1")
    ran = planner(
        "sweep", classes.with_suffix(".yaml"), *words, *short, "-q", "--jobs", "1", "--out", sweep
    )
    assert ran.code == 0, ran.err
    inputs = {"simulate": [classes], "compare": rates, "sweep": [sweep]}
    limit = planner("capacity", rates[0].with_suffix(".yaml"), *short, "-q", "--json")
    assert limit.code == 0, limit.err
    contents = {name: example() for name, example in EXAMPLES.items()}
    contents["capacity"] = json.loads(limit.out)
    contents["plan"] |= {key: contents["capacity"][key] for key in ("simulation", "loads")}
    for name, content in contents.items():
        inputs[name] = [home / f"{name}.json"]
        inputs[name][0].write_text(json.dumps(content))
    for name, runs in inputs.items():
        made = planner("report", *runs, "-o", home / f"{name}.html")
        assert made.code == 0, made.err
    return {name: home / f"{name}.html" for name in inputs}


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Return where screenshots are kept to be looked at."""
    folder = os.environ.get("PLANNER_SCREENSHOTS")
    return Path(folder) if folder else tmp_path_factory.mktemp("screenshots")


@pytest.fixture(params=KINDS)
def page_file(request, pages):
    return pages[request.param]


@pytest.fixture
def open_page(browser):
    """Return what opens a page and fails the test if the browser complains of anything."""
    contexts, complaints = [], []

    def opened(file, width=1280, scheme="light", **options):
        context = browser.new_context(
            viewport={"width": width, "height": 800}, color_scheme=scheme, **options
        )
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: complaints.append(request.url)
                if not request.url.startswith(("file:", "data:")) else None)  # fmt: skip
        page.goto(file.as_uri())
        return page

    yield opened
    for context in contexts:
        context.close()
    assert complaints == []


@pytest.mark.parametrize(("width", "scheme"), SCREENS)
def test_a_page_fits_the_screen_without_a_serious_barrier(
    open_page, page_file, width, scheme, pictures
):
    page = open_page(page_file, width, scheme, bypass_csp=True)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    file = pictures / f"{page_file.stem}-{scheme}-{width}.png"
    page.screenshot(path=file, full_page=True)
    assert file.stat().st_size > 10_000
    page.evaluate(UNFOLD)
    page.evaluate(AXE.read_text(encoding="utf-8"))
    found = page.evaluate("axe.run({resultTypes: ['violations'], elementRef: false})")
    assert len(found["passes"]) > 20
    serious = [
        (each["id"], [node["html"][:200] for node in each["nodes"]])
        for each in found["violations"]
        if each["impact"] in {"serious", "critical"}
    ]
    assert serious == []


def column(page, table, at):
    cells = page.locator(f"{table} tbody tr td:nth-child({at})").all_inner_texts()
    return [cell.split("\n")[0] for cell in cells]


def test_tables_are_sorted_with_the_mouse_and_with_keys(open_page, pages):
    page = open_page(pages["compare"])
    table = "#runs table"
    rates = page.locator(f"{table} th", has_text="req/s")
    rates.get_by_role("button").click()
    assert rates.get_attribute("aria-sort") == "ascending"
    rising = [float(each) for each in column(page, table, 6)]
    assert rising == sorted(rising)
    rates.get_by_role("button").focus()
    page.keyboard.press("Enter")
    assert rates.get_attribute("aria-sort") == "descending"
    assert [float(each) for each in column(page, table, 6)] == rising[::-1]
    names = page.locator(f"{table} th", has_text="run")
    names.get_by_role("button").press("Space")
    assert rates.get_attribute("aria-sort") is None
    assert column(page, table, 1) == ["rate2", "rate20", "rate100"]


def test_every_table_sorts_both_ways_and_every_chart_has_its_words(open_page, page_file):
    page = open_page(page_file)
    page.evaluate(UNFOLD)
    names = page.evaluate(WORDS)
    assert len(names) == page.locator("figure").count() >= 1
    assert all(len(each) > 5 for words in names for each in words)
    tables = page.locator("table:has(th button)")
    assert tables.count() >= 1
    for k in range(tables.count()):
        head = tables.nth(k).locator("th:has(button)").first
        rows = tables.nth(k).locator("tbody tr")
        before, order = rows.all_inner_texts(), []
        for way in ("ascending", "descending"):
            head.get_by_role("button").press("Enter")
            assert head.get_attribute("aria-sort") == way
            order.append(rows.all_inner_texts())
            assert sorted(order[-1]) == sorted(before)
        rising, falling = ([each.split("\t")[0] for each in texts] for texts in order)
        assert falling == rising[::-1]


def test_sliders_show_the_cell_at_their_position(open_page, pages):
    page = open_page(pages["sweep"])
    rows = page.locator("#cells tbody tr")
    table = [rows.nth(k).locator("td").all_inner_texts() for k in range(rows.count())]
    sliders = page.get_by_role("slider")
    assert sliders.count() == 3
    sliders.nth(0).focus()
    page.keyboard.press("End")
    sliders.nth(1).fill("0")
    sliders.nth(2).fill("1")
    assert sliders.nth(0).get_attribute("aria-valuetext") == "300"
    values = page.locator(".sliders output").all_inner_texts()
    (row,) = [row for row in table if row[:3] == values]
    shown = page.locator(".explorer .result").all_inner_texts()
    assert shown == [text.removeprefix("✗ ").removeprefix("✓ ") for text in row[3:]]
    drawing = page.locator(".line svg")
    before = drawing.get_attribute("aria-label")
    page.get_by_label("Drawn below").select_option(label="e2e")
    assert before.startswith("ttft by ")
    assert drawing.get_attribute("aria-label").startswith("e2e by ")


def test_sliders_are_drawn_anew_for_a_narrow_screen(open_page, pages):
    page = open_page(pages["sweep"], width=1280)
    wide = page.locator(".line svg").get_attribute("viewBox")
    page.set_viewport_size({"width": 360, "height": 800})
    page.wait_for_function(
        "before => document.querySelector('.line svg').getAttribute('viewBox') !== before", arg=wide
    )
    width = float(page.locator(".line svg").get_attribute("viewBox").split()[2])
    assert 280 <= width <= 360


@pytest.mark.parametrize(("factor", "ticks"), [(1.2, ["0"]), (10.0, ["10", "30", "100"])])
def test_sliders_have_a_logarithmic_axis_where_latencies_differ_by_ten_times(
    open_page, pages, tmp_path, factor, ticks
):
    content = json.loads((pages["sweep"].parent / "sweep" / "sweep.json").read_text())
    for k, cell in enumerate(content["cells"]):  # four cells for each of four rates
        value = 0.01 * factor ** (k // 4)
        cell["metrics"] = {"ttft_s": {"p95": {"value": value, "low": None, "high": None}}}
    (tmp_path / "sweep.json").write_text(json.dumps(content))
    assert planner("report", tmp_path / "sweep.json", "-o", tmp_path / "r.html").code == 0
    page = open_page(tmp_path / "r.html")
    assert page.locator(".line text.end").all_text_contents()[: len(ticks)] == ticks
    heights = [float(each.get_attribute("cy")) for each in page.locator(".line circle").all()]
    steps = [upper - lower for lower, upper in itertools.pairwise(heights)]
    even = max(steps) - min(steps) < 0.01
    assert even is (factor >= 10)


def test_a_page_is_read_without_scripts(open_page, pages):
    page = open_page(pages["simulate"], java_script_enabled=False)
    assert page.locator("table").count() > 3
    assert page.get_by_role("button").count() == 0


@pytest.mark.parametrize("kind", ["plan", "capacity"])
def test_a_fleet_is_shown_under_less_and_more_load(open_page, pages, kind):
    page = open_page(pages[kind])
    drawn = page.locator("#load figure")
    assert drawn.count() == 3
    said = drawn.first.inner_text()
    assert all(word in said for word in ("ttft p95", "ttft p99", "today", "saturation"))
    assert ("capacity, " in said) is (kind == "capacity")
    for name in ("ttft_distribution", "e2e_parts", "utilisation", "queue"):
        assert page.locator(f"#{name} svg").is_visible()
    assert page.locator("#fleet .cards", has_text="replicas, all the time").count() == 1
    wide = "[...document.querySelectorAll('.scroll')].filter(e => e.scrollWidth > e.clientWidth)"
    page.evaluate(UNFOLD)
    assert page.evaluate(f"{wide}.map(e => e.getAttribute('aria-label'))") == []


@pytest.mark.parametrize("kind", ["simulate", "capacity", "plan"])
def test_objectives_with_their_margins_are_read_on_a_phone_without_scrolling(
    open_page, pages, kind
):
    page = open_page(pages[kind], width=360)
    widths = page.locator(".scroll[aria-label^=Objectives]").evaluate_all(
        "all => all.map(each => [each.scrollWidth, each.clientWidth])"
    )
    assert widths
    assert all(needed <= there for needed, there in widths)


def test_paper_is_white_and_has_no_links_to_sections(open_page, pages):
    page = open_page(pages["simulate"], scheme="dark")
    page.emulate_media(media="print", color_scheme="dark")
    background = "getComputedStyle(document.body).backgroundColor"
    assert page.evaluate(background) == "rgb(255, 255, 255)"
    assert page.locator("nav").is_hidden()


def test_what_is_folded_is_printed_and_folded_again(open_page, pages):
    page = open_page(pages["simulate"])
    folded, opened = page.locator("details:not([open])"), page.locator("details[open]")
    before = folded.count()
    assert before >= 2
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert (folded.count(), opened.count()) == (0, before)
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert (folded.count(), opened.count()) == (before, 0)


def test_a_page_without_scripts_is_printed_whole(open_page, pages):
    page = open_page(pages["simulate"], java_script_enabled=False)
    source = page.locator("#sources details td").last
    assert not source.is_visible()
    page.emulate_media(media="print")
    assert source.is_visible()
