"""The store: nothing lost, nothing believed that was cut short."""

import json
import os

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from planner.errors import InputError
from planner.planning.store import Store, cache_folder, cached

ROWS = {f"k{n}": {"key": f"k{n}", "candidate": f"c{n % 2}", "value": (n + 1) / 3} for n in range(5)}

PACKED = {
    "tallies": [
        {
            "bad": [1.0, None],
            "total": [20.0, 30.0],
            "allowed": 0.05,
            "mean": False,
            "edge": [[1.0] * 64, [20.0] * 64],
        }
    ],
    "values": [None],
    "output_tokens_per_s": 10.0,
    "kv_cache": 0.5,
    "preemptions": 0.0,
}


def test_evaluations_come_back(tmp_path):
    path = tmp_path / "deep" / "e.jsonl"
    store = Store(path)
    store.add(ROWS)
    again = Store(path)
    assert again.reused == 5
    assert again.known("c1") == {"k1": 2 / 3, "k3": 4 / 3}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(cut=st.integers(0, 400))
def test_a_file_cut_anywhere_gives_its_whole_lines_and_can_be_added_to(tmp_path, cut):
    path = tmp_path / "e.jsonl"
    path.unlink(missing_ok=True)
    store = Store(path)
    store.add(ROWS)
    content = path.read_bytes()[:cut]
    path.write_bytes(content)
    torn = Store(path)
    assert torn.reused >= content.count(b"\n")
    torn.add(ROWS)
    whole = Store(path)
    assert whole.reused == len(ROWS)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=100)
@given(content=st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_any_file_can_be_read(tmp_path, content):
    path = tmp_path / "any.jsonl"
    path.write_bytes(content)
    store = Store(path)
    store.add(ROWS)
    again = Store(path)
    assert again._keys >= ROWS.keys()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
@given(data=st.data(), byte=st.integers(0, 255))
def test_a_line_that_is_damaged_anywhere_is_passed_over_and_kept_anew(tmp_path, data, byte):
    path = tmp_path / "e.jsonl"
    path.unlink(missing_ok=True)
    good = {"key": "k", "candidate": "c", "value": PACKED}
    Store(path).add({"k": good})
    content = bytearray(path.read_bytes())
    place = data.draw(st.integers(0, len(content) - 1))
    assume(content[place] != byte)
    content[place] = byte
    path.write_bytes(content)
    store = Store(path)
    assert store.known("c") in ({}, {"k": PACKED})  # the end of the line is none of it
    assert store.known("c") == {} or place == len(content) - 1
    store.add({"k": good})
    assert Store(path).known("c") == {"k": PACKED}


def test_a_line_without_its_digest_is_not_believed(tmp_path):
    path = tmp_path / "e.jsonl"
    path.write_text(json.dumps({"key": "k", "candidate": "c", "value": PACKED}) + "\n")
    assert Store(path).known("c") == {}


def test_an_empty_cache_variable_is_none(monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    assert cache_folder().is_absolute()


def test_without_resume_nothing_is_read_but_all_is_kept(tmp_path):
    path = tmp_path / "e.jsonl"
    path.write_text(json.dumps({"key": "old", "candidate": "c", "value": 1}) + "\n")
    store = Store(path, read=False)
    assert store.known("c") == {}
    store.add(ROWS)
    assert len(path.read_text().splitlines()) == 6


def test_a_folder_in_its_place_is_an_error_that_says_so(tmp_path):
    with pytest.raises(InputError, match=r"must be a file .*--out"):
        Store(tmp_path)


@pytest.fixture
def folder():
    """Return the cache with files a, b, c of 100 bytes each, last used 3, 2 and 1 hours ago."""
    found = cache_folder()
    found.mkdir(parents=True)
    for hours, name in ((3, "a"), (2, "b"), (1, "c")):
        path = found / f"evaluations-{name}.jsonl"
        path.write_text("x" * 100)
        used = path.stat().st_mtime - 3600 * hours
        os.utime(path, (used, used))
    (found / "other.txt").write_text("not ours")
    return found


def left(folder):
    return sorted(each.stem.removeprefix("evaluations-") for each in folder.glob("*.jsonl"))


@pytest.mark.parametrize(
    ("limits", "names"),
    [
        ({}, ["a", "b", "c"]),
        ({"most_bytes": 300}, ["a", "b", "c"]),
        ({"most_bytes": 299}, ["b", "c"]),
        ({"most_bytes": 150}, ["c"]),
        ({"most_bytes": 99}, []),
        ({"most_age_s": 2.5 * 3600}, ["b", "c"]),
        ({"most_age_s": 0.5 * 3600}, []),
    ],
)
def test_what_was_used_longest_ago_is_dropped_whole_from_the_cache(folder, limits, names):
    cached("d", **limits)
    assert left(folder) == names
    assert (folder / "other.txt").exists()


def test_what_is_used_again_is_no_longer_the_oldest(folder):
    assert cached("a", most_bytes=200) == folder / "evaluations-a.jsonl"
    assert left(folder) == ["a", "c"]


def test_traffic_has_a_file_of_its_own_and_an_early_file_of_all_is_dropped_with_time(folder):
    early = folder / "evaluations.jsonl"
    early.write_text("x" * 100)
    os.utime(early, (0, 0))
    assert cached("0123456789abcdef0123") == folder / "evaluations-0123456789abcdef.jsonl"
    assert not early.exists()


def test_a_search_makes_room_in_the_cache_and_uses_its_file_again(planned, folder):
    old = folder / "evaluations-old.jsonl"
    old.write_text("x")
    os.utime(old, (0, 0))
    first, again = planned(store=None), planned(store=None)
    assert not old.exists()
    assert len(left(folder)) == 4
    assert first.method["evaluations_reused"] == 0
    assert again.method["evaluations_reused"] == first.method["evaluations"]
