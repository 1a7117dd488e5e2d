"""Whatever may take long tells how much of it is done, on a terminal, unless it is to be quiet."""

import gzip
from pathlib import Path

import pytest
from command_line import LLM, is_progress, planner

ROOT = Path(__file__).parents[1]
#: Commands that may take long, and what each calls its work.
LONG = {
    "simulate": "simulating",
    "sweep": "sweeping",
    "capacity": "searching",
    "plan": "planning",
    "validate": "predicting",
    "import": "importing",
    "report": "reporting",
}


@pytest.fixture
def arguments(tmp_path):
    """The arguments of a command."""
    scenario, run, points = (tmp_path / name for name in ("s.yaml", "run.json", "points.csv"))
    scenario.write_text(LLM)
    run.write_text(planner("simulate", scenario, "-q", "--json").out)
    data = gzip.decompress((ROOT / "bench" / "points" / "measured_points.csv.gz").read_bytes())
    points.write_bytes(b"".join(data.splitlines(keepends=True)[:8]))
    rows = "".join(f"{k / 10},100,20,0.1,1.0\n" for k in range(30_000))
    (tmp_path / "rows.csv").write_text(
        f"arrival_s,prompt_tokens,output_tokens,ttft_s,e2e_s\n{rows}"
    )
    return {
        "simulate": [scenario],
        "sweep": [scenario, "--vary", "fleet.replicas=1:3", "--jobs", "1"],
        "capacity": [scenario],
        "plan": [scenario, "--device", "L4", "--out", tmp_path / "plan"],
        "validate": [points],
        "import": [tmp_path / "rows.csv"],
        "report": [run, "-o", tmp_path / "r.html", "--charts", tmp_path / "charts"],
    }


@pytest.mark.usefixtures("compiled")
@pytest.mark.parametrize("command", LONG)
def test_a_command_that_may_take_long_tells_how_much_is_done_unless_quiet(command, arguments, bars):
    bars.clear()
    loud = planner(command, *arguments[command])
    assert loud.code == 0, loud.err
    assert list(bars) == [LONG[command]]
    shares = bars[LONG[command]]
    assert is_progress(shares), shares
    assert shares[-1] > 0.5
    bars.clear()
    again = ["--no-resume"] if command == "plan" else []
    quiet = planner(command, *arguments[command], *again, "-q")
    assert (quiet.code, quiet.err) == (0, "")
    assert not bars
    assert command == "plan" or quiet.out == loud.out


def test_json_lines_tell_how_much_of_them_is_read(tmp_path, bars):
    source = ROOT / "tests" / "calibrate" / "data" / "loadgen" / "aiperf_profile_export.jsonl"
    ran = planner("import", source, "-o", tmp_path / "rows.csv")
    assert ran.code == 0
    assert is_progress(bars["importing"], 10)
