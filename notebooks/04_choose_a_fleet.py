# %% [markdown]
# # Choose a fleet, and defend it
#
# The scenario `choose_fleet` says what may be bought and what a plan has to keep to. The search
# simulates candidates under the same traffic and recommends the cheapest that meets every objective
# with a probability of 95 % or more.

# %%
import tempfile
from pathlib import Path

import planner as pl

help_desk = pl.load("choose_fleet", {"traffic.duration": "10 min"})
store = Path(tempfile.mkdtemp()) / "evaluations.jsonl"
plan = help_desk.plan(store=store, jobs=1)
plan

# %% [markdown]
# ## Why not a cheaper one? What else is there?

# %%
best = plan.recommendation
print(best["because"])
frame = plan.to_frame()
frame[["kind", "device", "replicas", "weights", "usd_per_hour", "probability"]].round(3)

# %%
plan.plot()

# %% [markdown]
# ## Does it hold when twice as many come?

# %%
print(f"headroom: {best['headroom']:.0%} more traffic")
busy = help_desk.with_values({"traffic.rate": "24 req/s"}).plan(store=store, jobs=1)
print(f"at 24 req/s: ${busy.recommendation['usd_per_hour']:.2f}/h")

# %% [markdown]
# ## A page for the meeting

# %%
page = Path(tempfile.mkdtemp()) / "plan.html"
plan.save(page)
print(f"{page.stat().st_size / 1e3:.0f} kB")
