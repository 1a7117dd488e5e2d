"""Requests in plain tables become canonical rows, and those a table again."""

import csv
import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calibrate.importers.csv_rows import read_csv
from calibrate.importers.rows import COLUMNS
from planner.errors import InputError

DATA = Path(__file__).parent / "data"
HEAD = "arrival_s,prompt_tokens,output_tokens,ttft_ms,e2e_ms\n"


def read(folder, text, name="rows.csv"):
    (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_csv(folder, name)


def messages(imported):
    return {each.message: each.count for each in imported.notices}


def problem(folder, text):
    with pytest.raises(InputError) as caught:
        read(folder, text)
    return str(caught.value)


def test_a_real_run_is_read_with_its_tpot():
    rows = read_csv(DATA, "vllm_requests_rtx4090.csv").rows
    with (DATA / "vllm_requests_rtx4090.csv").open() as text:
        wanted = list(csv.DictReader(text))
    assert len(rows) == len(wanted) == 40
    assert rows.ok.all()
    np.testing.assert_allclose(rows.ttft_s, [float(each["ttft_ms"]) / 1e3 for each in wanted])
    np.testing.assert_allclose(
        rows.tpot_s, [float(each["tpot_ms"]) / 1e3 for each in wanted], rtol=1e-4
    )


def test_runs_stay_apart_and_keep_their_clocks():
    rows = read_csv(DATA, "vllm_cpu_requests_open.csv").rows
    assert rows.run_names == ("chat_30_r1", "long_30_r1")
    for name in rows.run_names:
        run = rows.of_run(name)
        assert len(run) == 20
        assert (np.diff(run.arrival_s) >= 0).all()
        assert run.arrival_s[0] < 5
    assert rows.of_run("chat_30_r1").arrival_s[0] == 0.140306, "sent, not scheduled"


def test_failed_requests_stay_as_rows_without_times(tmp_path):
    got = read(
        tmp_path,
        "arrival_s,prompt_tokens,output_tokens,ttft_s,e2e_s,error\n"
        "0,10,5,0.1,0.5,\n1,10,2,0.1,0.2,timeout\n2,10,,,,disconnected\n3,10,5,0.1,,\n",
    )
    assert got.rows.ok.tolist() == [True, False, False, False]
    assert got.rows.output_tokens.tolist() == [5, 0, 0, 0]
    assert np.isnan(got.rows.e2e_s[1:]).all()
    assert messages(got)["failed requests: not in any statistic"] == 2
    assert messages(got)["requests without e2e, taken as failed"] == 1


def test_e2e_follows_from_ttft_and_tpot(tmp_path):
    got = read(tmp_path, "arrival_s,isl,osl,ttft_ms,tpot_ms\n0,10,5,100,20\n1,10,1,100,\n")
    np.testing.assert_allclose(got.rows.e2e_s, [0.18, 0.1])
    assert any("the file has none" in each for each in messages(got))


def test_dates_and_epochs_start_with_each_run(tmp_path):
    for first, second in (("2026-01-01 00:00:10", "2026-01-02 00:00:10"), ("1.8e9", "1.9e9")):
        got = read(
            tmp_path,
            "run,sent,prompt_tokens,output_tokens,ttft_s,e2e_s\n"
            f"a,{first},1,1,.1,.1\nb,{second},1,1,.1,.1\n",
        )
        assert got.rows.arrival_s.tolist() == [0, 0]


def test_json_lines_are_a_table_too(tmp_path):
    line = '{"arrival_s": 1, "prompt_tokens": 7, "output_tokens": 2, "ttft_s": 0.1, "e2e_s": 0.3}\n'
    got = read(tmp_path, line * 2)
    assert got.rows.e2e_s.tolist() == [0.3, 0.3]


@pytest.mark.parametrize(
    ("text", "said"),
    {
        "no unit": ("arrival_s,isl,osl,ttft,e2e_s\n0,1,1,1,1\n", "rows.csv:1: must have the unit"),
        "no times": ("arrival_s,isl,osl\n0,1,1\n", "must have a column for e2e such as 'e2e_s'"),
        "no lengths": ("arrival_s,e2e_s\n0,1\n", "must have a column for prompt"),
        "two": ("isl,input_len,osl,e2e_s\n1,1,1,1\n", "must have one column for prompt"),
        "word": (HEAD + "0,10,5,fast,9\n", "rows.csv:2: must have a number as ttft, got 'fast'"),
        "negative": (HEAD + "0,10,5,-1,9\n", "rows.csv:2: must have ttft >= 0"),
        "infinite": (HEAD + "0,10,5,1,inf\n", "rows.csv:2: must have e2e >= 0 and at most"),
        "fraction": (HEAD + "0,10.5,5,1,9\n", "must have a whole number of prompt tokens"),
        "order": (HEAD + "0,10,5,100,9\n", "rows.csv:2: must have e2e >= ttft, got 0.009 s"),
        "arrival": (HEAD + "-1,10,5,1,9\n", "must have times >= 0"),
        "ok": ("isl,osl,e2e_s,ok\n1,1,1,perhaps\n", "rows.csv:2: must have true or false as ok"),
        "only a header": (HEAD, "rows.csv: must hold requests, got only a header"),
        "empty": ("", "rows.csv: must hold"),
        "latin": (HEAD.encode() + b"0,1,1,\xff,1\n", "rows.csv:2: must be UTF-8 text"),
    }.values(),
)
def test_bad_tables_are_refused_with_line_and_reason(tmp_path, text, said):
    assert said in problem(tmp_path, text)


def test_an_answer_that_ends_before_it_begins_by_a_rounding_error_is_taken(tmp_path):
    assert read(tmp_path, HEAD + "0,10,1,100.0004,100\n").rows.e2e_s.tolist() == [0.1000004]


times = st.floats(0, 1e6)
requests = st.lists(
    st.tuples(
        st.sampled_from(["a", "b", 'a "c", d']),
        st.none() | times,
        st.integers(1, 10**8),
        st.integers(1, 10**8),
        st.none() | times,
        times,
        st.booleans(),
    ),
    min_size=1,
    max_size=12,
)


def written(rows):
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    for run, arrival, prompt, output, ttft, more, ok in rows:
        e2e = (ttft or 0) + more
        writer.writerow([run, arrival, prompt, output, ttft, e2e, int(ok)])
    return text.getvalue()


@given(rows=requests)
def test_any_rows_come_back_from_their_own_csv(rows, tmp_path_factory):
    folder = tmp_path_factory.getbasetemp()
    first = read(folder, written(rows)).rows
    again = read(folder, "".join(first.csv_chunks())).rows
    assert len(first) == len(rows)
    assert int(first.ok.sum()) == sum(row[-1] for row in rows)
    assert again.run_names == tuple(dict.fromkeys(first.run_names[k] for k in first.run))
    for name in again.run_names:
        for column in COLUMNS[1:]:
            got, wanted = (getattr(each.of_run(name), column) for each in (again, first))
            np.testing.assert_allclose(got, wanted, atol=1e-9)


@given(content=st.binary(max_size=300) | st.text(max_size=300).map(lambda text: HEAD + text))
def test_any_bytes_give_rows_or_a_reason(content, tmp_path_factory):
    try:
        rows = read(tmp_path_factory.getbasetemp(), content).rows
    except InputError as error:
        assert str(error)  # noqa: PT017 - both outcomes are right
    else:
        assert (rows.e2e_s[rows.ok] >= 0).all()
        assert (rows.output_tokens[rows.ok] >= 1).all()
        assert not rows.output_tokens[~rows.ok].any()
