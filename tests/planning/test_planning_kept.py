"""The store of results: what was kept is found again, whatever happened to the file."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.errors import InputError
from planner.planning.kept import Kept, digest, files_digest


@pytest.fixture
def path(tmp_path):
    return tmp_path / "deep" / "cells.jsonl"


def test_what_was_kept_is_found_by_its_key(path):
    store = Kept(path)
    assert store.load() == {}
    store.keep("a", {"x": 1})
    store.keep("b", {"x": None})
    store.keep("a", {"x": 3})
    assert Kept(path).load() == {"a": {"x": 3}, "b": {"x": None}}


@pytest.mark.parametrize("cut", range(1, 30))
def test_a_line_that_a_crash_cut_off_costs_that_line_alone(path, cut):
    store = Kept(path)
    store.keep("a", {"x": 1})
    whole = path.read_bytes()
    store.keep("b", {"x": 2})
    path.write_bytes(whole + path.read_bytes()[len(whole) : len(whole) + cut])
    found = store.load()
    assert found["a"] == {"x": 1}
    store.keep("c", {"x": 3})
    assert store.load() == found | {"c": {"x": 3}}


@settings(deadline=None)
@given(rubbish=st.binary(max_size=100))
def test_rubbish_is_passed_over(rubbish, tmp_path_factory):
    path = tmp_path_factory.mktemp("store") / "cells.jsonl"
    path.write_bytes(rubbish)
    store = Kept(path)
    store.load()
    store.keep("a", 1)
    assert store.load()["a"] == 1


def test_a_folder_in_its_place_is_refused(tmp_path):
    store = Kept(tmp_path)
    with pytest.raises(InputError, match="choose another folder"):
        store.load()
    with pytest.raises(InputError, match="choose another folder"):
        store.keep("a", 1)


def test_a_key_tells_values_apart_and_not_their_order():
    assert digest({"a": 1, "b": [2, 3]}) == digest({"b": [2, 3], "a": 1})
    assert len({digest(1), digest("1"), digest(None), digest([1]), digest(1, 2)}) == 5


def test_files_count_by_what_they_hold(tmp_path):
    (tmp_path / "trace.csv").write_text("1")
    before = files_digest(["trace.csv", "llama", "", "a" * 9999, "no\0path"], tmp_path)
    assert list(before) == ["trace.csv"]
    (tmp_path / "trace.csv").write_text("2")
    assert files_digest(["trace.csv"], tmp_path) != before
