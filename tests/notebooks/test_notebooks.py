"""Every notebook runs, and says what it is meant to say."""

import contextlib
import io
from pathlib import Path

FOLDER = Path(__file__).parents[2] / "notebooks"


def run(name):
    """Execute a percent script; return its names and what it printed."""
    path = FOLDER / name
    out, names = io.StringIO(), {"__name__": "__main__"}
    with contextlib.redirect_stdout(out):
        exec(compile(path.read_text(), str(path), "exec"), names)  # noqa: S102 - our own notebook
    return names, out.getvalue()


def test_the_equation_prints_the_articles_numbers_and_waits_that_grow():
    names, printed = run("01_equation.py")
    assert printed.startswith("18.00 ms before, 2.00 ms after, 89% less\n")
    means = [mean for _, mean, _ in names["rows"]]
    assert means == sorted(means)
    assert 2.0 < means[0] < 2.2 < means[-1]


def test_every_notebook_is_tested():
    assert [path.name for path in sorted(FOLDER.glob("*.py"))] == ["01_equation.py"]
