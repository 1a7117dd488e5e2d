"""Results of load generators: units and definitions, what is left out, and what is refused."""

import copy
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calibrate.importers.recognise import read_measured
from planner.errors import InputError

DATA = Path(__file__).parent / "data" / "loadgen"
VLLM = json.loads((DATA / "vllm_bench_serve.json").read_text())
GUIDELLM = json.loads((DATA / "guidellm.json").read_text())
AIPERF = list(map(json.loads, (DATA / "aiperf_profile_export.jsonl").read_text().splitlines()))
AIPERF_SUMMARY = json.loads((DATA / "profile_export_aiperf.json").read_text())
INFERENCE_PERF = json.loads(
    (DATA / "inference_perf_per_request_lifecycle_metrics.json").read_text()
)
INFERENCE_PERF_SUMMARY = json.loads(
    (DATA / "inference_perf_stage_0_lifecycle_metrics.json").read_text()
)


def imported(folder, *documents):
    (folder / "file").write_text("\n".join(json.dumps(each) for each in documents))
    return read_measured("file", folder)


def refusal(folder, *documents):
    with pytest.raises(InputError) as caught:
        imported(folder, *documents)
    return str(caught.value)


def messages(found):
    return {each.message: each.count for each in found.notices}


# --- vllm bench serve


def test_vllm_arrays_are_seconds_and_agree_with_its_own_milliseconds():
    found = read_measured("vllm_bench_serve.json", DATA)
    (run,) = found.runs
    for ours, theirs in {"ttft_s": "ttft", "tpot_s": "tpot", "e2e_s": "e2el"}.items():
        for mine, name in {"mean": "mean", "p50": "median", "p95": "p95", "std": "std"}.items():
            assert run.metrics[ours][mine] * 1e3 == pytest.approx(VLLM[f"{name}_{theirs}_ms"])
    np.testing.assert_allclose(found.rows.e2e_s, VLLM["latencies"])
    np.testing.assert_allclose(np.diff(found.rows.arrival_s), np.diff(VLLM["start_times"]))
    assert found.rows.arrival_s[0] == 0
    assert run.settings["request_rate"] == 2


def test_vllm_results_without_arrays_become_statistics_in_seconds(tmp_path):
    lists = {"ttfts", "itls", "input_lens", "output_lens", "generated_texts", "errors"}
    plain = {key: value for key, value in VLLM.items() if key not in lists}
    second = plain | {"request_rate": "inf", "max_concurrency": 8, "mean_ttft_ms": 100.0}
    found = imported(tmp_path, plain, second)
    assert found.rows is None
    assert [each.name for each in found.runs] == ["rate 2.0", "rate inf, concurrency 8"]
    assert found.runs[1].metrics["ttft_s"]["mean"] == 0.1
    assert found.runs[0].metrics["itl_s"]["p99"] == pytest.approx(VLLM["p99_itl_ms"] / 1e3)
    assert found.runs[0].metrics["output_tokens"]["mean"] == 16
    assert found.runs[0].counts == {"measured": 10, "failed": 0}


@pytest.mark.parametrize("value", [float("inf"), float("-inf"), float("nan")])
def test_a_setting_that_json_has_no_number_for_is_left_out(tmp_path, value):
    (run,) = imported(tmp_path, VLLM | {"burstiness": value}).runs
    assert "burstiness" in imported(tmp_path, VLLM).runs[0].settings
    assert "burstiness" not in run.settings


def test_appended_results_are_runs_of_their_own(tmp_path):
    plain = {key: value for key, value in VLLM.items() if key != "ttfts"}
    found = imported(tmp_path, VLLM, VLLM | {"label": "again"}, VLLM, plain)
    assert found.rows.run_names == ("rate 2.0", "again", "rate 2.0#2")
    assert [len(found.rows.of_run(name)) for name in found.rows.run_names] == [10] * 3
    assert (found.rows.arrival_s < 6).all()
    assert next(iter(messages(found).values())) == 1


def test_failed_requests_of_vllm_are_counted(tmp_path):
    document = copy.deepcopy(VLLM)
    document["errors"][3] = "Internal Server Error"
    document["ttfts"][3], document["itls"][3], document["output_lens"][3] = 0.0, [], 0
    found = imported(tmp_path, document)
    assert found.runs[0].counts == {"measured": 9, "failed": 1}
    assert found.runs[0].metrics["ttft_s"]["min"] > 0
    assert messages(found) == {"failed requests: not in any statistic": 1}


def test_bench_serving_of_sglang_is_read_alike(tmp_path):
    found = imported(
        tmp_path,
        {
            "backend": "sglang", "request_rate": 4.0, "max_concurrency": None, "duration": 10.0,
            "completed": 2, "mean_e2e_latency_ms": 500.0, "mean_ttft_ms": 100.0,
            "median_ttft_ms": 90.0, "ttfts": [0.1, 0.1], "itls": [[0.2, 0.2], [0.4]],
            "input_lens": [10, 20], "output_lens": [3, 2], "errors": ["", ""],
        },
    )  # fmt: skip
    np.testing.assert_allclose(found.rows.e2e_s, [0.5, 0.5])
    np.testing.assert_allclose(found.rows.tpot_s, [0.2, 0.4])
    assert np.isnan(found.rows.arrival_s).all()
    assert messages(found)["requests without arrival time: they cannot be replayed"] == 2


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"ttfts": [0.1]}, "itls: must have 1 items as ttfts, got 10"),
        ({"output_lens": [1]}, "output_lens: must have 10 items as the other lists, got 1"),
        ({"ttfts": "fast"}, "ttfts: must be a list of numbers, got 'fast'"),
        ({"ttfts": [-0.1, *[0.1] * 9]}, "request 0: must have ttft >= 0"),
        ({"itls": [[float("inf")]] * 10}, "must have e2e >= 0 and at most"),
        ({"input_lens": [1.5] * 10}, "must have a whole number of prompt tokens"),
        ({"errors": [""]}, "errors: must have 10 items"),
        ({"start_times": [None, "x", *[1.0] * 8]}, "start_times.1: must be a number, got 'x'"),
    ],
)
def test_impossible_results_of_vllm_are_refused(tmp_path, change, said):
    assert said in refusal(tmp_path, VLLM | change)


# --- GuideLLM


def test_guidellms_tpot_is_taken_without_the_first_token():
    found = read_measured("guidellm.json", DATA)
    requests = GUIDELLM["benchmarks"][0]["requests"]["successful"]
    itl = [each["inter_token_latency_ms"] / 1e3 for each in requests]
    np.testing.assert_allclose(found.rows.tpot_s, itl)
    assert (found.rows.tpot_s * 1e3 < [each["time_per_output_token_ms"] for each in requests]).all()
    last = [
        each["info"]["timings"]["last_token_iteration"] - each["request_start_time"]
        for each in requests
    ]
    np.testing.assert_allclose(found.rows.e2e_s, last, atol=1e-6)
    assert found.runs[0].settings == {"strategy": "poisson", "request_rate": 2.0, "model": "small"}


def test_guidellms_aggregates_become_statistics(tmp_path):
    document = copy.deepcopy(GUIDELLM)
    document["benchmarks"][0]["requests"] = {"successful": [], "errored": [], "incomplete": []}
    (run,) = imported(tmp_path, document).runs
    metrics = GUIDELLM["benchmarks"][0]["metrics"]
    itl = metrics["inter_token_latency_ms"]["successful"]
    assert run.metrics["tpot_s"]["mean"] == pytest.approx(itl["mean"] / 1e3)
    assert run.metrics["tpot_s"]["p99"] == pytest.approx(itl["percentiles"]["p99"] / 1e3)
    assert run.metrics["e2e_s"]["p50"] == metrics["request_latency"]["successful"]["median"]
    assert run.counts == {"measured": 10, "failed": 0}


def old_request(**changes):
    return {
        "type_": "generative_text_response", "prompt_tokens": 20, "output_tokens": 5,
        "start_time": 100.0, "first_token_time": 100.2, "last_token_time": 100.6,
        "end_time": 100.7, "request_latency": 0.7, "time_to_first_token_ms": 200.0,
        "time_per_output_token_ms": 80.0, "inter_token_latency_ms": 100.0,
    } | changes  # fmt: skip


def test_guidellm_before_its_first_version_number_is_read(tmp_path):
    benchmark = {
        "args": {"strategy": {"type_": "constant", "rate": 3.0}},
        "requests": {
            "successful": [old_request(), old_request(start_time=101.0)],
            "errored": [old_request(start_time=102.0, error="boom", output_tokens=None)],
            "incomplete": [old_request(start_time=103.0)],
        },
    }
    found = imported(tmp_path, {"benchmarks": [benchmark]})
    assert found.rows.ok.tolist() == [True, True, False, False]
    assert found.rows.arrival_s.tolist() == [0, 1, 2, 3]
    np.testing.assert_allclose(found.rows.e2e_s[:2], 0.6)
    assert found.runs[0].settings == {"strategy": "constant", "request_rate": 3.0}


def test_guidellms_warmup_is_left_out_and_counted(tmp_path):
    document = copy.deepcopy(GUIDELLM)
    (benchmark,) = document["benchmarks"]
    starts = sorted(each["request_start_time"] for each in benchmark["requests"]["successful"])
    benchmark["warmup_duration"] = 2.0
    benchmark["scheduler_metrics"]["measure_start_time"] = starts[3]
    found = imported(tmp_path, document)
    assert found.runs[0].counts == {"measured": 7, "failed": 0, "warmup": 3}
    assert messages(found)["requests of warm-up and cool-down left out"] == 3


def test_a_report_of_guidellm_without_benchmarks_is_refused(tmp_path):
    assert "benchmarks: must hold benchmarks" in refusal(
        tmp_path, {"benchmarks": [], "metadata": {"version": 1}}
    )
    one = {"requests": {"successful": [old_request(prompt_tokens="many")]}}
    assert "must be a number, got 'many'" in refusal(tmp_path, {"benchmarks": [one]})


# --- AIPerf


def test_aiperf_is_read_in_the_unit_it_says(tmp_path):
    found = read_measured("aiperf_profile_export.jsonl", DATA)
    for ours, theirs in {"ttft_s": "time_to_first_token", "e2e_s": "request_latency"}.items():
        wanted = AIPERF_SUMMARY[theirs]["avg"] / 1e3
        assert found.runs[0].metrics[ours]["mean"] == pytest.approx(wanted)
    line = copy.deepcopy(AIPERF[0])
    line["metrics"]["time_to_first_token"] = {"value": 0.04, "unit": "sec"}
    line["metrics"]["request_latency"] = {"value": 3e5, "unit": "us"}
    rows = imported(tmp_path, line).rows
    assert (rows.ttft_s[0], rows.e2e_s[0]) == pytest.approx((0.04, 0.3))
    line["metrics"]["request_latency"] = {"value": 3, "unit": "fortnights"}
    assert "request_latency.unit: must be a unit of time" in refusal(tmp_path, line)
    del line["metrics"]["request_latency"]["unit"]
    assert "must be a unit of time" in refusal(tmp_path, line)


def test_the_servers_count_of_tokens_is_taken_from_aiperf():
    found = read_measured("aiperf_profile_export.jsonl", DATA)
    assert set(found.rows.output_tokens) == {16}
    assert any(each["metrics"]["output_sequence_length"]["value"] != 16 for each in AIPERF)
    assert list(messages(found).values()) == [5]


def test_warmup_and_failures_of_aiperf_are_left_out_and_counted(tmp_path):
    lines = copy.deepcopy(AIPERF[:4])
    lines[0]["metadata"]["benchmark_phase"] = "warmup"
    lines[1]["metrics"] = {"error_isl": {"value": 64, "unit": "tokens"}}
    lines[1]["error"] = {"code": 500, "type": "HTTPError", "message": "boom"}
    lines[2]["metadata"]["was_cancelled"] = True
    found = imported(tmp_path, *lines)
    assert found.runs[0].counts == {"measured": 1, "failed": 2, "warmup": 1}
    assert len(found.rows) == 3
    assert messages(found)["requests of the warm-up left out"] == 1
    assert set(found.rows.prompt_tokens) == {64}
    assert "got 1 of the warm-up only" in refusal(tmp_path, lines[0])


def test_aiperfs_aggregates_become_statistics(tmp_path):
    found = imported(tmp_path, AIPERF_SUMMARY)
    (run,) = found.runs
    assert run.metrics["tpot_s"]["p95"] == pytest.approx(
        AIPERF_SUMMARY["inter_token_latency"]["p95"] / 1e3
    )
    assert run.metrics["itl_s"]["mean"] == pytest.approx(0.016275941308724832)
    assert run.metrics["output_tokens_per_s"]["mean"] == pytest.approx(31.558921365394504)
    assert run.counts == {"measured": 10}
    assert run.settings == {"request_rate": 2.0}
    assert any("AIPerf's count of tokens" in each for each in messages(found))
    early = imported(tmp_path, {"records": {"request_latency": {"unit": "s", "avg": 2.0}}})
    assert early.runs[0].metrics["e2e_s"] == {"mean": 2.0}


# --- inference-perf


def test_inference_perfs_requests_agree_with_its_summary():
    found = read_measured("inference_perf_per_request_lifecycle_metrics.json", DATA)
    latency = INFERENCE_PERF_SUMMARY["successes"]["latency"]
    for statistic, theirs in {"mean": "mean", "p50": "median", "p99": "p99"}.items():
        wanted = latency["time_to_first_token"][theirs]
        assert found.runs[0].metrics["ttft_s"][statistic] == pytest.approx(wanted)
    ends = [each["info"]["response_metrics"]["output_token_times"][-1] for each in INFERENCE_PERF]
    starts = [each["start_time"] for each in INFERENCE_PERF]
    np.testing.assert_allclose(found.rows.e2e_s, np.subtract(ends, starts))
    assert set(found.rows.output_tokens) == {16}


def test_inference_perfs_failures_and_early_layout_are_read(tmp_path):
    early = {
        "start_time": 5.0, "end_time": 6.0, "request": "{}", "response": "", "error": None,
        "info": {"input_tokens": 9, "output_tokens": 3, "output_token_times": [5.1, 5.2, 5.5]},
    }  # fmt: skip
    failed = early | {"error": {"error_type": "TimeoutError", "error_msg": ""}, "start_time": 5.5}
    plain = early | {"info": {"input_tokens": 9, "output_tokens": 3}, "start_time": 5.75}
    found = imported(tmp_path, [early, failed, plain])
    assert found.rows.ok.tolist() == [True, False, True]
    np.testing.assert_allclose(found.rows.e2e_s[[0, 2]], [0.5, 0.25])
    np.testing.assert_allclose(found.rows.ttft_s[0], 0.1)
    assert messages(found)["requests without ttft: they were not streamed"] == 1


def test_inference_perfs_summary_becomes_statistics():
    found = read_measured("inference_perf_stage_0_lifecycle_metrics.json", DATA)
    (run,) = found.runs
    latency = INFERENCE_PERF_SUMMARY["successes"]["latency"]
    assert run.metrics["tpot_s"]["p90"] == latency["time_per_output_token"]["p90"]
    assert run.metrics["e2e_s"]["p99.9"] == latency["request_latency"]["p99.9"]
    assert run.counts == {"measured": 12, "failed": 0}
    assert run.settings == {"request_rate": 2.0}


# --- any of them

REAL = {
    "vllm": [VLLM],
    "guidellm": [GUIDELLM],
    "aiperf": AIPERF[:2],
    "aiperf summary": [AIPERF_SUMMARY],
    "inference-perf": [INFERENCE_PERF[:2]],
    "inference-perf summary": [INFERENCE_PERF_SUMMARY],
}
anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from([0, -1, 1e308, -(10**400), "inf", {"unit": "ms"}]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=4,
)


def changed(value, data, depth=0):
    """Return a document with one value somewhere in it replaced."""
    if (
        not isinstance(value, dict | list)
        or not value
        or (depth and data.draw(st.integers(0, 7)) == 0)
    ):
        return data.draw(anything)
    key = data.draw(st.sampled_from(list(value) if isinstance(value, dict) else range(len(value))))
    copied = copy.copy(value)
    copied[key] = changed(value[key], data, depth + 1)
    return copied


@pytest.mark.parametrize("kind", REAL)
@given(data=st.data())
def test_any_changed_value_gives_an_import_or_a_reason(kind, data, tmp_path_factory):
    documents = [changed(each, data) for each in REAL[kind]]
    try:
        found = imported(tmp_path_factory.getbasetemp(), *documents)
    except InputError as error:
        assert str(error)  # noqa: PT017 - both outcomes are right
        return
    for run in found.runs:
        for metric in run.metrics.values():
            assert all(np.isfinite(value) and value >= 0 for value in metric.values())
    if found.rows is not None:
        assert (found.rows.e2e_s[found.rows.ok] >= 0).all()


requests = st.lists(
    st.tuples(
        st.floats(0, 1e5),
        st.floats(0, 1e3),
        st.lists(st.floats(0, 10), max_size=5),
        st.integers(1, 10**6),
    ),
    min_size=1,
    max_size=8,
)  # fmt: skip


def as_vllm(rows):
    return [
        {
            "ttfts": [ttft for _, ttft, _, _ in rows], "itls": [gaps for _, _, gaps, _ in rows],
            "input_lens": [prompt for *_, prompt in rows], "errors": [""] * len(rows),
            "output_lens": [len(gaps) + 1 for _, _, gaps, _ in rows],
            "start_times": [start for start, *_ in rows],
        }
    ]  # fmt: skip


def as_guidellm(rows):
    requests = [
        {
            "request_start_time": start, "time_to_first_token_ms": 1e3 * ttft,
            "inter_token_latency_ms": 1e3 * sum(gaps) / max(len(gaps), 1),
            "prompt_tokens": prompt, "output_tokens": len(gaps) + 1, "request_latency": 0.0,
        }
        for start, ttft, gaps, prompt in rows
    ]  # fmt: skip
    return [{"metadata": {"version": 1}, "benchmarks": [{"requests": {"successful": requests}}]}]


def as_aiperf(rows):
    return [
        {
            "metadata": {"request_start_ns": round(1e9 * start)},
            "metrics": {
                "time_to_first_token": {"value": 1e3 * ttft, "unit": "ms"},
                "request_latency": {"value": 1e6 * (ttft + sum(gaps)), "unit": "us"},
                "input_sequence_length": {"value": prompt, "unit": "tokens"},
                "output_sequence_length": {"value": len(gaps) + 1, "unit": "tokens"},
            },
        }
        for start, ttft, gaps, prompt in rows
    ]


def as_inference_perf(rows):
    return [
        [
            {
                "start_time": start, "end_time": start + ttft + sum(gaps),
                "info": {
                    "input_tokens": prompt, "output_tokens": len(gaps) + 1,
                    "output_token_times": np.cumsum([start + ttft, *gaps]).tolist(),
                },
            }
            for start, ttft, gaps, prompt in rows
        ]
    ]  # fmt: skip


@pytest.mark.parametrize("written", [as_vllm, as_guidellm, as_aiperf, as_inference_perf])
@given(rows=requests)
def test_any_requests_come_back_whatever_tool_wrote_them(written, rows, tmp_path_factory):
    found = imported(tmp_path_factory.getbasetemp(), *written(rows)).rows
    rows = sorted(rows, key=lambda row: row[0])
    first = rows[0][0]
    np.testing.assert_allclose(found.arrival_s, [row[0] - first for row in rows], atol=1e-6)
    assert sorted(found.prompt_tokens) == sorted(row[3] for row in rows)
    e2e = sorted(row[1] + sum(row[2]) for row in rows)
    np.testing.assert_allclose(sorted(found.e2e_s), e2e, atol=1e-6)
    np.testing.assert_allclose(sorted(found.ttft_s), sorted(row[1] for row in rows), atol=1e-6)
