# %% [markdown]
# # What if: the chatbot with other fleets, rates and settings
#
# An hour of real chat traffic on two H100. The functions of this notebook work by themselves; with
# `ipywidgets` (`pip install 'latency-planner[notebook]'`) the last cell has sliders.

# %%
import planner as pl

chatbot = pl.load("chatbot", {"simulation.replications": 1})
today = chatbot.simulate()
today

# %%
today.plot()

# %% [markdown]
# ## One change at a time


# %%
def what_if(replicas=2, rate=5.5, kv_cache="bf16"):
    """Return the result with so many replicas, at that rate [req/s], with that KV cache."""
    values = {
        "fleet.replicas": replicas,
        "traffic.rate": f"{rate} req/s",
        "service.settings.kv_cache": kv_cache,
    }
    return chatbot.with_values(values).simulate()


one = what_if(replicas=1)
for name, result in (("today", today), ("one replica", one), ("fp8 KV", what_if(kv_cache="fp8"))):
    p95 = 1000 * result.metrics["ttft"]["p95"].value
    print(
        f"{name:12} ttft p95 {p95:7.1f} ms, ${result.cost['usd_per_hour']:.2f}/h, met {result.met}"
    )

# %% [markdown]
# ## A grid: all with the same requests, so that differences are not luck

# %%
grid = chatbot.sweep({"fleet.replicas": [1, 2, 3], "traffic.rate": "4,8,12 req/s"})
frame = grid.to_frame()
frame[["fleet.replicas", "traffic.rate", "ttft_p95_s", "tpot_p95_s", "load"]].round(3)

# %%
grid.plot()

# %% [markdown]
# ## With sliders

# %%
try:
    import ipywidgets
except ModuleNotFoundError:
    print("no ipywidgets here: call what_if(replicas, rate, kv_cache) instead")
else:
    ipywidgets.interact(
        what_if,
        replicas=ipywidgets.IntSlider(2, 1, 8, continuous_update=False),
        rate=ipywidgets.FloatSlider(value=5.5, min=1, max=30, continuous_update=False),
        kv_cache=["bf16", "fp8"],
    )
