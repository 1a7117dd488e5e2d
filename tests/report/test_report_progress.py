"""Progress shows on a terminal that waits, and leaves nothing anywhere else."""

import io
import json
import re

import pytest
from records_factory import make_records

from planner.report.json import dumps
from planner.report.progress import PATIENCE_S, countdown, part, progress
from planner.results.context import RunContext
from planner.results.summary import summarise

#: A code that sets a colour of the foreground.
COLOUR = re.compile(r"\x1b\[(?:\d+;)*(?:3[0-7]|38|9[0-7])(?:;\d+)*m")


class Terminal(io.StringIO):
    def isatty(self):
        return True


def run(stream, seconds):
    """Report progress at the given seconds of a clock."""
    times = iter([0.0, *seconds])
    with progress("simulating", stream, clock=lambda: next(times)) as advance:
        for k in range(len(seconds)):
            advance((k + 1) / len(seconds))
    return stream.getvalue()


def test_a_pipe_sees_nothing():
    assert run(io.StringIO(), [10 * PATIENCE_S, 20 * PATIENCE_S]) == ""


def test_a_short_run_shows_nothing():
    assert run(Terminal(), [0.1, 0.5 * PATIENCE_S]) == ""


def test_a_long_run_shows_a_bar_that_vanishes(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "80")
    shown = run(Terminal(), [2 * PATIENCE_S])
    assert "simulating" in shown
    assert "\x1b[2K" in shown


@pytest.mark.parametrize(
    ("env", "coloured", "drawn"),
    [({}, True, True), ({"NO_COLOR": "1"}, False, True), ({"TERM": "dumb"}, False, False)],
)
def test_a_bar_has_colours_and_moves_where_the_terminal_wants_it(monkeypatch, env, coloured, drawn):
    monkeypatch.delenv("NO_COLOR", raising=False)
    for name, value in {"TERM": "xterm-256color", "COLUMNS": "80", **env}.items():
        monkeypatch.setenv(name, value)
    shown = run(Terminal(), [2 * PATIENCE_S, 4 * PATIENCE_S])
    assert bool(COLOUR.search(shown)) == coloured
    assert ("\x1b[2K" in shown) == drawn


def test_the_time_left_is_shown(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("NO_COLOR", "1")
    shown = run(Terminal(), [2 * PATIENCE_S, 4 * PATIENCE_S])
    assert re.search(r"simulating .*%.*(-:--:--|\d:\d\d:\d\d)", shown)


def test_a_part_of_the_work_moves_its_part_of_the_bar():
    told = []
    for share in (0.0, 0.5, 1.0):
        part(part(told.append, 0.5, 1.0), 0.0, 0.5)(share)
    assert told == [0.5, 0.625, 0.75]


def test_a_countdown_tells_how_long_the_rest_takes_by_what_is_done():
    times = iter([0.0, 0.0, 10.0, 90.0])
    line = countdown(4, clock=lambda: next(times))
    assert line("reference") == "reference, 1 of 4"
    assert line("bf16") == "bf16, 2 of 4, about 30 s left"
    assert line("int8") == "int8, 3 of 4, about 90 s left"


def test_json_ends_with_a_newline_and_keeps_letters_in_ascii():
    name = "größe \x1b[31m \x9b \u202e"
    result = summarise([make_records([0.0])], RunContext("planner", "0", {"name": name}, 1))
    assert dumps(result).endswith("}\n")
    assert dumps(result).replace("\n", "").isprintable()
    assert dumps(result).isascii()
    assert json.loads(dumps(result))["scenario"]["name"] == name
