"""The store of results: what was kept is found again, whatever happened to the file."""

import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.errors import InputError
from planner.planning import evaluation, runner
from planner.planning.kept import Kept, code_digest, digest, files_digest


@pytest.fixture
def path(tmp_path):
    return tmp_path / "deep" / "cells.jsonl"


def row(key, value=1):
    return {"key": key, "result": value}


def test_what_was_kept_is_there_again_in_its_order(path):
    store = Kept(path)
    assert list(store.rows()) == []
    store.add([row("a"), row("b", None)])
    store.add([row("a", 3)])
    assert list(Kept(path).rows()) == [row("a"), row("b", None), row("a", 3)]
    assert path.read_text().count("\n") == 3


@pytest.mark.parametrize("cut", range(1, 60))
def test_a_line_that_a_crash_cut_off_costs_that_line_alone(path, cut):
    store = Kept(path)
    store.add([row("a")])
    whole = path.read_bytes()
    store.add([row("b")])
    path.write_bytes(whole + path.read_bytes()[len(whole) : len(whole) + cut])
    found = list(store.rows())
    assert found[0] == row("a")
    store.add([row("c")])
    assert list(store.rows()) == [*found, row("c")]


@settings(deadline=None)
@given(rubbish=st.binary(max_size=100))
def test_rubbish_is_passed_over(rubbish, tmp_path_factory):
    path = tmp_path_factory.mktemp("store") / "cells.jsonl"
    path.write_bytes(rubbish)
    store = Kept(path)
    before = list(store.rows())
    store.add([row("a")])
    assert list(store.rows()) == [*before, row("a")]


def test_a_folder_in_its_place_is_refused(tmp_path):
    store = Kept(tmp_path)
    with pytest.raises(InputError, match="choose another folder with --out"):
        list(store.rows())
    with pytest.raises(InputError, match="choose another folder with --out"):
        store.add([row("a")])


@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_a_pipe_or_device_in_its_place_is_refused_and_not_waited_for(tmp_path, kind):
    path = tmp_path / "cells.jsonl"
    if kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("/dev/zero")
    store = Kept(path)
    with pytest.raises(InputError, match=r"must be a file of results .*, got: a device or pipe"):
        list(store.rows())
    with pytest.raises(InputError, match="got: a device or pipe"):
        store.add([row("a")])


def test_a_key_tells_values_apart_and_not_their_order():
    assert digest({"a": 1, "b": [2, 3]}) == digest({"b": [2, 3], "a": 1})
    assert len({digest(1), digest("1"), digest(None), digest([1]), digest(1, 2)}) == 5


def test_files_count_by_what_they_hold(tmp_path):
    (tmp_path / "trace.csv").write_text("1")
    before = files_digest(["trace.csv", "llama", "", "a" * 9999, "no\0path"], tmp_path)
    assert list(before) == ["trace.csv"]
    (tmp_path / "trace.csv").write_text("2")
    assert files_digest(["trace.csv"], tmp_path) != before


def test_another_text_of_the_program_is_another_key_unless_it_only_shows(tmp_path):
    def digest_of():
        code_digest.cache_clear()
        return code_digest(tmp_path)

    for name in ("planning", "results", "report", "cli"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.py").write_text("x = 1")
    before = digest_of()
    for name in ("report", "cli"):
        (tmp_path / name / "a.py").write_text("x = 2")
    assert digest_of() == before
    for name in ("planning", "results"):
        (tmp_path / name / "a.py").write_text("x = 2")
        changed = digest_of()
        assert changed != before
        before = changed


def test_what_another_text_of_the_program_evaluated_is_not_used(planned, tmp_path, monkeypatch):
    def run():
        runner._EVALUATORS.clear()
        return planned(store=tmp_path / "e.jsonl").method

    first = run()
    assert run()["evaluations"] == first["evaluations"]
    monkeypatch.setattr(evaluation, "code_digest", lambda: "another")
    assert run()["evaluations"] == 2 * first["evaluations"]
