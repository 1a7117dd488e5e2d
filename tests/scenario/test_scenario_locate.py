from __future__ import annotations

from planner.errors import Problem
from planner.scenario.locate import locate


def test_problems_found_later_stand_where_their_key_is(tmp_path):
    path = tmp_path / "x.yaml"
    path.write_text("name: x\nfleet:\n  tensor_parallel: 3\n  events: [{at: 1 s}]\n", "utf-8")
    problems = [
        Problem("must divide the heads", "fleet.tensor_parallel"),
        Problem("must be known", "fleet.device"),
        Problem("must come later", "fleet.events.0.at"),
        Problem("must be given", "simulation.seed"),
        Problem("must have rows", "", "trace.csv", 4),
    ]
    found = locate(problems, path, ["fleet.device=H1"])
    assert [str(each) for each in found] == [
        f"{path}:3:20: fleet.tensor_parallel: must divide the heads",
        "--set fleet.device=H1: fleet.device: must be known",
        f"{path}:4:17: fleet.events.0.at: must come later",
        f"{path}:1:1: simulation.seed: must be given",
        "trace.csv:4: must have rows",
    ]


def test_problems_keep_as_they_are_where_the_file_is_gone(tmp_path):
    problems = [Problem("must be known", "fleet.device")]
    assert locate(problems, tmp_path / "none.yaml", []) == problems
