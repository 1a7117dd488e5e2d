"""Start-up is light: what a command does not need it does not import."""

import json
import subprocess
import sys

import pytest
from command_line import LLM, STAGES

HEAVY = {
    "numpy", "pandas", "scipy", "numba", "matplotlib", "torch", "simpy", "joblib", "jinja2",
}  # fmt: skip
_RUN = """
import contextlib, io, json, sys
from planner.cli import main
sys.argv = ["planner", *sys.argv[1:]]
with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):
    main()
print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
"""


def imported(*args):
    done = subprocess.run(
        [sys.executable, "-c", _RUN, *map(str, args)], capture_output=True, check=True, text=True
    )
    return set(json.loads(done.stdout))


@pytest.mark.parametrize(
    "args",
    [
        ["--help"],
        ["--version"],
        ["simulate", "--help"],
        ["check", "--help"],
        ["import", "--help"],
        ["calibrate", "endpoint", "--help"],
        ["schema", "simulate"],
        ["schema", "capacity"],
        ["sweep", "--help"],
        ["capacity", "--help"],
        ["export", "--help"],
        ["schema", "plan"],
        ["plan", "--help"],
        ["simulate", "--no-such-option"],
    ],
    ids=" ".join,
)
def test_help_imports_nothing_heavy(args):
    assert not imported(*args) & HEAVY


def test_our_part_of_help_needs_no_pydantic():
    code = "import sys, planner, planner.errors, planner.report.plain; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert "pydantic" not in done.stdout


@pytest.mark.parametrize("command", [["init"], ["init", "chatbot"], ["schema"]], ids=" ".join)
def test_files_are_copied_and_described_without_a_compiler(command, tmp_path):
    folder = [tmp_path] if len(command) == 2 else []
    assert not imported(*command, *folder) & {"numba", "pandas", "scipy", "matplotlib", "torch"}


def test_no_command_imports_torch_or_plots(tmp_path):
    for text in (LLM, STAGES):
        (tmp_path / "s.yaml").write_text(text)
        assert not imported("simulate", tmp_path / "s.yaml") & {"torch", "matplotlib", "pandas"}
