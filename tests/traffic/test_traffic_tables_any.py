"""Any table in any dialect is read back; any bytes give requests or an InputError."""

import csv
import gzip
import io
import json
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.errors import InputError
from planner.traffic.columns import KNOWN
from planner.traffic.rates import read_rates
from planner.traffic.traces import read_trace

UNITS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}

requests = st.lists(
    st.tuples(st.floats(0, 9e7), st.integers(1, 10**8), st.integers(1, 10**8)),
    min_size=1,
    max_size=20,
)
# a bare carriage return outside quotes ends a line, and csv.writer does not quote it
notes = st.text(
    st.characters(codec="utf-8", exclude_characters="\0\r", exclude_categories=["Cs"]), max_size=8
)
names = st.tuples(*(st.sampled_from(KNOWN[role]) for role in KNOWN))


def read(data, reader=read_trace, **keys):
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "file").write_bytes(data)
        return reader(Path(folder), "file", **keys)


dialects = st.fixed_dictionaries(
    {
        "unit": st.sampled_from(list(UNITS)),
        "separator": st.sampled_from(",;\t|"),
        "line_end": st.sampled_from(["\n", "\r\n"]),
        "quoting": st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
        "encoding": st.sampled_from(["utf-8", "utf-8-sig"]),
        "pack": st.sampled_from([bytes, gzip.compress]),
        "decimal_comma": st.booleans(),
        "case": st.sampled_from([str, str.upper, str.title]),
    }
)


def written(rows, names, note, dialect):
    """Return the rows as the bytes of a file in a dialect."""
    text = io.StringIO()
    writer = csv.writer(
        text,
        delimiter=dialect["separator"],
        lineterminator=dialect["line_end"],
        quoting=dialect["quoting"],
    )
    arrival, prompt, output = map(dialect["case"], names)
    writer.writerow(["note", prompt, f"{arrival}_{dialect['unit']}", output])
    for at, in_tokens, out_tokens in rows:
        time = repr(at / UNITS[dialect["unit"]])
        if dialect["decimal_comma"] and dialect["separator"] != ",":
            time = time.replace(".", ",")
        writer.writerow([note, in_tokens, time, out_tokens])
    return dialect["pack"](text.getvalue().encode(dialect["encoding"]))


@given(rows=requests, names=names, note=notes, dialect=dialects)
def test_a_table_written_in_any_dialect_is_read_back(rows, names, note, dialect):
    trace = read(written(rows, names, note, dialect))
    expected = sorted(rows, key=lambda row: row[0])
    np.testing.assert_allclose(trace.arrival_s, [row[0] for row in expected], rtol=1e-12)
    if len({row[0] for row in rows}) == len(rows):
        assert trace.prompt_tokens.tolist() == [row[1] for row in expected]
        assert trace.output_tokens.tolist() == [row[2] for row in expected]


@given(rows=requests, names=names, note=notes)
def test_json_lines_are_read_back_exactly(rows, names, note):
    lines = [json.dumps({"note": note, **dict(zip(names, row, strict=True))}) for row in rows]
    trace = read("\n".join(lines).encode(), columns=None)
    scale = 1e-3 if names == ("timestamp", "input_length", "output_length") else 1.0
    expected = sorted(rows, key=lambda row: row[0] * scale)
    assert trace.arrival_s.tolist() == [row[0] * scale for row in expected]
    assert trace.prompt_tokens.tolist() == [row[1] for row in expected]
    assert trace.output_tokens.tolist() == [row[2] for row in expected]


cells = st.one_of(
    st.sampled_from(
        ["", "1", "0", "-1", "NaN", "inf", "1e999", "1_0", "2023-11-16 18:15:46", "1700000000", "x",
         "1,5", "1.5", "2023-99-99T00:00", "9" * 30, "true", '"', "null", "\uff11",
         "2023-11-16T18:15Z"]
    ),
    st.text(max_size=5),
)  # fmt: skip
ugly = st.builds(
    lambda head, rows, mark: "\n".join([head, *(mark.join(row) for row in rows)]).encode(
        "utf-8", "replace"
    ),
    st.sampled_from(["arrival_s,isl,osl", "t;isl;osl", "timestamp,input_length,output_length"]),
    st.lists(st.lists(cells, min_size=2, max_size=4), max_size=6),
    st.sampled_from([",", ";"]),
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=5,
)
ugly_json = st.lists(
    st.fixed_dictionaries(
        {}, optional={"t_s": json_values, "isl": json_values, "osl": json_values}
    ),
    min_size=1,
    max_size=5,
).map(lambda rows: "\n".join(map(json.dumps, rows)).encode())
anything = st.one_of(
    st.binary(max_size=200),
    st.binary(max_size=200).map(gzip.compress),
    st.binary(max_size=200).map(lambda data: b"\x1f\x8b\x08" + data),
    st.binary(max_size=60).map(lambda data: b"arrival_s,isl,osl\n0,1,1\n" + data),
    ugly,
    ugly_json,
)


@given(data=anything, need=st.sampled_from(["requests", "arrivals", "lengths"]))
def test_any_bytes_give_requests_or_an_input_error(data, need):
    try:
        trace = read(data, need=need)
    except InputError as error:
        assert all(problem.file == "file" for problem in error.problems)  # noqa: PT017
        return
    assert len(trace) >= 1
    if need != "lengths":
        assert np.isfinite(trace.arrival_s).all()
        assert (trace.arrival_s >= 0).all()
        assert (np.diff(trace.arrival_s) >= 0).all()
    if need != "arrivals":
        assert trace.prompt_tokens.min() >= 1
        assert trace.output_tokens.min() >= 1
    assert all(notice.count >= 0 for notice in trace.notices)


@given(defects=st.lists(st.sampled_from(["", "nan,1,1", "{},,1", "{},1,0", "{},0,1"]), max_size=9))
def test_every_row_is_kept_or_counted(defects):
    kinds = ["{},1,1", *(defect or "{},2,3" for defect in defects)]
    good = [row for row, kind in enumerate(kinds) if kind in {"{},1,1", "{},2,3"}]
    rows = [kind.format(row) for row, kind in enumerate(kinds)]
    trace = read("\n".join(["arrival_s,isl,osl", *rows]).encode())
    assert trace.arrival_s.tolist() == good
    assert sum(notice.count for notice in trace.notices) == len(rows) - len(good)


@given(
    data=st.one_of(
        st.binary(max_size=100).map(lambda data: b"t_s,rate_rps\n0,1\n" + data),
        st.binary(max_size=100),
        st.lists(st.tuples(cells, cells), max_size=5).map(
            lambda rows: "\n".join(["t_s,rate_rps", *map(",".join, rows)]).encode(
                "utf-8", "replace"
            )
        ),
    )
)
def test_any_bytes_give_rates_or_an_input_error(data):
    try:
        times, rates, _ = read(data, read_rates)
    except InputError:
        return
    assert times[0] == 0
    assert np.isfinite(times).all()
    assert (rates >= 0).all()


@given(rows=st.lists(st.tuples(st.floats(0, 1e6), st.floats(0, 1e6)), min_size=1, max_size=9))
def test_a_table_of_rates_is_read_back(rows):
    rows = sorted(rows, key=lambda row: row[0])
    data = "t_s,rate_rps\n" + "".join(f"{at!r},{rate!r}\n" for at, rate in rows)
    times, rates, notices = read(data.encode(), read_rates)
    assert times.tolist() == [at - rows[0][0] for at, _ in rows]
    assert rates.tolist() == [rate for _, rate in rows]
    assert len(notices) == (rows[0][0] != 0)


@pytest.mark.parametrize(
    ("text", "series", "message"),
    [
        (
            "t_s,rate\n0,1\n",
            None,
            "must have a column 'rate_rps', got t_s, rate; did you mean 'rat",
        ),
        ("t_s,rate_rps\n", None, "must hold rates, got only a header"),
        ("t_s,rate_rps\n0,-1\n", None, "file:2: must be a time and a rate >= 0, got '0' and '-1'"),
        ("t_s,rate_rps\n0,x\n1,y\n", None, "file:3: must be a time and a rate >= 0"),
        ("t_s,rate_rps,model\n0,1,a\n0,1,b\n", None, "must be given, since the file holds a, b"),
        ("t_s,rate_rps,model\n0,1,ab\n", "abc", "must be one of ab, got 'abc'; did you mean 'ab'"),
    ],
)
def test_a_table_of_rates_that_cannot_be_used(text, series, message):
    with pytest.raises(InputError) as error:
        read(text.encode(), read_rates, series=series)
    assert message in str(error.value)


def test_a_series_is_chosen_and_sorted():
    text = "model,t_s,rate_rps\na,0,1\nb,30,4\nb,10,3\n"
    times, rates, notices = read(text.encode(), read_rates, series="b")
    assert times.tolist() == [0, 20]
    assert rates.tolist() == [3, 4]
    assert [str(notice) for notice in notices] == [
        "1 rows of file out of order, sorted by time",
        "times of file shifted to begin at 0 instead of 10 s",
    ]
