"""Every notebook runs in a kernel of its own, and says what it is meant to say."""

import os
import re
from pathlib import Path

import jupytext
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "notebooks"
#: What each has to print.
SAID = {
    "01_equation.py": r"18\.00 ms before, 2\.00 ms after, 89% less",
    "02_what_if.py": r"one replica +ttft p95 +\d+\.\d ms, \$1\.99/h, met",
    "03_calibrate.py": r"compute_efficiency += 0\.\d+ \+/- 0\.\d+",
    "04_choose_a_fleet.py": r"headroom: \d+% more traffic\n",
    "05_replay_your_trace.py": r"1,200 requests",
}
#: Tables and pages that a notebook shows, by what is in their HTML.
SHOWN = {
    "02_what_if.py": ("ttft", "p95"),
    "04_choose_a_fleet.py": ("L40S", "probability"),
    "05_replay_your_trace.py": ("ttft", "objective"),
}


def executed(name):
    """Run a percent script cell by cell, as Jupyter does; return what was printed and shown."""
    notebook = jupytext.read(FOLDER / name)
    client = NotebookClient(notebook, timeout=300, kernel_name="python3")
    client.execute(cwd=str(FOLDER), env={**os.environ, "PYTHONPATH": str(ROOT)})
    outputs = [each for cell in notebook.cells for each in cell.get("outputs", ())]
    printed = "".join(each.get("text", "") for each in outputs if each.output_type == "stream")
    shown = [each.data for each in outputs if "data" in each]
    return printed, shown


@pytest.mark.parametrize("name", SAID)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_a_notebook_runs_and_says_what_it_is_for(name, compiled):  # noqa: ARG001 - compiles first
    printed, shown = executed(name)
    assert re.search(SAID[name], printed)
    pages = "".join(each.get("text/html", "") for each in shown)
    assert all(word in pages for word in SHOWN.get(name, ()))


def test_every_notebook_is_tested():
    assert [path.name for path in sorted(FOLDER.glob("*.py"))] == sorted(SAID)
