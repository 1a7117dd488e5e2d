"""Files of strangers: what is no result is refused with its place, and takes bounded memory."""

import contextlib
import copy
import json
import os

import pytest
from command_line import LLM, planner, refused
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from report_examples import JSON_VALUES, paths_in

from planner.errors import InputError
from planner.report.charts.svg import svg_element
from planner.report.document import Chart
from planner.report.inputs import reading
from planner.report.inputs.reading import read_input
from planner.report.markdown import render_markdown
from planner.report.pages.choose import document_of

pytestmark = pytest.mark.usefixtures("bounded")


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """Return the file of a result."""
    home = tmp_path_factory.mktemp("run")
    (home / "s.yaml").write_text(LLM)
    assert planner("simulate", home / "s.yaml", "-q", "--out", home / "run").code == 0
    return home / "run" / "summary.json"


@pytest.fixture
def summary(stored):
    """Return a result as JSON values."""
    return json.loads(stored.read_text())


@pytest.fixture
def said(tmp_path):
    """Return what a report says of a file with some content."""

    def write(content):
        path = tmp_path / "x.json"
        path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
        return refused(planner("report", path, "-o", tmp_path / "r.html"))

    return write


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "must be JSON that a command printed"),
        (b"\x80\x81\xff", "must be JSON in UTF-8"),
        (b"[1, 2]", "must be a JSON object, got list"),
        (b"{}", "must be a result of one of: simulate"),
        (b'{"a": NaN}', "numbers must be finite, got NaN"),
        (b"[" * 100_000, "must be JSON that a command printed, got one nested too deep"),
        (b'{"a":' * 100_000, "must be JSON that a command printed, got one nested too deep"),
        (b'{"a": ' + b"9" * 10_000 + b"}", "must be JSON that a command printed"),
    ],
    ids=["empty", "bytes", "list", "nothing", "NaN", "lists", "objects", "digits"],
)
def test_what_is_no_result_is_refused(said, content, words):
    assert words in said(content)


def broken(summary, *path, value):
    """Return a copy of `summary` with another value at `path`."""
    copied = copy.deepcopy(summary)
    at = copied
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = value
    return copied


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        (("schema_version",), 2, "schema_version: must be as a command writes it: input should"),
        (("metrics", "ttft_s", "p95", "value"), "fast", "metrics.ttft_s.p95.value: must be"),
        (("metrics", "ttft_s", "p95", "value"), -1, "greater than or equal to 0"),
        (("metrics", "ttft_s", "p95", "value"), 1e300, "less than or equal to"),
        (("timeline", "waiting"), [1, 2], "waiting must have 201 numbers as time_s has, got 2"),
        (("timeline", "changes"), [{"at_s": 1, "kind": "explode", "replicas_up": 1}], "'order'"),
        (("distributions", "shares"), [1.0], "less than 1"),
        (("requests",), ["arrived"], "requests: must be as a command writes it"),
        (("command",), "x" * 20_001, "command: must be as a command writes it: string should have"),
        (("notices",), [{"message": "m"}] * 20_001, "notices: must be as a command writes it"),
        (("steady",), None, "steady: must be as a command writes it"),
    ],
    ids=lambda each: str(each)[:20],
)  # fmt: skip
def test_each_key_is_checked(said, summary, path, value, words):
    assert words in said(broken(summary, *path, value=value))


def test_problems_are_listed_up_to_a_limit(said, summary):
    lines = said(broken(summary, "notices", value=[{}] * 500)).strip().splitlines()
    assert len(lines) == reading.MOST_PROBLEMS
    assert all("x.json: notices." in line for line in lines)


def test_only_plain_files_are_read(tmp_path):
    os.mkfifo(tmp_path / "pipe.json")
    for path, words in [
        (tmp_path / "pipe.json", "must be a plain file"),
        ("/dev/zero", "must be a plain file"),
        (tmp_path / "none.json", "No such file"),
        (tmp_path, "it has no summary.json or"),
    ]:
        assert words in refused(planner("report", path, "-o", tmp_path / "r.html"))


def test_a_folder_does_not_lead_elsewhere(tmp_path, summary):
    (tmp_path / "secret.json").write_text(json.dumps(summary))
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "summary.json").symlink_to(tmp_path / "secret.json")
    said = refused(planner("report", tmp_path / "run", "-o", tmp_path / "r.html"))
    assert "it is a symbolic link" in said


def test_a_file_too_large_is_not_read_whole(tmp_path, monkeypatch):
    monkeypatch.setattr(reading, "MOST_BYTES", 1_000_000)
    with (tmp_path / "big.json").open("wb") as file:
        file.truncate(2**40)
    said = refused(planner("report", tmp_path / "big.json", "-o", tmp_path / "r.html"))
    assert "must be at most 1 MB, got more" in said


def test_a_version_that_is_no_word_is_shown_as_it_is(tmp_path, summary):
    content = broken(summary, "provenance", "profile", "engine_version", value=[])
    (tmp_path / "x.json").write_text(json.dumps(content))
    said = render_markdown(document_of([tmp_path / "x.json"]))
    assert "version []" in said.replace("\\", "")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_any_damage_is_refused_or_shown(tmp_path, stored, data):
    summary = json.loads(stored.read_text())
    small = broken(summary, "provenance", "numbers", value=summary["provenance"]["numbers"][:2])
    for key, column in small["timeline"].items():
        if isinstance(column, list):
            small["timeline"][key] = column[:3]
    paths = [path for path in paths_in(small) if path]
    content = broken(small, *data.draw(st.sampled_from(paths)), value=data.draw(JSON_VALUES))
    (tmp_path / "x.json").write_text(json.dumps(content))
    with contextlib.suppress(InputError):
        assert render_markdown(document_of([tmp_path / "x.json"]))


@given(st.binary(max_size=200) | JSON_VALUES.map(lambda value: json.dumps(value).encode()))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_any_bytes_are_refused(tmp_path, data):
    (tmp_path / "x.json").write_bytes(data)
    with pytest.raises(InputError, match=r"x\.json"):
        read_input(tmp_path / "x.json")


@pytest.mark.parametrize(
    "damage",
    [
        {"distributions": {"ttft_s": 0.0}},
        {"distributions": {"e2e_s": 1e15}},
        {"distributions": {"tpot_s": 1e-300}},
        {"timeline": {"waiting": 1e15}},
        {"timeline": {"busy": None}},
        {"timeline": {"time_s": 0.0}},
        {"timeline": {"replicas_up": 0}},
    ],
    ids=str,
)
def test_extreme_numbers_are_drawn(tmp_path, summary, damage):
    content = copy.deepcopy(summary)
    for part, columns in damage.items():
        for name, value in columns.items():
            content[part][name] = [value] * len(content[part][name])
    (tmp_path / "x.json").write_text(json.dumps(content))
    charts = [b for b in document_of([tmp_path / "x.json"]).blocks() if isinstance(b, Chart)]
    for chart in charts:
        if chart.name.startswith(("ttft_d", "e2e_d", "tpot_d", "queue", "util", "repl")):
            assert svg_element(chart).endswith("</svg>")
