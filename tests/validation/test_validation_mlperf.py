"""MLPerf's results held against predictions: what its logs do not print, and the largest rate."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml
from command_line import script

from planner.validation.points.table import NUMBERS, TEXTS

POINTS = Path(__file__).parents[2] / "bench" / "points"
mlperf = script(POINTS / "mlperf.py")
ROW = {
    "id": "one",
    "dataset": "mlperf_inference_v5.1",
    "kind": "mlperf_server",
    "catalogue_model": "llama-2-70b",
    "model": "llama2-70b-99",
    "catalogue_device": "H200-SXM-141GB",
    "n_gpus": "8",
    "dtype": "fp16",
    "engine": "TensorRT 10.8",
    "osl": "300",
    "load_type": "poisson_qps",
    "load": "100",
    "tput_out_tok_s": "30000",
}


@pytest.fixture(scope="module")
def benchmark_of():
    known = yaml.safe_load((POINTS / "mlperf.yaml").read_text(encoding="utf-8"))
    return mlperf.Benchmark.model_validate(known["llama-2-70b"])


@pytest.mark.parametrize("kind", ["prompt", "answer"])
def test_lengths_have_the_least_the_mean_and_the_most_that_are_published(benchmark_of, kind):
    lengths = getattr(benchmark_of, kind)
    found = lengths.drawn(200_000, np.random.default_rng(0))
    assert found.mean() == pytest.approx(lengths.mean, rel=0.01)
    assert (found.min(), found.max()) == (lengths.least, pytest.approx(lengths.most, abs=15))


def test_tighter_limits_allow_less_and_each_replica_takes_its_share(
    benchmark_of, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(mlperf, "REQUESTS", 400)
    rows = [
        ROW | {"kind": "mlperf_offline", "load": "inf", "load_type": "offline"},
        ROW,
        ROW | {"kind": "mlperf_interactive"},
        ROW | {"n_gpus": "16"},
        ROW | {"catalogue_model": "gptj"},
        ROW | {"catalogue_device": "L4"},
        ROW | {"dataset": "another"},
    ]
    table = points(tmp_path, *rows)
    mlperf.main(["--points", str(table)])
    printed = capsys.readouterr().out
    assert "| server | v5.1, H200-SXM-141GB TP1, fp8, h200-sxm-trtllm | 2 |" in printed
    assert "| offline | v5.1, H200-SXM-141GB TP1, fp8, h200-sxm-trtllm-offline | 1 |" in printed
    assert "| a model whose prompt lengths are not published | 1 |" in printed
    assert "| no profile fitted to its device and engine | 1 |" in printed
    predictor = mlperf.Predictor({"llama-2-70b": benchmark_of})
    offline, server, interactive, twice = (
        predictor.predict(each).tokens_s for each in mlperf.read_points(table)[:4]
    )
    assert offline >= server > interactive > 0
    assert twice == pytest.approx(2 * server)


@pytest.mark.parametrize(
    ("engine", "older"),
    [
        ("vLLM 0.5.2", True),
        ("vLLM 0.4.3+rocm614", True),
        ("vLLM 0.6.5.dev964+mlperf50", False),
        ("Mango LLMBoost AI Enterprise Platform vllm-0.9.0.2.dev108", False),
        ("vLLM 1.0", False),
        ("TensorRT 0.5", False),
        ("vLLM", False),
    ],
)
def test_engines_older_than_any_profile_are_told_apart(tmp_path, engine, older):
    point = mlperf.read_points(points(tmp_path, ROW | {"engine": engine}))[0]
    assert mlperf.Predicted(point, "a replica", 1.0).older is older


def test_what_a_submitter_published_of_a_system_counts_before_its_device(benchmark_of, tmp_path):
    row = ROW | {"catalogue_device": "H100-SXM-80GB", "engine": "vLLM 0.5.2", "dtype": "fp8"}
    rows = [row, row | {"notes": "NeuralMagic 4xH100-SXM-80GB_vLLM_FP8; TP not in log"}]
    usual, own = mlperf.read_points(points(tmp_path, *rows))
    assert mlperf._replica(usual, benchmark_of)[1] == 2
    made, degree = mlperf._replica(own, benchmark_of)
    assert (degree, made.fleet.tensor_parallel) == (4, 4)


def points(folder, *rows):
    """Write rows as a table; return where it is."""
    table, columns = folder / "points.csv", [*TEXTS, *NUMBERS]
    lines = [",".join(str(row.get(each, "")) for each in columns) for row in rows]
    table.write_text("\n".join([",".join(columns), *lines]) + "\n")
    return table
