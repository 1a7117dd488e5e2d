# %% [markdown]
# # The equation, and the article's example
#
# A response takes what its work takes, divided by what speeds it up, and what it waited and what
# goes on beside the work:
#
# $$
# T_r = T_{wait} + \frac{T_c}{a_c P_c} + \frac{T_s}{a_s P_s} + \frac{T_t}{a_t P_t} + T_{overhead}
# $$
#
# with compute, storage and transfer times $T$, degrees of parallelism $P$, and speedups $a$.
#
# The example: 10 ms of compute, 5 ms of storage, 3 ms of transfer. Half the weights pruned makes
# compute and storage twice as fast (a = 2); 8 compute units, 4 storage units, 4 channels.

# %%
from planner.latency.stages import Stage, StagePart

before = Stage(
    name="before",
    compute=StagePart(time=10e-3),
    storage=StagePart(time=5e-3),
    transfer=StagePart(time=3e-3),
)
after = Stage(
    name="after",
    compute=StagePart(time=10e-3, degree=8, speedup=2),
    storage=StagePart(time=5e-3, degree=4, speedup=2),
    transfer=StagePart(time=3e-3, degree=4),
)
before_ms, after_ms = 1000 * before.total(), 1000 * after.total()
print(f"{before_ms:.2f} ms before, {after_ms:.2f} ms after, {1 - after_ms / before_ms:.0%} less")

# %% [markdown]
# ## What it is made of
#
# Both come as scenarios. A simulated request alone takes what the equation says, part by part.

# %%
import planner as pl

pl.load("article_example_before").simulate().plot("e2e_parts")

# %%
pl.load("article_example").simulate().plot("e2e_parts")

# %% [markdown]
# ## More units help the part they work on, and no other
#
# From one compute unit to sixteen: the 10 ms of compute shrink to nothing, and the rest stays.

# %%
units = pl.load("article_example").sweep({"service.stages.0.compute.degree": [1, 2, 4, 8, 16]})
units.to_frame()[["service.stages.0.compute.degree", "e2e_mean_s"]].round(6)

# %%
units.plot()

# %% [markdown]
# ## With others there are queues
#
# That was a request alone. With Poisson arrivals requests wait for each other, the more the nearer
# their rate is to what the stage sustains.

# %%
limit = after.saturation_rate()
poisson = pl.load(
    "article_example",
    {
        "traffic.arrivals": {"kind": "poisson", "rate": f"{0.5 * limit:g} req/s"},
        "traffic.requests": 20_000,
        "simulation.warmup": "1 s",
    },
)
loads = poisson.sweep({"traffic.rate": [share * limit for share in (0.2, 0.5, 0.8, 0.9, 0.95)]})
loads.to_frame()[["traffic.rate", "load", "wait_mean_s", "e2e_mean_s", "e2e_p99_s"]].round(5)

# %%
loads.plot()

# %%
poisson.with_values({"traffic.rate": f"{0.95 * limit:g} req/s"}).simulate().plot("e2e_parts")
