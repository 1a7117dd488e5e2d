"""The store: nothing lost, nothing believed that was cut short."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from planner.errors import InputError
from planner.planning.store import Store

ROWS = {f"k{n}": {"key": f"k{n}", "candidate": f"c{n % 2}", "value": n / 3} for n in range(5)}


def test_evaluations_come_back(tmp_path):
    path = tmp_path / "deep" / "e.jsonl"
    store = Store(path)
    store.add(ROWS)
    store.close()
    again = Store(path)
    assert again.reused == 5
    assert again.known("c1") == {"k1": 1 / 3, "k3": 1.0}
    again.close()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(cut=st.integers(0, 400))
def test_a_file_cut_anywhere_gives_its_whole_lines_and_can_be_added_to(tmp_path, cut):
    path = tmp_path / "e.jsonl"
    path.unlink(missing_ok=True)
    store = Store(path)
    store.add(ROWS)
    store.close()
    content = path.read_bytes()[:cut]
    path.write_bytes(content)
    torn = Store(path)
    assert torn.reused >= content.count(b"\n")
    torn.add(ROWS)
    torn.close()
    whole = Store(path)
    assert whole.reused == len(ROWS)
    whole.close()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=100)
@given(content=st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_any_file_can_be_read(tmp_path, content):
    path = tmp_path / "any.jsonl"
    path.write_bytes(content)
    store = Store(path)
    store.add(ROWS)
    store.close()
    again = Store(path)
    again.close()
    assert again._keys >= ROWS.keys()


def test_without_resume_nothing_is_read_but_all_is_kept(tmp_path):
    path = tmp_path / "e.jsonl"
    path.write_text(json.dumps({"key": "old", "candidate": "c", "value": 1}) + "\n")
    store = Store(path, read=False)
    assert store.known("c") == {}
    store.add(ROWS)
    store.close()
    assert len(path.read_text().splitlines()) == 6


def test_a_folder_in_its_place_is_an_error_that_says_so(tmp_path):
    with pytest.raises(InputError, match=r"must be a file .*--out"):
        Store(tmp_path)
