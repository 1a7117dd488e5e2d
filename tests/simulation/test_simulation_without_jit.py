"""The kernels as plain Python: what coverage and debuggers see gives the same results."""

import os
import subprocess
import sys
from pathlib import Path


def test_the_kernels_are_exact_without_compilation():
    """The numbers of one test run are those of another process, since numba decides at import."""
    here = Path(__file__).parent
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider",
         "-W", "ignore:overflow encountered", str(here / "test_simulation_exact.py"),
         "-k", "exactly or stopping"],
        env={**os.environ, "NUMBA_DISABLE_JIT": "1"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:]
    assert "14 passed" in done.stdout
