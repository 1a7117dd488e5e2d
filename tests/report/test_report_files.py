"""``--out``: whole or not at all, the same bytes, nobody's files overwritten."""

import csv
import errno
import gzip
import io
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from records_factory import make_records

from planner.errors import InputError
from planner.report import files
from planner.report.csv import CHUNK, COLUMNS, csv_chunks, decimals, integers
from planner.report.files import FILES, check_directory, write_run
from planner.results.context import RunContext
from planner.results.records import PARTS, WAITING
from planner.results.summary import summarise


def write(directory, records=None, **changes):
    records = [make_records(np.arange(30) / 4)] if records is None else records
    result = summarise(records, RunContext("planner simulate x", "0.1.0", {"name": "x"}, 3))
    write_run(
        directory, result, records, scenario_text="name: x\n", versions={"numpy": "2"}, **changes
    )


def rows(records):
    return list(csv.DictReader(io.StringIO(b"".join(csv_chunks(records)).decode(), newline="")))


def line(chars):
    return [bytes(row[row != 0]).decode() for row in chars]


@given(st.lists(st.integers(-(10**17), 10**17), min_size=1, max_size=20))
def test_integers_are_written_as_python_writes_them(values):
    assert line(integers(values)) == [str(value) for value in values]


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=20))
def test_decimals_are_within_half_a_nanosecond(values):
    for value, text in zip(values, line(decimals(np.array(values))), strict=True):
        assert len(text.split(".")[1]) == 9
        assert float(text) == pytest.approx(value, abs=6e-10)


def test_decimals_carry_and_leave_unknown_times_empty():
    assert line(decimals(np.array([0.9999999999, np.nan, 12.5]))) == [
        "1.000000000",
        "",
        "12.500000000",
    ]


def test_every_request_is_a_row_with_its_times_and_parts():
    records = make_records([1.0, 2.0], wait=[0.5, 0.0], status=[2, WAITING], prompt_tokens=[7, 8])
    first, second = rows([records])
    assert tuple(first) == COLUMNS
    assert (first["status"], second["status"]) == ("finished", "waiting")
    assert first["admitted_s"] == "1.500000000"
    assert second["first_token_s"] == ""
    assert first["prompt_tokens"] == "7"
    ttft = float(first["first_token_s"]) - float(first["arrival_s"])
    assert sum(float(first[f"ttft_{part}_s"]) for part in PARTS) == pytest.approx(ttft, abs=5e-9)
    e2e = float(first["finished_s"]) - float(first["arrival_s"])
    assert sum(float(first[f"e2e_{part}_s"]) for part in PARTS) == pytest.approx(e2e, abs=5e-9)


def test_replications_and_chunks_follow_each_other():
    records = make_records(np.arange(CHUNK + 5) / 100)
    got = rows([records, make_records([0.0])])
    assert [int(row["request"]) for row in got[:-1]] == list(range(CHUNK + 5))
    assert (got[-1]["replication"], got[-1]["request"]) == ("1", "0")


def test_requests_that_were_never_issued_are_no_rows():
    records = make_records(np.array([0.0, np.inf, np.nan]), window=(0, 1), status=WAITING)
    assert len(rows([records])) == 1


@pytest.mark.parametrize("name", ["a,b", 'say "hi"', "größe", "two\nlines"])
def test_class_names_survive_csv(name):
    records = make_records([0.0, 1.0], class_id=[0, 1], class_names=(name, "x"))
    assert [row["class"] for row in rows([records])] == [name, "x"]


def test_a_run_is_four_files_that_can_be_read(tmp_path):
    out = tmp_path / "deep" / "run"
    write(out)
    assert sorted(each.name for each in out.iterdir()) == sorted(FILES)
    assert json.loads((out / "summary.json").read_text())["seed"] == 3
    assert (out / "scenario.yaml").read_text() == "name: x\n"
    assert json.loads((out / "run.json").read_text()) == {
        "tool": "latency-planner",
        "tool_version": "0.1.0",
        "command": "planner simulate x",
        "seed": 3,
        "versions": {"numpy": "2"},
    }
    assert gzip.decompress((out / "requests.csv.gz").read_bytes()).count(b"\n") == 31
    assert [each.name for each in out.parent.iterdir()] == ["run"]


def test_the_same_run_gives_the_same_bytes(tmp_path):
    for name in ("a", "b"):
        write(tmp_path / name)
    for name in FILES:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_an_earlier_run_is_replaced_and_notes_beside_it_stay(tmp_path):
    write(tmp_path / "run")
    (tmp_path / "run" / "notes.txt").write_text("mine")
    write(tmp_path / "run", [make_records(np.arange(5))])
    assert gzip.decompress((tmp_path / "run/requests.csv.gz").read_bytes()).count(b"\n") == 6
    assert (tmp_path / "run" / "notes.txt").read_text() == "mine"


def test_an_empty_directory_is_used(tmp_path):
    write(tmp_path)
    assert (tmp_path / "run.json").exists()


@pytest.mark.parametrize("content", ["{}", "not json", '{"tool": "other"}', "[]"])
def test_a_foreign_directory_is_refused_and_kept_unless_forced(tmp_path, content):
    (tmp_path / "run.json").write_text(content)
    with pytest.raises(InputError, match=r"--out: must be a new or empty directory.*--force"):
        write(tmp_path)
    assert [each.name for each in tmp_path.iterdir()] == ["run.json"]
    write(tmp_path, force=True)
    assert len(list(tmp_path.iterdir())) == len(FILES)


def test_a_file_is_no_directory(tmp_path):
    (tmp_path / "x").write_text("")
    with pytest.raises(InputError, match="got the file"):
        check_directory(tmp_path / "x", force=True)
    with pytest.raises(InputError, match="--out"):
        write(tmp_path / "x" / "below")


def test_a_full_disk_leaves_the_earlier_run_and_nothing_else(tmp_path, monkeypatch):
    write(tmp_path / "run")
    before = {name: (tmp_path / "run" / name).read_bytes() for name in FILES}

    def full(_records):
        yield b"some,rows\n"
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files, "csv_chunks", full)
    for target in ("run", "new"):
        with pytest.raises(InputError, match="No space left on device; nothing was written"):
            write(tmp_path / target)
    assert {name: (tmp_path / "run" / name).read_bytes() for name in FILES} == before
    assert [each.name for each in tmp_path.iterdir()] == ["run"]
