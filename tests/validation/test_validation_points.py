"""Measured points: the table, what it is simulated as, and the errors."""

from __future__ import annotations

import gzip
import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from command_line import planner, refused
from hypothesis import given
from hypothesis import strategies as st

from planner.catalog.profile import load_profile
from planner.errors import InputError
from planner.validation.points.case import Case, case_of
from planner.validation.points.compare import Row, compare, errors_of
from planner.validation.points.deployment import UnsupportedError, family
from planner.validation.points.load import requests_of
from planner.validation.points.table import LOAD_TYPES, NUMBERS, TEXTS, read_points

ROW = {
    "id": "one",
    "dataset": "d",
    "model": "llama-3.1-8b",
    "catalogue_device": "H100-SXM-80GB",
    "tp": "1",
    "dtype": "fp8",
    "engine": "vLLM 0.10",
    "isl": "1000",
    "osl": "100",
    "load_type": "concurrency",
    "load": "8",
    "ttft_ms": "50",
    "tpot_ms": "8",
}


def table(folder, *rows, name="points.csv"):
    columns = [*TEXTS, *NUMBERS]
    lines = [",".join(columns)]
    lines += [",".join(str(row.get(column, "")) for column in columns) for row in rows]
    path = folder / name
    path.write_text("\n".join(lines) + "\n")
    return path


def point(folder, **changes):
    return read_points(table(folder, ROW | changes))[0]


def test_a_row_keeps_texts_and_numbers_and_nothing_where_there_is_none(tmp_path):
    found = point(tmp_path)
    assert (found.id, found.model, found.device) == ("one", "llama-3.1-8b", "H100-SXM-80GB")
    assert found.number("ttft_ms") == 50
    assert found.number("e2e_ms") is None


def test_a_gzipped_table_is_the_same_table(tmp_path):
    plain = table(tmp_path, ROW)
    packed = tmp_path / "packed.csv.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    assert repr(read_points(packed)) == repr(read_points(plain))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"load": "many"}, r"points.csv:2: load: must be a number >= 0 or empty, got 'many'"),
        ({"isl": "-1"}, r"points.csv:2: isl: must be a number"),
        ({"isl": "nan"}, r"points.csv:2: isl: must be a number"),
        ({"load_type": "concurency"}, r"did you mean 'concurrency'"),
    ],
)
def test_a_row_that_cannot_be_read_is_refused_with_its_line(tmp_path, changes, message):
    with pytest.raises(InputError, match=message):
        point(tmp_path, **changes)


def test_a_table_without_the_columns_is_refused(tmp_path):
    path = tmp_path / "other.csv"
    path.write_text("modell,engine,load_type,load\na,b,batch,1\n")
    with pytest.raises(InputError, match=r"none called 'model'.*did you mean 'modell'"):
        read_points(path)
    path.write_text("model,engine,load_type,load\n")
    with pytest.raises(InputError, match="at least one point"):
        read_points(path)


@given(text=st.text(max_size=200))
def test_any_text_is_a_table_or_an_input_error(tmp_path_factory, text):
    path = tmp_path_factory.mktemp("any") / "p.csv"
    path.write_bytes(b"model,engine,load_type,load\n" + text.encode("utf-8", "surrogatepass"))
    try:
        found = read_points(path)
    except InputError as error:
        assert "p.csv" in str(error)  # noqa: PT017 - either outcome is right
    else:
        assert all(each.texts["load_type"] in LOAD_TYPES for each in found)


@pytest.mark.parametrize(
    ("engine", "name"),
    [
        ("vLLM 0.6.3-dev ROCm", "vllm"),
        ("TensorRT-LLM+Triton", "trtllm"),
        ("trtllm", "trtllm"),
        ("SGLang v0.4.9", "sglang"),
        ("Deepspeed-MII", "deepspeed-mii"),
    ],
)
def test_engines_are_told_by_what_their_names_hold(engine, name):
    assert family(engine) == name


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"model": "nobody-9b"}, "a model that the catalogue does not have"),
        ({"catalogue_device": "abacus"}, "a device that the catalogue does not have"),
        ({"tp": ""}, "the source gives no tensor-parallel degree"),
        ({"isl": ""}, "the source gives no lengths"),
        ({"load": ""}, "the source gives no load"),
        ({"dp": "8", "ep": "8", "tp": "1"}, "data-parallel attention"),
        ({"kind": "serving_closed_loop_disagg"}, "prefill and decode on different devices"),
        ({"dtype": "UINT4"}, "weights of type UINT4"),
        ({"tp": "3"}, "a degree that does not divide the model"),
        ({"model": "llama-3.1-405b"}, "weights and KV cache do not fit the memory"),
        ({"isl": "140000"}, "prompts longer than the context"),
        ({"catalogue_device": "A100-SXM-80GB"}, "a data type that the device does not compute in"),
    ],
)
def test_what_cannot_be_simulated_says_why(tmp_path, changes, reason):
    with pytest.raises(UnsupportedError, match=f"^{reason}$"):
        case_of(point(tmp_path, **changes))


def test_a_closed_loop_begins_with_a_burst_and_keeps_its_clients(tmp_path):
    requests = case_of(point(tmp_path)).requests
    assert len(requests) == 80
    assert (requests.arrival_s[:8] == 0).all()
    assert np.isinf(requests.arrival_s[8:]).all()
    assert requests.closed[0].clients == 8


def test_lengths_are_those_of_the_benchmark(tmp_path):
    drawn = case_of(point(tmp_path, len_note="RANDOM_RANGE_RATIO 0.8")).requests.prompt_tokens
    assert drawn.min() >= 800
    assert drawn.max() <= 1000
    plain = case_of(point(tmp_path)).requests.prompt_tokens
    assert (plain.min() < 1000, plain.max() > 1000) == (True, True)
    batch = case_of(point(tmp_path, load_type="batch")).requests.prompt_tokens
    assert set(batch) == {1000}


def test_an_open_loop_arrives_at_its_rate_and_an_infinite_one_at_once(tmp_path):
    rate = requests_of(point(tmp_path, load_type="qps", load="4", n_requests="4000"), 10)
    assert rate.arrival_s[-1] == pytest.approx(1000, rel=0.1)
    burst = requests_of(point(tmp_path, load_type="qps", load="inf"), 1000)
    assert (len(burst), burst.arrival_s.max()) == (4000, 0.0)


def test_a_point_measured_as_it_is_predicted_has_no_error(tmp_path):
    first = case_of(point(tmp_path)).predict(load_profile("assumed"))
    measured = {f"{name}_ms": repr(1e3 * first[name]) for name in ("ttft", "tpot", "e2e")}
    rows = table(tmp_path, ROW | measured | {"tput_out_tok_s": first["throughput"]})
    outcome = compare(read_points(rows), lambda _: load_profile("assumed"))
    errors = outcome.errors()
    assert sorted(errors) == ["e2e", "throughput", "tpot", "ttft"]
    assert all(each.mape == pytest.approx(0, abs=1e-9) for each in errors.values())


def test_tokens_sent_together_delay_the_first_and_leave_the_last(tmp_path):
    changes = {
        "dataset": "aic_silicon_sample",
        "engine": "trtllm",
        "model": "llama-3.1-70b",
        "tp": "4",
        "isl": "1024",
        "osl": "1024",
    }
    together = case_of(point(tmp_path, **changes)).predict(load_profile("assumed"))
    alone = case_of(point(tmp_path, **changes | {"dataset": "d"})).predict(load_profile("assumed"))
    assert together["e2e"] == alone["e2e"]
    assert together["ttft"] == pytest.approx(alone["ttft"] + 19 * alone["tpot"])
    assert together["tpot"] < alone["tpot"]


INFERENCEX = {
    "dataset": "aic_silicon_sample",
    "model": "deepseek-v3",
    "catalogue_device": "H200-SXM-141GB",
    "tp": "8",
    "isl": "1024",
    "osl": "1024",
    "load": "64",
    "len_note": "InferenceX workflows set RANDOM_RANGE_RATIO 0.8",
}


def test_what_a_script_of_the_benchmark_sets_counts(tmp_path):
    row = INFERENCEX | {"engine": "trtllm"}
    script = case_of(point(tmp_path, **row)).deployment
    other = case_of(point(tmp_path, **row | {"len_note": ""})).deployment
    assert script.service.engine.max_num_batched_tokens == 1152  # 1024 + 64 + 64
    assert other.service.engine.max_num_batched_tokens == 8192
    assert script.service.settings.kv_cache == "fp8"
    assert other.service.settings.kv_cache == "bf16"
    assert script.pool.tokens == pytest.approx(other.pool.tokens * 2 * 0.75 / 0.9, rel=0.02)
    blackwell = INFERENCEX | {"engine": "sglang", "catalogue_device": "B200-SXM-180GB"}
    for load, every in (("8", 10), ("16", 30)):
        engine = case_of(point(tmp_path, **blackwell | {"load": load})).deployment.service.engine
        assert engine.scheduler.scheduler_recv_interval == every
        assert (engine.max_num_batched_tokens, engine.max_num_seqs) == (32768, 128)
    four = case_of(point(tmp_path, **blackwell | {"tp": "4", "load": "16"})).deployment
    assert four.service.engine.scheduler.scheduler_recv_interval == 10
    assert four.service.engine.max_num_batched_tokens == 8192
    plain = case_of(point(tmp_path, **blackwell | {"len_note": ""})).deployment
    assert plain.service.engine.scheduler.scheduler_recv_interval == 1
    whole = case_of(point(tmp_path, **INFERENCEX, engine="sglang")).deployment
    assert whole.service.engine.max_num_batched_tokens == 32768
    assert whole.service.settings.kv_cache == "bf16"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"isl": "8192"}, "data-parallel attention"),
        ({"isl": "8192", "load": "32"}, None),
        ({"isl": "1024"}, None),
        ({"isl": "8192", "measured_date": "2025-12-15"}, None),  # whose table has the degree
        ({"isl": "8192", "measured_date": ""}, None),
        ({"isl": "8192", "engine": "sglang"}, None),
        ({"isl": "8192", "len_note": ""}, None),
        ({"isl": "8192", "model": "llama-3.1-70b", "dtype": "fp8"}, None),
        ({"catalogue_device": "B200-SXM-180GB"}, "data-parallel attention"),
        ({"catalogue_device": "B200-SXM-180GB", "osl": "8192"}, None),
        ({"catalogue_device": "B200-SXM-180GB", "osl": "8192", "dtype": "fp4"}, None),
        (
            {"catalogue_device": "B200-SXM-180GB", "dtype": "fp4", "load": "256"},
            "data-parallel attention",
        ),
    ],
)
def test_attention_is_data_parallel_where_the_benchmarks_list_says_so(tmp_path, changes, reason):
    row = INFERENCEX | {"engine": "trtllm", "measured_date": "2025-11-02"} | changes
    assert refusal(tmp_path, row) == reason


B200 = {"catalogue_device": "B200-SXM-180GB"}
LATER = B200 | {"engine": "sglang", "measured_date": "2026-03-25"}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({}, "speculative decoding"),
        ({"measured_date": "2025-12-15"}, None),
        ({"measured_date": ""}, None),
        ({"model": "DeepSeek-V3"}, None),  # the same network, in runs without it
        ({"len_note": ""}, None),
        ({"engine": "sglang"}, None),
        (B200, "speculative decoding"),
        (B200 | {"tp": "64", "ep": "8"}, "speculative decoding"),
        (LATER, "speculative decoding"),
        (LATER | {"tp": "4", "dtype": "fp4"}, None),
        ({"dp": "8", "ep": "8"}, "speculative decoding"),
    ],
)
def test_runs_with_multi_token_prediction_are_told_by_name_and_day(tmp_path, changes, reason):
    named = {"catalogue_model": "deepseek-v3", "model": "DeepSeek-R1"}
    row = INFERENCEX | named | {"engine": "trtllm", "measured_date": "2026-01-14"} | changes
    assert refusal(tmp_path, row) == reason


def refusal(tmp_path, row):
    """Return why a row cannot be simulated, or None where it can."""
    try:
        case_of(point(tmp_path, **row))
    except UnsupportedError as error:
        return str(error)
    return None


def test_ten_tokens_sent_together_delay_the_first_by_nine(tmp_path):
    case = case_of(point(tmp_path, **INFERENCEX, engine="trtllm"))
    alone = Case(replace(case.point, texts=case.point.texts | {"len_note": ""}), *case_parts(case))
    together, one = (each.predict(load_profile("assumed")) for each in (case, alone))
    assert together["ttft"] == pytest.approx(one["ttft"] + 9 * one["tpot"])


def case_parts(case):
    return case.deployment, case.requests


def test_sglangs_share_of_the_memory_is_of_weights_and_cache_alone(tmp_path):
    parts = case_of(point(tmp_path, engine="sglang")).deployment.pool.breakdown
    assert (parts["activation"], parts["cuda_graphs"]) == (0, 0)
    assert parts["usable"] == 0.88 * parts["physical"]
    assert parts["kv_cache"] == parts["usable"] - parts["weights"] - parts["non_torch"]


def test_sglangs_benchmark_sends_a_thousand_requests_and_inferencex_ten_a_client(tmp_path):
    own = requests_of(point(tmp_path, engine="sglang", load="512"), 1)
    few = requests_of(point(tmp_path, engine="sglang", load="2000"), 1)
    theirs = requests_of(point(tmp_path, **INFERENCEX, engine="sglang"), 1)
    assert [len(each.arrival_s) for each in (own, few, theirs)] == [1000, 2000, 640]


def test_rows_that_repeat_inferencexs_are_read_as_those(tmp_path):
    row = {**INFERENCEX, "engine": "sglang", "model": "Qwen3.5-397B-A17B", "dtype": "bf16"}
    row |= {"catalogue_device": "B200-SXM-180GB"}
    own = case_of(point(tmp_path, **row))
    again = {"len_note": "nominal", "notes": "source_file=qwen3.5-397b-gap-analysis.csv"}
    repeated = case_of(point(tmp_path, **row | again))
    assert repeated.deployment == own.deployment
    assert own.deployment.service.settings.kv_cache == "bf16"  # fp8 with quantised weights only
    assert len(repeated.requests) == len(own.requests) == 640
    assert len(case_of(point(tmp_path, **row | {"len_note": "nominal"})).requests) == 1000


def test_degrees_multiplied_twice_are_read_once(tmp_path):
    base = {"model": "gpt-oss-120b", "dtype": "fp4", "engine": "trtllm"}
    twice = case_of(point(tmp_path, **base, tp="16", ep="4")).deployment
    assert twice == case_of(point(tmp_path, **base, tp="4", ep="4")).deployment


def test_every_row_is_predicted_or_counted_with_its_reason(tmp_path):
    rows = [ROW, ROW | {"model": "x"}, ROW | {"model": "y"}, ROW | {"tp": ""}]
    outcome = compare(read_points(table(tmp_path, *rows)))
    assert (outcome.points, outcome.predicted) == (4, 1)
    assert outcome.unsupported == {
        "a model that the catalogue does not have": 2,
        "the source gives no tensor-parallel degree": 1,
    }


def test_errors_are_those_computed_by_hand():
    rows = [Row("a", "ttft", 1.0, value, {}) for value in (0.5, 1.1, 1.3)]
    found = errors_of(rows)["ttft"]
    assert (found.n, found.median_ape) == (3, pytest.approx(0.3))
    assert found.mape == pytest.approx((0.5 + 0.1 + 0.3) / 3)
    assert found.bias == pytest.approx((-0.5 + 0.1 + 0.3) / 3)


def test_the_command_prints_the_contract_in_json(tmp_path):
    path = table(tmp_path, ROW, ROW | {"model": "x"})
    ran = planner("validate", path, "--json", "-q", "--by", "tp")
    assert (ran.code, ran.err) == (0, "")
    found = json.loads(ran.out)
    assert (found["points"], found["predicted"]) == (2, 1)
    assert found["unsupported"] == {"a model that the catalogue does not have": 1}
    assert set(found["metrics"]["ttft"]) == {"n", "mape", "median_ape", "bias"}
    assert found["by"] == {"1": found["metrics"]}
    assert math.isfinite(found["metrics"]["tpot"]["mape"])


def test_the_command_shows_groups_worst_rows_and_reasons(tmp_path):
    path = table(tmp_path, ROW, ROW | {"model": "x"})
    out = planner("validate", path, "-q", "--by", "device").out
    for text in ("2 points", "H100-SXM-80GB", "worst", "one", "the catalogue does not have"):
        assert text in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--by", "colour"], "--by must be one of"),
        (["--engine"], "--engine: must be left out with a table of points"),
        (["--profile", "nobody"], "must be a profile of the catalogue"),
    ],
)
def test_the_command_refuses_what_it_cannot_do(tmp_path, arguments, message):
    ran = planner("validate", table(tmp_path, ROW), "-q", *arguments)
    assert ran.code == 2
    assert message in ran.err


def test_the_shipped_table_is_read_whole():
    root = Path(__file__).parents[2]
    assert len(read_points(root / "bench" / "points" / "measured_points.csv.gz")) == 3794


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["points.csv", "--tolerance", "10%"], "--tolerance: must be left out with a table of"),
        (["points.csv", "--set", "a=1", "--seed", "2"], "--set, --seed: must be left out"),
        (["points.csv", "--engine", "--load", "30%"], "--engine, --load: must be left out"),
        (["points.csv", "--runs", "3", "--threads", "1"], "--runs, --threads: must be left out"),
        (["x.yaml", "--engine", "--by", "device"], "--by: must be left out with a scenario"),
        (["x.yaml", "--engine", "--profile", "assumed"], "--profile: must be left out"),
        (["x.yaml", "--engine", "--run", "a"], "--run: must be left out with an engine"),
        (["x.csv", "--scenario", "x.yaml", "--engine"], "--engine: must be left out with measured"),
        (["x.csv", "--scenario", "x.yaml", "--load", "0.5"], "--load: must be left out"),
    ],
)
def test_options_without_an_effect_are_refused(arguments, said):
    assert said in refused(planner("validate", *arguments))
