"""Version 1 of GuideLLM's report (0.3 to 0.6): requests, aggregates, and what must stay unread."""

import copy
import json

import numpy as np
import pytest
from command_line import planner

from calibrate.importers.recognise import read_measured
from planner.errors import InputError

API_KEY = "sk-in-a-report"


def summary(mean, count):
    return {
        "mean": mean, "median": mean, "mode": mean, "variance": 0.0, "std_dev": 0.0, "min": mean,
        "max": mean, "count": count, "total_sum": mean * count, "pdf": None,
        "percentiles": {"p50": mean, "p90": mean, "p95": mean, "p99": mean, "p999": mean},
    }  # fmt: skip


def by_status(mean, ok, failed=0):
    return {
        "successful": summary(mean, ok), "errored": summary(0.0, failed),
        "incomplete": summary(0.0, 0), "total": summary(mean, ok + failed),
    }  # fmt: skip


def request(start, tokens=5, **changes):
    """A request of 0.1 s to its first token and 0.02 s between tokens."""
    last = 0.1 + 0.02 * (tokens - 1)
    return {
        "type_": "generative_request_stats", "request_id": "r", "request_type": "text_completions",
        "info": {"status": "completed", "timings": {"request_start": start}},
        "request_start_time": start, "request_end_time": start + last + 0.01,
        "request_latency": last + 0.01, "prompt_tokens": 64, "output_tokens": tokens,
        "time_to_first_token_ms": 100.0, "time_per_output_token_ms": 1e3 * last / tokens,
        "inter_token_latency_ms": 20.0 if tokens > 1 else None,
    } | changes  # fmt: skip


def report(successful, errored=()):
    totals = {"successful": len(successful), "errored": len(errored), "incomplete": 0}
    n, bad = len(successful), len(errored)
    return {
        "metadata": {"version": 1, "guidellm_version": "0.6.0", "platform": "Linux"},
        "args": {"profile": "concurrent", "rate": [32.0], "backend_kwargs": {"api_key": API_KEY}},
        "benchmarks": [
            {
                "type_": "generative_benchmark", "run_index": 0,
                "config": {
                    "strategy": {"type_": "concurrent", "streams": 32, "max_concurrency": 32},
                    "backend": {"model": "small", "api_key": API_KEY},
                },
                "scheduler_state": {"processed_requests": n + bad},
                "metrics": {
                    "request_totals": totals | {"total": n + bad},
                    "requests_per_second": by_status(0.5, n, bad),
                    "output_tokens_per_second": by_status(2.5, n, bad),
                    "request_latency": by_status(0.19, n, bad),
                    "time_to_first_token_ms": by_status(100.0, n, bad),
                    "time_per_output_token_ms": by_status(36.0, n, bad),
                    "inter_token_latency_ms": by_status(20.0, n, bad),
                    "prompt_token_count": by_status(64.0, n, bad),
                    "output_token_count": by_status(5.0, n, bad),
                },
                "requests": {
                    "successful": list(successful), "errored": list(errored), "incomplete": [],
                },
                "start_time": 1000.0, "end_time": 1010.0, "duration": 10.0,
            }
        ],
    }  # fmt: skip


def imported(folder, document):
    (folder / "report.json").write_text(json.dumps(document))
    return read_measured("report.json", folder)


def test_requests_of_version_1_have_the_last_token_as_their_end(tmp_path):
    document = report([request(1000.0), request(1001.5, 1)], [request(1002.0, error="boom")])
    found = imported(tmp_path, document)
    assert found.format == "guidellm"
    assert found.rows.ok.tolist() == [True, True, False]
    np.testing.assert_allclose(found.rows.arrival_s, [0.0, 1.5, 2.0])
    np.testing.assert_allclose(found.rows.e2e_s[:2], [0.18, 0.1])
    np.testing.assert_allclose(found.rows.tpot_s[:1], [0.02])  # not 36 ms, with the first token
    assert found.runs[0].counts == {"measured": 2, "failed": 1}
    assert found.runs[0].settings == {
        "strategy": "concurrent", "max_concurrency": 32, "model": "small",
    }  # fmt: skip


def test_aggregates_of_version_1_become_statistics(tmp_path):
    document = report([request(1000.0)] * 4, [request(1002.0)])
    document["benchmarks"][0]["requests"] = {"successful": [], "errored": [], "incomplete": []}
    (run,) = imported(tmp_path, document).runs
    assert run.counts == {"measured": 4, "failed": 1}
    assert run.metrics["tpot_s"]["mean"] == pytest.approx(0.02)
    assert run.metrics["ttft_s"]["p99"] == pytest.approx(0.1)
    assert run.metrics["output_tokens_per_s"] == {"mean": 2.5}


def test_several_benchmarks_are_runs_of_their_own(tmp_path):
    document = report([request(1000.0), request(1001.0)])
    second = copy.deepcopy(document["benchmarks"][0])
    second["config"]["strategy"] |= {"streams": 64}
    second["requests"]["successful"] = [request(2000.0)]
    document["benchmarks"].append(second)
    found = imported(tmp_path, document)
    assert found.rows.run_names == ("concurrent, concurrency 32", "concurrent, concurrency 64")
    assert found.rows.of_run("concurrent, concurrency 64").arrival_s.tolist() == [0.0]


def test_the_key_in_a_report_goes_nowhere(tmp_path):
    (tmp_path / "report.json").write_text(json.dumps(report([request(1000.0)])))
    for args in ((), ("--json",), ("-o", tmp_path / "rows.csv"), ("-v",)):
        ran = planner("import", tmp_path / "report.json", *args)
        assert ran.code == 0, ran.err
        assert API_KEY not in ran.out + ran.err
    assert API_KEY not in (tmp_path / "rows.csv").read_text()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"time_to_first_token_ms": -1.0}, "must have ttft >= 0"),
        ({"output_tokens": 2.5}, "must have a whole number of output tokens"),
        ({"prompt_tokens": 10**12}, "must have a whole number of prompt tokens"),
        ({"inter_token_latency_ms": "slow"}, "inter_token_latency_ms: must be a number, got"),
        ({"request_start_time": [1]}, "request_start_time: must be a number, got [1]"),
    ],
)
def test_impossible_requests_are_refused(tmp_path, change, said):
    with pytest.raises(InputError) as caught:
        imported(tmp_path, report([request(1000.0) | change]))
    assert said in str(caught.value)
