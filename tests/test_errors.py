from __future__ import annotations

import pytest

from planner.errors import InputError, Notice, PlannerError, Problem, did_you_mean, shown


@pytest.mark.parametrize(
    ("problem", "text"),
    [
        (Problem("must be > 0, got 0"), "must be > 0, got 0"),
        (Problem("must be > 0", "fleet.replicas"), "fleet.replicas: must be > 0"),
        (Problem("must be > 0", "a", "x.yaml"), "x.yaml: a: must be > 0"),
        (Problem("must be > 0", "a", "x.yaml", 3), "x.yaml:3: a: must be > 0"),
        (Problem("must be > 0", "a", "x.yaml", 3, 7), "x.yaml:3:7: a: must be > 0"),
    ],
)
def test_a_problem_reads_file_line_column_key_message(problem, text):
    assert str(problem) == text


def test_an_input_error_carries_every_problem_one_per_line():
    problems = [Problem("one"), Problem("two", "b")]
    error = InputError(problems)
    assert error.problems == tuple(problems)
    assert str(error) == "one\nb: two"
    assert InputError("one").problems == InputError(Problem("one")).problems == (Problem("one"),)


def test_bad_input_exits_with_2_and_our_own_faults_with_1():
    assert (InputError("x").exit_code, PlannerError().exit_code) == (2, 1)


def test_a_notice_counts():
    assert str(Notice("rows left out", 1234)) == "1,234 rows left out"
    assert str(Notice("coefficients are assumed")) == "coefficients are assumed"


@pytest.mark.parametrize(
    ("word", "options", "answer"),
    [
        ("replica", ["replicas", "device"], "; did you mean 'replicas'?"),
        ("H100", ["H100-SXM-80GB", "A100"], "; did you mean 'H100-SXM-80GB' or 'A100'?"),
        ("TTFT", ["ttft"], "; did you mean 'ttft'?"),
        ("zebra", ["replicas"], ""),
        ("", ["replicas"], ""),
    ],
)
def test_near_names_are_offered(word, options, answer):
    assert did_you_mean(word, options) == answer


def test_long_values_are_cut_in_the_middle():
    assert shown("short") == "'short'"
    text = shown("a" * 500 + "b" * 500)
    assert len(text) <= 60
    assert text.startswith("'aaa")
    assert text.endswith("bbb'")
