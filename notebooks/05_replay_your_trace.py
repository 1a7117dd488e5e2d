# %% [markdown]
# # Replay your own trace
#
# A trace is a table of requests: when each arrived, how many tokens its prompt and its answer had.
# `planner import results.json -o rows.csv` makes one of what a load generator wrote. Here a small
# one is made up; put yours in its place.

# %%
import csv
import tempfile
from pathlib import Path

import numpy as np

import planner as pl

rng = np.random.default_rng(5)
folder = Path(tempfile.mkdtemp())
arrivals = np.cumsum(rng.exponential(0.25, 1200))
with (folder / "rows.csv").open("w", newline="") as file:
    table = csv.writer(file)
    table.writerow(["arrival_s", "prompt_tokens", "output_tokens"])
    for at in arrivals:
        table.writerow(
            [f"{at:.3f}", int(rng.lognormal(6, 0.8)) + 1, int(rng.lognormal(4.5, 0.6)) + 1]
        )

# %% [markdown]
# ## The scenario: the trace, a model, a fleet, what is asked for

# %%
SCENARIO = """
name: mine
traffic:
  arrivals: {kind: trace, path: rows.csv}
service: {kind: llm, model: llama-3.1-8b}
fleet: {device: L40S, replicas: 1}
objectives: "ttft:p95<1s; tpot:p95<60ms"
simulation: {warmup: 30 s}
"""
mine = pl.parse(SCENARIO, folder=folder)
for line in mine.check():
    print(line)

# %%
result = mine.simulate()
result

# %%
result.plot("ttft_distribution")

# %% [markdown]
# Where the time of a slow request goes: what it waits, more replicas or larger steps help; what it
# computes or reads, other settings or devices.

# %%
result.plot("ttft_parts")

# %% [markdown]
# ## One replica or two? Today's rate or twice that?

# %%
frame = mine.sweep({"fleet.replicas": [1, 2], "traffic.rate": ["4 req/s", "8 req/s"]}).to_frame()
frame[["fleet.replicas", "traffic.rate", "ttft_p95_s", "tpot_p95_s", "load"]].round(3)
