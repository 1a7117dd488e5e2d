"""The report reads well: a golden file for words and layout, and what must never be missing.

``UPDATE_GOLDEN=1 pytest tests/report`` writes the golden file anew.
"""

import doctest
import io
import os
import re
from pathlib import Path

import numpy as np
import pytest
from records_factory import make_records

from planner.errors import Notice
from planner.report import numbers
from planner.report.numbers import milliseconds, only_milliseconds
from planner.report.screen import render_screen, write_screen
from planner.report.text import screen_of_result
from planner.results.context import RunContext
from planner.results.records import FINISHED, WAITING
from planner.results.summary import summarise
from planner.scenario.objectives import parse_objectives

GOLDEN = Path(__file__).parents[1] / "golden" / "simulate.txt"


def render_text(found, **options):
    return render_screen(screen_of_result(found), **options)


def result(records=None, **changes):
    settings = {
        "command": "planner simulate chatbot.yaml",
        "tool_version": "0.1.0",
        "scenario": {},
        "seed": 1,
        "title": "chatbot",
        "served_by": "2 \N{MULTIPLICATION SIGN} H100-SXM-80GB · llama-3.1-8b · chunked",
        "profile": "assumed: efficiencies are assumed, not measured",
        "offered_per_s": 10.0,
        "saturation_per_s": 16.0,
        "price_per_replica_hour": 2.5,
        "traffic_random": False,
        "objectives": parse_objectives("ttft:p95<500ms; e2e:p99<=1s; goodput{ttft<2s}>=0.95"),
    }
    return summarise(
        [example() if records is None else records], RunContext(**{**settings, **changes})
    )


def example(**changes):
    k = np.arange(2000)
    even, other = (k * 0.6180339887) % 1, (k * 0.7548776662) % 1  # spread evenly over [0, 1)
    settings = {
        "wait": -0.05 * np.log(1 - even),
        "prefill": 0.05 + 0.02 * other,
        "decode": 0.6 + 0.8 * other,
        "output_tokens": np.where(k % 100 == 99, 1, 51),
        "blocks": 20,
        "gaps": [
            (block, 0, 0.012 + 0.0004 * (gap + block % 3), 10 + 50 // gap)
            for block in range(1, 21)
            for gap in range(1, 30)
        ],
        "notices": [Notice("rows with zero output tokens left out", 12)],
        "random": False,
    }
    return make_records(k / 10, **{**settings, **changes})


def test_the_report_is_the_golden_one():
    text = render_text(result())
    if os.environ.get("UPDATE_GOLDEN"):
        GOLDEN.write_text(text, encoding="utf-8")
    assert layout(text) == layout(GOLDEN.read_text(encoding="utf-8"))


def layout(text):
    """Return the words and the places of digits; their values are other tests' business."""
    return re.sub(r"\d", "0", text)


def test_the_examples_of_numbers_hold():
    assert doctest.testmod(numbers).attempted > 0
    assert doctest.testmod(numbers).failed == 0


@pytest.mark.parametrize("width", [20, 80, 100, 250])
def test_no_line_is_wider_than_the_screen(width):
    limit = min(max(width, 80), 100)
    assert max(len(line) for line in render_text(result(), width=width).splitlines()) <= limit


def test_it_fits_one_screen():
    assert len(render_text(result()).splitlines()) <= 45


def test_an_overload_says_so_instead_of_a_tail():
    text = render_text(result(offered_per_s=10.0, saturation_per_s=4.0))
    assert "no steady state: offered 10 req/s > saturation 4 req/s" in text
    assert "missed" in text
    assert " met " not in text
    assert "made of" not in text


def test_classes_are_named_before_their_objectives():
    records = example(class_id=np.arange(2000) % 2, class_names=("chat", "batch"))
    text = render_text(result(records, class_objectives={"batch": parse_objectives("e2e:p50<9s")}))
    assert "batch: e2e:p50<9s" in text


def test_an_unbounded_percentile_is_a_star_that_is_explained():
    status = np.where(np.arange(2000) < 1950, FINISHED, WAITING)
    text = render_text(result(example(status=status)))
    assert "*: cannot be bounded, or lies among 50 unfinished requests" in " ".join(text.split())


class Terminal(io.StringIO):
    """A stream that says whether it is a terminal."""

    def __init__(self, *, tty, encoding="utf-8"):
        super().__init__()
        self._tty, self._encoding = tty, encoding

    def isatty(self):
        return self._tty

    @property
    def encoding(self):
        return self._encoding


@pytest.mark.parametrize(
    ("tty", "no_color", "coloured"), [(True, "", True), (True, "1", False), (False, "", False)]
)
def test_colours_appear_on_a_terminal_unless_refused(monkeypatch, tty, no_color, coloured):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", no_color)
    monkeypatch.setenv("COLUMNS", "80")
    stream = Terminal(tty=tty)
    write_screen(screen_of_result(result()), stream)
    assert ("\x1b[" in stream.getvalue()) is coloured


def test_a_pipe_without_unicode_gets_plain_characters(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    stream = Terminal(tty=False, encoding="ascii")
    write_screen(screen_of_result(result()), stream)
    assert stream.getvalue().isascii()
    assert "2 x H100-SXM-80GB | llama-3.1-8b" in stream.getvalue()


def test_markup_in_a_name_is_text():
    assert "[red]x[/red]" in render_text(result(title="[red]x[/red]"))


def test_a_column_of_milliseconds_has_no_other_unit():
    assert only_milliseconds(148.91) == "148,910"
    assert milliseconds(148.91) == "149 s"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0.00"), (0.009994, "9.99"), (0.009996, "10.0"), (0.09996, "100"), (1.5, "1,500"),
        (99.9994, "99,999"), (99.9999, "100 s"), (12345.0, "12,345 s"), (None, "*"),
    ],
)  # fmt: skip
def test_milliseconds_keep_three_digits(seconds, text):
    assert milliseconds(seconds) == text
