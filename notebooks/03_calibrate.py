# %% [markdown]
# # Calibrate on this machine, and read the fit
#
# `planner calibrate run` measures steps of a real model here and fits the step model to them. It
# needs torch: `pip install 'latency-planner[calibrate]'`. Where that is missing, or `MEASURE` is
# left False, the measurements that come with the project are read instead.

# %%
import importlib.util
import subprocess
import sys
import tempfile
from pathlib import Path

import calibrate

DATA = Path(calibrate.__file__).parent / "data" / "llama-40m"
HAS_TORCH = all(importlib.util.find_spec(name) for name in ("torch", "transformers"))
folder = Path(tempfile.mkdtemp())


def measure(minutes):
    """Measure the small Llama for about so long, in a process of its own."""
    command = [
        sys.executable, "-m", "planner", "calibrate", "run", "--quick", "--model", str(DATA),
        "--settings", "bf16", "--threads", "1", "--minutes", str(minutes), "--out", str(folder),
    ]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True, stdin=subprocess.DEVNULL)
    return folder / "measurements.jsonl"


MEASURE = False  # True to measure here, half a minute
measurements = measure(2) if MEASURE and HAS_TORCH else DATA / "measurements.jsonl"

# %% [markdown]
# ## The fit: coefficients with their errors, and how far off it is on points it has not seen

# %%
from calibrate.fit.profile import calibration_of
from calibrate.fit.report import fit_report
from calibrate.measure.journal import read_measurements

measured = read_measurements(measurements)
found = calibration_of(measured, "here")
print(fit_report(found.fit))

# %% [markdown]
# ## A simulation with that profile

# %%
import planner as pl

profile = folder / "profile.json"
profile.write_text(found.profile.model_dump_json(exclude_none=True))
result = pl.load("small_cpu", {"service.profile": str(profile)}).simulate()
print(f"ttft p95 {1000 * result.metrics['ttft']['p95'].value:.0f} ms")
