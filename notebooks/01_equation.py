# %% [markdown]
# # The equation, and the article's example
#
# A response takes what its work takes, divided by what speeds it up:
# `T_r = T_c/(a_c P_c) + T_s/(a_s P_s) + T_t/(a_t P_t)`, and what it waited.
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
# That is a request alone. With others there are queues: the same stage, simulated, at rates up to
# what it sustains. At half of that rate the mean wait is still zero for evenly spaced arrivals;
# Poisson arrivals wait.

# %%
from planner.evaluate import simulate
from planner.scenario.bundled import find_scenario
from planner.scenario.reader import load_scenario

limit = after.saturation_rate()
rows = []
for load in (0.2, 0.5, 0.8, 0.95):
    scenario = load_scenario(
        find_scenario("article_example"),
        [
            f"traffic.arrivals={{kind: poisson, rate: {load * limit:.6g} req/s}}",
            "traffic.requests=20000",
            "traffic.duration=~",
            "simulation.warmup=1 s",
        ],
    )
    metrics = simulate(scenario).result.whole.metrics.latency["e2e"]
    rows.append((load, 1000 * metrics["mean"].value, 1000 * metrics["p99"].value))
for load, mean, p99 in rows:
    print(f"load {load:.2f}: mean {mean:6.2f} ms, p99 {p99:6.2f} ms")
