"""Every notebook runs in a kernel of its own, and says what it is meant to say."""

import os
import re
from importlib.util import find_spec
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
    "03_calibrate.py": r"ttft p95 \d+ ms",
    "04_choose_a_fleet.py": r"headroom: \d+% more traffic\n",
    "05_replay_your_trace.py": r"1,200 requests",
}
#: Tables and pages that a notebook shows, by what is in their HTML.
SHOWN = {
    "01_equation.py": ("wait_mean_s",),
    "02_what_if.py": ("ttft", "p95"),
    "03_calibrate.py": ("compute_efficiency", "standard error", "Speedups"),
    "04_choose_a_fleet.py": ("L40S", "probability"),
    "05_replay_your_trace.py": ("ttft", "objective"),
}
#: Pictures that each shows at least.
DRAWN = {
    "01_equation.py": 5,
    "02_what_if.py": 2,
    "03_calibrate.py": 3,
    "04_choose_a_fleet.py": 1,
    "05_replay_your_trace.py": 2,
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
    assert all(word in pages for word in SHOWN[name])
    assert sum("image/png" in each for each in shown) >= DRAWN[name]
    if name == "02_what_if.py" and find_spec("ipywidgets"):
        assert any("application/vnd.jupyter.widget-view+json" in each for each in shown)


def test_every_notebook_is_tested():
    assert [path.name for path in sorted(FOLDER.glob("*.py"))] == sorted(SAID)
