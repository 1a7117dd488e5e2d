"""Progress shows on a terminal that waits, and leaves nothing anywhere else."""

import io
import json

from records_factory import make_records

from planner.report.json import dumps
from planner.report.progress import PATIENCE_S, progress
from planner.results.context import RunContext
from planner.results.summary import summarise


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


def test_json_ends_with_a_newline_and_keeps_letters_in_ascii():
    name = "größe \x1b[31m \x9b \u202e"
    result = summarise([make_records([0.0])], RunContext("planner", "0", {"name": name}, 1))
    assert dumps(result).endswith("}\n")
    assert dumps(result).replace("\n", "").isprintable()
    assert dumps(result).isascii()
    assert json.loads(dumps(result))["scenario"]["name"] == name
