"""Small results of commands that take long, as JSON has them, and any damage to them."""

from hypothesis import strategies as st

from planner import __version__

HEAD = {"schema_version": 1, "tool_version": __version__, "command": "planner validate x"}


def errors(n, off):
    return {"n": n, "mape": off, "median_ape": off, "bias": -off}


def points(name="one"):
    """Return what `validate POINTS --json` prints: two engines, a metric each way off."""
    ids = [f"{name}-{k}" for k in range(40)]
    measured = [0.01 * 1.2**k for k in range(40)]
    return {
        **HEAD,
        "points": 50,
        "predicted": 40,
        "unsupported": {f"no device {name}": 10},
        "metrics": {"throughput": errors(20, 0.5), "ttft": errors(20, 0.1)},
        "by": {f"H100 {name}": {"ttft": errors(20, 0.1)}},
        "worst": [],
        "rows": {
            "id": ids,
            "metric": ["ttft" if k % 2 else "throughput" for k in range(40)],
            "measured": measured,
            "predicted": [each * (1.1 if k % 2 else 0.5) for k, each in enumerate(measured)],
            "groups": {
                "engine": [f"vllm {name}" if k % 3 else "sglang" for k in range(40)],
                "device": ["H100"] * 40,
                "profile": [f"h100-vllm {name}"] * 40,
                "dataset": ["d"] * 40,
            },
        },
    }


def row(metric, statistic, predicted, runs, *, met=None):
    known = [run for run in runs if run is not None]
    measured = sum(known) / len(known)
    return {
        "metric": metric,
        "statistic": statistic,
        "unit": "s" if statistic else "1/s",
        "predicted": predicted,
        "by_profile": None,
        "measured": measured,
        "runs": runs,
        "spread": None if len(runs) == 1 else (max(known) - min(known)) / measured,
        "error": None if predicted is None else predicted / measured - 1,
        "met": met,
    }


def compared(name="one", tolerance=0.2):
    """Return what `validate --json` prints: two loads, one number missed."""
    met = [None, None] if tolerance is None else [True, False]
    loads = [
        {
            "label": f"{share} % {name}",
            "requests_per_s": 2.0,
            "requests": 100,
            "rows": [
                row("ttft", "p95", 0.11, [0.1, 0.11, 0.105], met=met[0]),
                row("e2e", "p95", 2.0, [1.0, 1.1, 1.05], met=met[1]),
                row("output tokens", None, 250.0, [240.0, 250.0, None], met=met[0]),
            ],
        }
        for share in (60, 90)
    ]
    return {
        **HEAD,
        "facts": {"scenario": f"served {name}", "profile": "assumed"},
        "tolerance": tolerance,
        "comparisons": loads,
    }


def paths_in(value, path=()):
    """Yield the path of every value."""
    yield path
    if isinstance(value, dict | list):
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
        for key, each in pairs:
            yield from paths_in(each, (*path, key))


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=5,
)


def judged(name="one"):
    """Return what `calibrate quality --json` prints: fp32, one that is as good, one unknown."""

    def known(value, error):
        return {"value": value, "low": value - error, "high": value + error, "stderr": error / 2}

    def variant(title, ratio, agreement):
        quality = {
            "perplexity": known(45.0 * ratio, 2.0),
            "ratio": known(ratio, 0.01),
            "agreement": known(agreement, 0.005),
            "tokens": 6132,
        }
        return {"variant": title, "weight_bytes": 269_000_000, "quality": quality}

    return {
        "schema_version": 1,
        "about": f"model {name}",
        "text": f"text {name}.txt",
        "rows": [
            variant("bf16", 1.001, 0.97),
            variant("int4", 1.5, 0.7),
            {"variant": f"int8 {name}", "weight_bytes": 1, "quality": "unknown"},
        ],
    }


def calibrated(name="one"):
    """Return what `calibrate fit --json` prints: coefficients, a setting, quality, residuals."""
    origin = {"provenance": "fitted", "source": f"steps of {name}"}
    steps = 24
    return {
        **HEAD,
        "profile": {
            "schema_version": 1,
            "name": f"fit {name}",
            "device": "any",
            "engine": "calibrate",
            "engine_version": "0",
            "created": "2026-11-20",
            "fingerprint": f"machine {name}",
            "about": [f"about {name}"],
            "coefficients": {
                "compute_efficiency": {"value": 0.7, "stderr": 0.07, **origin},
                "storage_efficiency": {"value": 0.5, "stderr": 0.3, **origin},
                "overhead_fixed": {"value": 0.001, "provenance": "assumed", "source": "guess"},
            },
            "devices": {},
            "covariance": {
                "names": ["compute_efficiency", "storage_efficiency"],
                "matrix": [[0.0049, -0.0189], [-0.0189, 0.09]],
            },
            "settings": {"weights.int4": {"storage": {"value": 1.4, "stderr": 0.1, **origin}}},
            "quality": {
                variant: {"perplexity": {"value": value, "stderr": 0.1, **origin}}
                for variant, value in (("bf16", 45.0), ("int4", 50.0), ("structured:0.5", 90.0))
            },
        },
        "residuals": {
            "left_out": True,
            "variant": ["bf16" if k % 2 else f"int4 {name}" for k in range(steps)],
            "kind": ["prefill" if k % 3 else "decode" for k in range(steps)],
            "seconds": [0.001 * 1.2**k for k in range(steps)],
            "tokens": [1.0 + k for k in range(steps)],
            "sequences": [1.0] * steps,
            "context": [10.0 * (1 + k) for k in range(steps)],
            "error": [0.02 * (k % 5 - 2) for k in range(steps)],
        },
    }
