"""Traces: the formats that are known, and every way in which a file can be wrong."""

import gzip
from pathlib import Path

import numpy as np
import pytest

from planner.errors import InputError
from planner.traffic.columns import Columns
from planner.traffic.traces import read_trace

TRACES = Path(__file__).parents[2] / "scenarios" / "traces"
PLAIN = "arrival_s,prompt_tokens,output_tokens\n"


@pytest.fixture
def read(tmp_path):
    """Write a text or bytes to a file and read it as a trace."""

    def read(content, columns=None, name="trace.csv", **keys):
        data = content if isinstance(content, bytes) else content.encode()
        (tmp_path / name).write_bytes(data)
        return read_trace(tmp_path, name, columns and Columns(**columns), **keys)

    return read


def rows(trace):
    columns = (trace.arrival_s, trace.prompt_tokens, trace.output_tokens)
    return list(zip(*(column.tolist() for column in columns), strict=True))


def notices(trace):
    return [str(notice) for notice in trace.notices]


# Known formats


def test_the_azure_conversation_hour():
    trace = read_trace(TRACES, "azure_2023_conv.csv.gz")
    assert len(trace) == 19_366
    assert trace.mean_rate() == pytest.approx(5.53, abs=0.005)
    gaps = np.diff(trace.arrival_s)
    assert gaps.std() / gaps.mean() == pytest.approx(1.09, abs=0.005)
    assert rows(trace)[:2] == [(0.0, 374, 44), (4.314579, 396, 109)]
    assert trace.notices == []


def test_every_shipped_trace_is_read():
    assert len(read_trace(TRACES, "azure_2023_code.csv.gz")) == 8819
    mooncake = read_trace(TRACES, "mooncake_fast25_conversation.csv.gz")
    assert len(mooncake) == 12_031
    assert "column prefix_hash_ids" in notices(mooncake)[0]


def test_the_original_azure_format(read):
    trace = read(
        "TIMESTAMP,ContextTokens,GeneratedTokens\n"
        "2023-11-16 18:15:46.6805900,374,44\n"
        "2023-11-16 18:15:50.9951690,396,109\n"
    )
    assert rows(trace) == [(0.0, 374, 44), (4.314579, 396, 109)]


@pytest.mark.parametrize(
    "later",
    [
        "2023-11-16T18:15:47.5Z",
        "2023-11-16T19:15:47.5+01:00",
        "20231116T181547.5",
        "2023-11-16 18:15:47.500",
    ],
)
def test_dates_in_any_iso_spelling(read, later):
    trace = read(f"timestamp,isl,osl\n2023-11-16T18:15:46Z,1,2\n{later},3,4\n")
    assert rows(trace) == [(0.0, 1, 2), (1.5, 3, 4)]


def test_the_original_mooncake_format_is_in_milliseconds(read):
    trace = read(
        '{"timestamp": 0, "input_length": 6758, "output_length": 500, "hash_ids": [0, 1]}\n'
        '{"timestamp": 3500, "input_length": 7322, "output_length": 490, "hash_ids": [0, 2]}\n',
        name="trace.jsonl",
    )
    assert rows(trace) == [(0.0, 6758, 500), (3.5, 7322, 490)]
    assert notices(trace) == ["column hash_ids of trace.jsonl is not used: no prefix is shared"]


def test_the_burstgpt_format(read):
    trace = read(
        "Timestamp,Session ID,Model,Request tokens,Response tokens,Total tokens,Log Type\n"
        "5,1,ChatGPT,472,18,490,Conversation log\n"
        "9000000,2,GPT-4,1087,0,1087,API log\n"
        "9000001,2,GPT-4,1087,230,1317,API log\n"
    )
    assert rows(trace) == [(5.0, 472, 18), (9000001.0, 1087, 230)]
    assert notices(trace) == [
        "1 rows of trace.csv with zero output tokens left out (first: line 3)"
    ]


@pytest.mark.parametrize(
    ("column", "seconds"),
    [
        ("arrival_s", 1500), ("arrival_ms", 1.5), ("Arrival Time (ms)", 1.5),
        ("timestamp_us", 0.0015),        ("time [ns]", 1.5e-6), ("t", 1500), ("sent-ms", 1.5),
    ],
)  # fmt: skip
def test_a_unit_in_the_name_counts(read, column, seconds):
    trace = read(f"{column},prompt_len,completion_tokens\n1500,1,2\n")
    assert trace.arrival_s[0] == pytest.approx(seconds, rel=1e-12)


def test_a_mapping_names_columns_and_the_unit(read):
    trace = read(
        "id,when,n_in,n_out\n7,250,10,20\n",
        {"arrival": "when", "prompt": "n_in", "output": "n_out", "unit": "ms"},
    )
    assert rows(trace) == [(0.25, 10, 20)]


def test_only_what_is_needed_is_read(read):
    lengths = read("prompt_tokens,output_tokens\n3,4\n", need="lengths")
    assert lengths.prompt_tokens.tolist() == [3]
    assert len(lengths) == 1
    arrivals = read("t_s,prompt_tokens\n1,x\n2,0\n", need="arrivals")
    assert arrivals.arrival_s.tolist() == [1.0, 2.0]


# Dialects


@pytest.mark.parametrize(
    "text",
    [
        "\ufeffarrival_s,prompt_tokens,output_tokens\n0.5,3,4\n1.5,5,6\n",
        "arrival_s;prompt_tokens;output_tokens\n0,5;3;4\n1,5;5;6\n",
        "arrival_s\tprompt_tokens\toutput_tokens\n0.5\t3\t4\n1.5\t5\t6\n",
        "arrival_s|prompt_tokens|output_tokens\n0.5|3|4\n1.5|5|6\n",
        "arrival_s,prompt_tokens,output_tokens\r\n0.5,3,4\r\n1.5,5,6\r\n",
        "arrival_s,prompt_tokens,output_tokens\r0.5,3,4\r1.5,5,6",
        '"arrival_s","prompt_tokens","output_tokens"\n"0.5","3","4"\n"1.5","5","6"\n',
        'note,arrival_s,prompt_tokens,output_tokens\n"a, b\nc",0.5,3,4\n"""q""",1.5,5,6\n',
        "\n\n  \narrival_s , prompt_tokens, output_tokens\n 0.5, 3.0 ,4e0\n\n1.5,5,6\n\n",
        (
            '{"arrival_s": 0.5, "prompt_tokens": 3, "output_tokens": 4}\n\n'
            '{"output_tokens": "6", "prompt_tokens": 5.0, "arrival_s": 1.5}'
        ),
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_every_dialect_gives_the_same_rows(read, text, packed):
    data = text.encode()
    trace = read(gzip.compress(data) if packed else data, name="anything")
    assert rows(trace) == [(0.5, 3, 4), (1.5, 5, 6)]
    assert trace.notices == []


# Left out or changed, and counted


def test_rows_without_a_value_are_counted(read):
    trace = read(PLAIN + "0,1,1\nNaN,1,1\n,1,1\n2,,1\n3,1,null\n4,1,1\n")
    assert rows(trace) == [(0.0, 1, 1), (4.0, 1, 1)]
    assert notices(trace) == [
        "2 rows of trace.csv with no arrival time left out (first: line 3)",
        "1 rows of trace.csv with no prompt tokens left out (first: line 5)",
        "1 rows of trace.csv with no output tokens left out (first: line 6)",
    ]


def test_missing_keys_and_nulls_of_json_are_counted(read):
    trace = read(
        '{"t_s": 0, "isl": 1, "osl": 1}\n{"t_s": 1, "isl": 1}\n{"t_s": null, "isl": 1, "osl": 2}\n'
        '{"t_s": NaN, "isl": 1, "osl": 2}\n'
    )
    assert len(trace) == 1
    assert notices(trace) == [
        "2 rows of trace.csv with no arrival time left out (first: line 3)",
        "1 rows of trace.csv with no output tokens left out (first: line 2)",
    ]


def test_rows_with_zero_tokens_are_counted_once(read):
    trace = read(PLAIN + "0,0,0\n1,5,0\n2,0,5\n3,5,5\n")
    assert rows(trace) == [(3.0, 5, 5)]
    assert notices(trace)[:2] == [
        "2 rows of trace.csv with zero prompt tokens left out (first: line 2)",
        "1 rows of trace.csv with zero output tokens left out (first: line 3)",
    ]


def test_unsorted_rows_are_sorted_and_counted(read):
    trace = read(PLAIN + "3,1,1\n1,2,2\n2,3,3\n2,4,4\n0,5,5\n")
    assert rows(trace) == [(0.0, 5, 5), (1.0, 2, 2), (2.0, 3, 3), (2.0, 4, 4), (3.0, 1, 1)]
    assert notices(trace) == ["2 rows of trace.csv out of order, sorted by arrival"]


def test_times_since_1970_begin_at_zero(read):
    trace = read(PLAIN + "1700000002.5,1,1\n1700000000,2,2\n")
    assert rows(trace) == [(0.0, 2, 2), (2.5, 1, 1)]


def test_a_late_beginning_is_pointed_out(read):
    trace = read(PLAIN + "3600,1,1\n3700,1,1\n")
    assert trace.arrival_s.tolist() == [3600.0, 3700.0]
    assert "comes after 3600 s" in notices(trace)[0]
    assert "window: [3600 s, ...]" in notices(trace)[0]


def test_seconds_that_look_like_milliseconds_are_pointed_out(read):
    text = "".join(f"{180 * i},10,10\n" for i in range(50))
    assert (
        "if they are milliseconds, write columns: {unit: ms}"
        in notices(read("timestamp,isl,osl\n" + text))[0]
    )
    assert notices(read("timestamp,isl,osl\n" + text, {"unit": "s"})) == []
    assert notices(read(PLAIN + text)) == []


def test_a_span_of_more_than_a_hundred_days_is_pointed_out(read):
    trace = read("timestamp,isl,osl\n0.5,1,1\n8640001,1,1\n")
    assert "taken as seconds: 100.0 days" in notices(trace)[0]


# Refused


REFUSED = {
    "empty": ("", "trace.csv: must hold requests, got an empty file"),
    "blank": (" \n\n", "trace.csv:2: must hold a header and rows, got only blank lines"),
    "header only": (PLAIN, "trace.csv: must hold requests, got only a header"),
    "no row left": (
        PLAIN + "1,2,0\n",
        "trace.csv: must hold requests, got none: 1 rows of trace.csv with zero output tokens",
    ),
    "missing column": (
        "arrival_s,promt_tokens,output_tokens\n1,2,3\n",
        ("trace.csv:1: must have a column for prompt such as 'prompt_tokens'; "
        "did you mean 'promt_tokens' or 'output_tokens'? Map it with columns: {prompt: ...}"),
    ),
    "missing columns, all at once": (
        "\na,b\n1,2\n",
        ("trace.csv:2: must have a column for arrival such as 'arrival_s'; it has 'a', 'b'. "
        "Map it with columns: {arrival: ...}\n"
        "trace.csv:2: must have a column for prompt"),
    ),
    "two columns for one": (
        "t,timestamp,isl,osl\n1,1,1,1\n",
        ("trace.csv:1: must have one column for arrival, got 't' and 'timestamp'; "
        "choose with columns: {arrival: ...}"),
    ),
    "duplicate column": (
        "arrival_s,prompt_tokens,output_tokens,arrival_s\n1,2,3,4\n",
        "trace.csv:1: must have each column name once, got 'arrival_s' in columns 1 and 4",
    ),
    "duplicate key": (
        '{"t_s": 1, "isl": 1, "osl": 1, "isl": 2}\n',
        "trace.csv:1: must have each column name once, got 'isl' in columns 2 and 4",
    ),
    "negative times": (
        PLAIN + "1,1,1\n-2,1,1\n-3,1,1\n",
        "trace.csv:3: must have times >= 0, got -2\ntrace.csv:4: must have times >= 0, got -3",
    ),
    "infinite time": (PLAIN + "inf,1,1\n", "trace.csv:2: must have finite times, got inf"),
    "huge number as time": (PLAIN + "9" * 400 + ",1,1\n", "trace.csv:2: must have finite times"),
    "text as time": (
        PLAIN + "0,1,1\nsoon,1,1\n",
        "trace.csv:3: must have a number or an ISO 8601 date as time, got 'soon'",
    ),
    "true as time": (
        '{"t_s": 1, "isl": 1, "osl": 1}\n{"t_s": true, "isl": 1, "osl": 1}\n',
        "trace.csv:2: must have a number or an ISO 8601 date as time, got True",
    ),
    "impossible date": (
        "t,isl,osl\n2023-11-16 00:00:00,1,1\n2023-13-45 00:00:00,1,1\n",
        "trace.csv:3: must have an ISO 8601 date as time, got '2023-13-45 00:00:00'",
    ),
    "epoch among relative": (
        PLAIN + "1,1,1\n2,1,1\n1700000000,1,1\n",
        ("trace.csv:4: must not mix clocks, got 1700000000 where line 2 on has "
        "times since the start"),
    ),
    "relative among epoch": (
        PLAIN + "1700000000,1,1\n2,1,1\n",
        "trace.csv:3: must not mix clocks, got 2 where line 2 on has times since an epoch",
    ),
    "date among numbers": (
        PLAIN + "1,1,1\n2023-11-16 18:15:46,1,1\n",
        ("trace.csv:3: must not mix clocks, got the date '2023-11-16 18:15:46' where line 2 on has "
        "numbers; split the file or convert one kind"),
    ),
    "number among dates": (
        PLAIN + "2023-11-16 18:15:46,1,1\n12,1,1\n",
        "trace.csv:3: must not mix clocks, got the number '12' where line 2 on has dates",
    ),
    "epoch in milliseconds": (
        PLAIN.replace("_s", "") + "1700000000000,1,1\n1700000000250,1,1\n",
        ("trace.csv:3: must have times in s, got 1700000000250, which looks like ms since 1970; "
        "write columns: {unit: ms}"),
    ),
    "beyond all clocks": (
        PLAIN + "1e25,1,1\n",
        "trace.csv:2: must have times in s, got 1e+25, which is beyond the year 5138",
    ),
    "fraction of a token": (
        PLAIN + "1,2.5,1\n",
        "trace.csv:2: must have a whole number of prompt tokens from 0 to 100,000,000, got '2.5'",
    ),
    "negative tokens": (PLAIN + "1,2,-1\n", "a whole number of output tokens from 0"),
    "infinite tokens": (PLAIN + "1,inf,1\n", "a whole number of prompt tokens from 0"),
    "huge tokens": (PLAIN + "1,99999999999999999999,1\n", "a whole number of prompt tokens"),
    "text as tokens": (PLAIN + "1,2,many\n", "trace.csv:2: must have a whole number of output"),
    "thousands separator": (
        "arrival_s;prompt_tokens;output_tokens\n1;1,234;1\n",
        "a whole number of prompt tokens from 0 to 100,000,000, got '1,234'",
    ),
    "too few cells": (PLAIN + "1,2\n", "trace.csv:2: must have 3 cells as the header has, got 2"),
    "too many cells": (PLAIN + "1,2,3\n1,5,2,3\n", "trace.csv:3: must have 3 cells as the header"),
    "open quote": (PLAIN + '1,2,"3\n', "must be CSV, got a malformed row"),
    "json array": ('[{"t": 1}]', "got a JSON array; try jq -c '.[]'"),
    "broken json": (
        '{"t_s": 1, "isl": 1, "osl": 1}\n{"t_s": 2\n',
        "trace.csv:2: must be one JSON object per line, got",
    ),
    "json number": ('{"t_s": 1, "isl": 1, "osl": 1}\n5\n', "trace.csv:2: must be one JSON object"),
    "deep json": ('{"a":' * 100_000, "trace.csv:1: must be one JSON object per line"),
    "long line": ("x" * 2**20 + "\n", "trace.csv:1: must have lines of less than 1,048,576"),
    "json of a load generator": (
        '{"a": ' + "1" * 2**20 + "}",
        "got a longer one; `planner import` reads the JSON of load generators",
    ),
    "binary": (PLAIN.encode() + b"1,2,3\n\x00\x01\n", "trace.csv:3: must be text, got a NUL byte"),
    "not utf-8": (PLAIN.encode() + b"1,2,3\n1,2,\xff\n", "trace.csv:3: must be UTF-8 text, got"),
    "utf-16": (PLAIN.encode("utf-16"), "plain or gzipped, got UTF-16 text"),
    "text in a list": ('{"t_s": [1], "isl": 1, "osl": 1}\n', "or an ISO 8601 date as time, got ["),
    "json with a huge number": (
        '{"t_s": 1, "isl": 1' + "0" * 400 + ', "osl": 1}\n',
        "trace.csv:1: must have a whole number of prompt tokens",
    ),
    "open quote in the header": ('"arrival_s,isl,osl\n', "must be CSV, got a malformed row"),
    "giant name of a column": ("x" * 200_000 + ",b\n1,2\n", "trace.csv:1: must be CSV, got a mal"),
    "spreadsheet": (b"PK\x03\x04...", "got a zip archive (or a spreadsheet)"),
    "parquet": (b"PAR1...", "got a Parquet file"),
    "gzip of nothing": (gzip.compress(b""), "trace.csv: must hold a header and rows"),
    "truncated gzip": (
        gzip.compress(PLAIN.encode() + b"1,2,3\n" * 9)[:-12],
        "must be a whole gzip archive, got a damaged one",
    ),
    "corrupt gzip": (
        gzip.compress(PLAIN.encode() * 99)[:20] + b"\xff" * 20,
        "must be a whole gzip archive, got a damaged one",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("content", "message"), REFUSED.values(), ids=REFUSED)
def test_a_file_that_cannot_be_used_says_where_and_why(read, content, message):
    with pytest.raises(InputError) as error:
        read(content)
    assert message in str(error.value)


def test_the_first_twenty_problems_come_at_once(read):
    with pytest.raises(InputError) as error:
        read(PLAIN + "x,y,z\n" * 50)
    assert len(error.value.problems) == 20
    assert str(error.value).count("trace.csv:2:") == 3


@pytest.mark.parametrize("packed", [False, True])
def test_a_gigantic_file_stops_at_the_limit(read, packed):
    data = PLAIN.encode() + b"1,2,3\n" * 200_000
    data = gzip.compress(data) if packed else data
    with pytest.raises(InputError, match=r"at most 1 MiB of text once unpacked.* max_size"):
        read(data, max_size=2.0**20)
    assert len(read(data, max_size=2.0**21)) == 200_000


def test_a_file_that_is_not_there_offers_its_neighbours(read, tmp_path):
    read(PLAIN + "1,2,3\n", name="azure_2023_conv.csv.gz")
    with pytest.raises(InputError, match=r"azure_2023.csv: must exist.*did you mean 'azure_2023_c"):
        read_trace(tmp_path, "azure_2023.csv")


def test_a_name_too_long_for_the_system_is_refused(tmp_path):
    with pytest.raises(InputError, match="must be a readable file, got File name too long"):
        read_trace(tmp_path, "x" * 300)


def test_folders_and_devices_are_refused(tmp_path):
    with pytest.raises(InputError, match="must be a file, got a folder"):
        read_trace(tmp_path, ".")
    with pytest.raises(InputError, match="must be a regular file, got a device"):
        read_trace(tmp_path, "/dev/zero")


def test_a_mapping_to_a_column_that_is_not_there_offers_near_names(read):
    with pytest.raises(
        InputError, match=r"'arival_s' that columns.arrival names; did you mean 'arr"
    ):
        read(PLAIN + "1,2,3\n", {"arrival": "arival_s"})


def test_lines_are_counted_through_quoted_line_ends(read):
    with pytest.raises(InputError, match=r"trace.csv:5: must have a whole number"):
        read('note,arrival_s,isl,osl\n"a\nb",1,1,1\n\nc,1,x,1\n')
