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
import planner as pl
from calibrate.fit.results import write_results
from calibrate.measure.journal import read_measurements

write_results(read_measurements(measurements), folder, "here", leave_one_out=True)
fit = pl.read(folder)
fit

# %% [markdown]
# Each point of the next chart is a step: how far off the fit is for it when it was fitted without
# it. What a step has to do grows to the right; a slope would mean that the model lacks something.

# %%
fit.plot("residuals_tokens")

# %% [markdown]
# Which coefficients the measurements cannot tell apart: an error in one is made good by the other.

# %%
fit.plot("correlations")

# %%
fit.charts

# %% [markdown]
# ## A simulation with that profile

# %%
profile = folder / "profile.json"
result = pl.load("small_cpu", {"service.profile": str(profile)}).simulate()
print(f"ttft p95 {1000 * result.metrics['ttft']['p95'].value:.0f} ms")
result.plot("e2e_parts")
