"""A stack fitted to a table of points whose coefficients are known."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import yaml
from command_line import is_progress, planner, script

from calibrate.fitted import write_profile
from calibrate.serving.fit import with_values
from calibrate.serving.points import (
    experiments_of,
    faster_under_more,
    implied_reading,
    implied_share,
)
from calibrate.serving.stack import START, coefficients_of, fit_stack
from planner.catalog.profile import load_profile
from planner.errors import InputError
from planner.validation.points.case import case_of
from planner.validation.points.table import NUMBERS, TEXTS, Point

SCRIPT = Path(__file__).parents[2] / "bench" / "points" / "cross_validate.py"
STACK = """
- label: made up
  profiles: {H100-SXM-80GB: mine}
  engine: vllm
  kernels: dense
  datasets: [made up]
  without: [llama-3.1-70b]
  table: serving
  total: all
"""
TRUTH = {
    "compute_efficiency": 0.45,
    "storage_efficiency": 0.8,
    "kv_efficiency": 0.55,
    "overhead_fixed": 0.0,
    "overhead_per_layer": 5e-5,
    "request_overhead": 0.015,
}
LENGTHS = [(1000, 200), (200, 400), (4000, 100)]


def point(row, **changes):
    texts = dict.fromkeys(TEXTS, "") | {
        "id": f"p{row}",
        "dataset": "made up",
        "model": "llama-3.1-8b",
        "catalogue_device": "H100-SXM-80GB",
        "dtype": "fp8",
        "engine": "vllm",
        "load_type": "concurrency",
    }
    numbers = dict.fromkeys(NUMBERS, float("nan")) | {"tp": 1.0, "isl": 1000.0, "osl": 100.0}
    for key, value in changes.items():
        (texts if key in texts else numbers)[key] = value
    return Point(row, texts, numbers)


def measured(row, **changes):
    """Return a point that an engine with the coefficients TRUTH would have measured."""
    bare = point(row, **changes)
    found = case_of(bare).predict(with_values(load_profile("assumed"), TRUTH))
    times = {f"{name}_ms": 1e3 * found[name] for name in ("ttft", "tpot")}
    return Point(row, bare.texts, {**bare.numbers, **times})


def write_table(path, points):
    rows = [
        ",".join(
            [*each.texts.values(), *(f"{v:.9g}" if v == v else "" for v in each.numbers.values())]  # noqa: PLR0124
        )
        for each in points
    ]
    path.write_text("\n".join([",".join([*TEXTS, *NUMBERS]), *rows]) + "\n")


@pytest.fixture(scope="module")
def points():
    loads = [(isl, osl, load) for isl, osl in LENGTHS for load in (2.0, 16.0, 64.0)]
    return [
        measured(row, isl=float(isl), osl=float(osl), load=load)
        for row, (isl, osl, load) in enumerate(loads)
    ]


@pytest.fixture(scope="module")
def table(points, tmp_path_factory):
    path = tmp_path_factory.mktemp("points") / "points.csv"
    write_table(path, points)
    return path


def test_a_fit_reproduces_the_engine_that_made_the_points(points):
    found = fit_stack(experiments_of(points), ("lengths",))
    errors = found.evidence().in_sample
    assert max(errors["ttft"].mape, errors["tpot"].mape) < 0.08  # the prior is elsewhere
    left = found.evidence().cross_validated["lengths"]
    assert left["tpot"].n == len(points)
    assert max(left["ttft"].median_ape, left["tpot"].median_ape) < 0.2


def test_only_what_the_rows_can_tell_is_fitted(points):
    dense = coefficients_of(experiments_of(points))
    assert "link_latency" not in dense
    assert "expert_storage" not in dense
    mixtral = [measured(1, model="mixtral-8x7b", tp=2.0, load=4.0)]
    assert {"link_latency", "expert_storage"} <= set(coefficients_of(experiments_of(mixtral)))
    batch = [point(1, load_type="batch", load=4.0, e2e_ms=500.0)]
    assert "request_overhead" not in coefficients_of(experiments_of(batch))


def test_a_row_whose_latencies_need_more_than_the_peak_is_left_out_by_name(points):
    impossible = point(99, load=500.0, isl=4000.0, ttft_ms=20.0, tpot_ms=5.0)
    assert implied_share(case_of(impossible)) > 1
    found = fit_stack(experiments_of([*points, impossible]), ())
    assert found.left_out == ("p99",)
    assert "p99" in found.evidence().rows


def test_a_batch_quicker_than_its_weights_are_read_is_left_out_by_name(points):
    quick = point(97, load_type="batch", load=1.0, e2e_ms=100.0)
    assert implied_reading(case_of(quick)) > 1
    slow = point(96, load_type="batch", load=1.0, e2e_ms=60_000.0)
    assert implied_reading(case_of(slow)) < 1
    assert fit_stack(experiments_of([*points, quick]), ()).left_out == ("p97",)


def test_a_row_that_is_faster_under_more_load_is_left_out_by_name(points):
    odd = point(98, isl=1000.0, osl=200.0, load=256.0, ttft_ms=9e3, tpot_ms=1.0)
    assert faster_under_more(experiments_of([*points, odd])) == {"p98"}
    assert faster_under_more(experiments_of(points)) == set()


def test_where_all_come_at_once_the_throughput_is_fitted(points):
    assert points
    (burst,) = experiments_of(
        [
            point(
                1,
                load_type="qps",
                load=float("inf"),
                ttft_ms=900.0,
                tpot_ms=30.0,
                tput_out_tok_s=2e3,
            )
        ]
    )
    assert burst.measured == {"throughput": 2e3}


def test_nothing_to_fit_to_is_an_input_error():
    with pytest.raises(InputError, match="must have rows"):
        fit_stack([])


def test_the_command_writes_a_profile_that_predicts_the_table(table, tmp_path, bars):
    ran = planner(
        "calibrate",
        "fit",
        table,
        *("--device", "h100-sxm", "--engine", "vllm", "--by", "lengths"),
        *("--out", tmp_path, "--name", "mine"),
    )
    assert (ran.code, ran.err) == (0, "")
    assert "each lengths left out" in ran.out
    assert is_progress(bars["fitting"], 100)
    assert bars["fitting"][-1] > 0.75  # the last fits, without some lengths, are told too
    profile = load_profile(tmp_path / "mine.json")
    assert profile.device == "H100-SXM-80GB"
    assert profile.evidence.kernels == ("dense",)
    assert all(each.source for each in profile.coefficients.values())
    after = planner("validate", table, "--json", "-q", "--profile", tmp_path / "mine.json")
    before = planner("validate", table, "--json", "-q", "--profile", "assumed")
    for metric in ("ttft", "tpot"):
        fitted = json.loads(after.out)["metrics"][metric]["mape"]
        assert fitted < 0.08
        assert fitted < json.loads(before.out)["metrics"][metric]["mape"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "must come with --device and --engine"),
        (["--device", "h100-sxm", "--engine", "vllm", "--by", "colour"], "--by must be one of"),
        (["--device", "abacus", "--engine", "vllm"], "abacus"),
        (["--device", "h100-sxm", "--engine", "none"], "must have rows"),
    ],
)
def test_the_command_refuses_what_it_cannot_fit(table, tmp_path, arguments, message):
    ran = planner("calibrate", "fit", table, *arguments, "--out", tmp_path)
    assert ran.code == 2
    assert message in ran.err
    assert not list(Path(tmp_path).glob("*.json"))


def test_the_script_predicts_every_row_without_its_group(points, tmp_path, capsys):
    other = measured(50, model="llama-3.1-70b", tp=4.0, load=8.0)
    rows, stacks = tmp_path / "rows.csv", tmp_path / "stacks.yaml"
    write_table(rows, [*points, other, point(51, dataset="another")])
    stacks.write_text(STACK)
    given = ["--points", rows, "--stacks", stacks, "--rounds", "2", "--write", tmp_path]
    script(SCRIPT).main([str(each) for each in given])
    printed = capsys.readouterr()
    lines = [each for each in printed.out.splitlines() if each.startswith("|")][2:]
    assert [each.split("|")[1:3] for each in lines] == [
        [" **all** ", " 10 "],
        [" the same without the 1 rows not fitted to ", " 9 "],
        [" made up ", " 10 "],
        [" the same without the 1 rows not fitted to ", " 9 "],
    ]
    assert lines[2] in printed.err
    errors = [float(each) for each in re.findall(r"([\d.]+) %", lines[1])]
    assert len(errors) == 4  # TPOT and TTFT, without the deployment and without the lengths
    assert max(errors) < 60
    assert load_profile(tmp_path / "mine.json").evidence.datasets == ("made up",)


def test_the_script_draws_a_stack_to_the_mean_of_the_profiles_it_names(points, tmp_path):
    cross_validate = script(SCRIPT)
    for name, value in (("one", 0.2), ("two", 0.8)):
        values = {"compute_efficiency": value, "overlap": value + 1}
        held = {"overlap"} if name == "two" else set()
        profile = with_values(
            load_profile("assumed"), {k: v for k, v in values.items() if k not in held}
        )
        write_profile(profile.model_copy(update={"name": name}), tmp_path)
    names = [str(tmp_path / f"{name}.json") for name in ("one", "two")]
    mean = cross_validate.mean_of(names)
    assert mean == pytest.approx({"compute_efficiency": 0.4, "overlap": 1.2})  # sqrt(0.2 0.8)
    assert cross_validate.mean_of([]) == {}
    stack = cross_validate.Stack.model_validate(
        yaml.safe_load(STACK)[0] | {"drawn_to": names, "without": []}
    )
    found = stack.fit(experiments_of(points), 1).fit
    drawn = dict(zip(found.values, np.exp(found.prior.centre).tolist(), strict=True))
    assert drawn["compute_efficiency"] == pytest.approx(0.4)
    assert drawn["overlap"] == pytest.approx(1.2)
    assert drawn["storage_efficiency"] == pytest.approx(START["storage_efficiency"])
