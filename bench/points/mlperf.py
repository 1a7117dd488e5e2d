"""MLPerf's results for Llama 2 70B held against predictions.

``python bench/points/mlperf.py`` predicts, for every system of MLPerf Inference whose device and
engine have a profile fitted to other data, how many tokens a second it generates: *offline* with
all requests at hand, *server* and *interactive* at the largest rate of Poisson arrivals for which
the 99th percentiles of TTFT and TPOT are within the benchmark's limits. No row of MLPerf was ever
fitted to. The logs print neither prompt lengths nor parallelism: ``mlperf.yaml`` has them.

A system is so many replicas, each of the fewest devices that hold the weights where its submitter
has published no other degree, and each gets its share of the load. Lengths are drawn from the
distribution that says no more than their least, mean and most: an exponential, cut at both ends.
"""

from __future__ import annotations

import argparse
import collections
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import yaml
from scipy.optimize import brentq

from planner.catalog.catalogue import find_model
from planner.catalog.profile import PACKAGED, load_profile
from planner.simulation.saturation import saturation_per_replica
from planner.simulation.serve import serve
from planner.spec import Spec
from planner.streams import stream
from planner.traffic.requests import Requests
from planner.validation.points.deployment import Deployment, UnsupportedError, deployment, family
from planner.validation.points.table import read_points

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from planner.catalog.profile import Profile
    from planner.simulation.system import System
    from planner.validation.points.table import Point

HERE = Path(__file__).parent
#: Requests of a simulation, of which the first and last tenth are not looked at: MLPerf's run is
#: ten minutes or more, and its start and end are a small part of it.
REQUESTS, EDGE = 6000, 0.1
#: How near the largest rate is found, as a share of what is finished with an endless backlog.
NEAR = 0.02
DEGREES = (1, 2, 4, 8)
#: vLLM from which profiles speak of it. 0.6 took 1.8 times the load of 0.5.3 with Llama 70B on four
#: H100s, at half the time per token, since it spends less on the host between steps (vLLM's blog,
#: "vLLM v0.6.0: 2.7x throughput improvement and 5x latency reduction", 5 September 2024). The
#: profiles are of 2025 and 2026.
OVERHAULED = (0, 6)
_VLLM = re.compile(r"vllm[ -](\d+)\.(\d+)", re.IGNORECASE)
#: Models whose parameters differ by less than this factor are of about the same size.
ALIKE = 3.0


class Lengths(Spec):
    """Tokens of a prompt or an answer."""

    least: int
    mean: float
    most: int

    def drawn(self, n: int, rng: np.random.Generator) -> npt.NDArray[np.int32]:
        """Return `n` lengths."""
        scale, span = _scale(self.mean - self.least, self.most - self.least), self.most - self.least
        whole = -np.expm1(-span / scale)
        found = self.least - scale * np.log1p(-rng.uniform(size=n) * whole)
        return np.asarray(np.rint(found), np.int32)


def _scale(mean: float, span: float) -> float:
    """Return the scale of the exponential that has `mean` when cut at `span`."""

    def off(scale: float) -> float:
        return float(scale - span / np.expm1(span / scale) - mean)

    return float(brentq(off, mean / 2, 100 * span))


class Limit(Spec):
    """The 99th percentiles that a benchmark allows, in seconds."""

    ttft_s: float
    tpot_s: float


class Benchmark(Spec):
    """What the logs of one model do not print; see ``mlperf.yaml``."""

    prompt: Lengths
    answer: Lengths
    limits: dict[str, Limit]
    tensor_parallel: dict[str, int]
    submitted: dict[str, int]
    printed_as_fp16: dict[str, str]


@dataclass(frozen=True)
class Predicted:
    """A row, and what is predicted of it.

    Parameters
    ----------
    point : Point
        The row.
    replica : str
        What serves it: device, degree, type of the weights, profile.
    tokens_s : float
        Output tokens per second of the whole system.
    """

    point: Point
    replica: str
    tokens_s: float

    @property
    def error(self) -> float:
        """``predicted / measured - 1``."""
        return self.tokens_s / _measured(self.point) - 1

    @property
    def device(self) -> str:
        """What its devices are called."""
        return f"all of {self.point.device}"

    @property
    def older(self) -> bool:
        """Whether the engine is older than any that a profile was fitted to."""
        found = _VLLM.search(self.point.texts["engine"])
        return found is not None and (int(found[1]), int(found[2])) < OVERHAULED

    @property
    def system(self) -> str:
        """The round it was submitted to, and what served it; MaxQ has a limit of its power."""
        limited = ", MaxQ" if "MaxQ" in self.point.texts["notes"] else ""
        return f"{self.point.texts['dataset'].rpartition('_')[2]}, {self.replica}{limited}"


def _measured(point: Point) -> float:
    """Return output tokens per second of the whole system."""
    return point.number("tput_out_tok_s") or point.numbers["tput_req_s"] * point.numbers["osl"]


def profile_of(device: str, engine: str, weights: str, size: float, kind: str) -> Profile:
    """Return the profile that speaks most of such a load.

    Of dense models; first one fitted to weights of the type, of these one fitted to a model of
    about the size, of these to latencies where the benchmark limits them and else to throughput.

    Parameters
    ----------
    device, engine, weights : str
        Of the system.
    size : float
        Parameters of the model; :data:`ALIKE` times as many or as few are about the same.
    kind : str
        Of load: ``mlperf_offline`` has no limits.

    Raises
    ------
    UnsupportedError
        If there is none of the device and engine.
    """
    found = [
        each
        for each in map(load_profile, PACKAGED)
        if (each.device, each.engine) == (device, engine)
        and each.evidence is not None
        and "dense" in each.evidence.kernels
    ]
    if not found:
        raise UnsupportedError("no profile fitted to its device and engine")
    metric = "throughput" if kind == "mlperf_offline" else "ttft"

    def nearness(profile: Profile) -> tuple[bool, bool, bool]:
        evidence = profile.evidence
        assert evidence is not None  # noqa: S101 - chosen so above
        sizes = (find_model(each).parameters for each in evidence.models)
        return (
            weights in evidence.formats,
            any(1 / ALIKE < each / size < ALIKE for each in sizes),
            metric in evidence.in_sample,
        )

    return max(found, key=nearness)


class Predictor:
    """Predictions of rows; systems that are alike are simulated once."""

    def __init__(self, benchmarks: dict[str, Benchmark]) -> None:
        self._benchmarks = benchmarks
        self._rates: dict[tuple[str, str], float] = {}

    def predict(self, point: Point) -> Predicted:
        """Return what is predicted of a row.

        Raises
        ------
        UnsupportedError
            If the row cannot be predicted, with the reason.
        """
        benchmark = self._benchmarks.get(point.model)
        if benchmark is None:
            raise UnsupportedError("a model whose prompt lengths are not published")
        engine = _engine(point)
        weights = point.texts["dtype"].lower()
        if weights == "fp16":
            weights = benchmark.printed_as_fp16.get(engine, weights)
        kind, size = point.texts["kind"], find_model(point.model).parameters
        profile = profile_of(point.device, engine, weights, size, kind)
        made = replace(point, texts={**point.texts, "engine": engine, "dtype": weights})
        replica, degree = _replica(made, benchmark)
        label = f"{point.device} TP{degree}, {weights}, {profile.name}"
        if (label, kind) not in self._rates:
            system = replica.system(profile)
            found = largest_rate(system, benchmark, benchmark.limits.get(kind))
            self._rates[label, kind] = found
        replicas = (point.number("n_gpus") or degree) / degree
        answer = point.number("osl") or benchmark.answer.mean
        return Predicted(point, label, self._rates[label, kind] * replicas * answer)


def _engine(point: Point) -> str:
    """Return the engine: NVIDIA's LLM benchmarks run on TensorRT-LLM, logs say TensorRT."""
    name = point.texts["engine"]
    return "trtllm" if name.startswith("TensorRT") else family(name)


def _replica(point: Point, benchmark: Benchmark) -> tuple[Deployment, int]:
    """Return a replica of the row's system, and its devices."""
    notes = point.texts["notes"]
    own = [n for start, n in benchmark.submitted.items() if notes.startswith(start)]
    given = own[0] if own else benchmark.tensor_parallel.get(point.device)
    usual = round(benchmark.prompt.mean + benchmark.answer.mean)
    for degree in (given,) if given else DEGREES:
        made = replace(point, numbers={**point.numbers, "tp": float(degree)})
        try:
            return deployment(made, usual), degree
        except UnsupportedError as error:
            if "do not fit" not in str(error):
                raise
    raise UnsupportedError("weights and KV cache do not fit the memory")


def largest_rate(system: System, benchmark: Benchmark, limit: Limit | None) -> float:
    """Return the requests per second that a replica serves within `limit`, or at most."""
    rng = stream(0, 0, "mlperf")
    prompt, answer = (each.drawn(REQUESTS, rng) for each in (benchmark.prompt, benchmark.answer))
    gaps = rng.exponential(size=REQUESTS)
    at_once = _requests(np.zeros(REQUESTS), prompt, answer)
    most = saturation_per_replica(system, at_once)
    if limit is None:
        return most
    low, high = 0.0, 1.0
    while high - low > NEAR:
        share = (low + high) / 2
        served = serve(system, _requests(np.cumsum(gaps) / (share * most), prompt, answer))
        middle = slice(int(EDGE * REQUESTS), int((1 - EDGE) * REQUESTS))
        ttft = np.nanpercentile(served.ttft_s[middle], 99)
        tpot = np.nanpercentile(served.tpot_s[middle], 99)
        if ttft <= limit.ttft_s and tpot <= limit.tpot_s:
            low = share
        else:
            high = share
    return low * most


def _requests(
    arrival: npt.NDArray[np.float64],
    prompt: npt.NDArray[np.int32],
    answer: npt.NDArray[np.int32],
) -> Requests:
    n = len(arrival)
    zeros = np.zeros(n)
    return Requests(
        arrival, prompt, answer, np.zeros(n, np.int16), np.arange(n), zeros, ("all",), (),
        float(arrival[-1]) + 1,
    )  # fmt: skip


def table(rows: Sequence[Predicted]) -> str:
    """Return the errors by kind of load, and by system."""
    lines = ["| load | round, replica, profile | n | MAPE | median | bias |", f"|{'---|' * 6}"]
    for kind in sorted({each.point.texts["kind"] for each in rows}):
        some = [each for each in rows if each.point.texts["kind"] == kind]
        name = kind.removeprefix("mlperf_")
        lines.append(_line(f"**{name}**", "all", some))
        newer = [each for each in some if not each.older]
        if newer and len(newer) < len(some):
            lines.append(_line(name, "all but vLLM before 0.6", newer))
        for label, part in (*_sorted(some, "device"), *_sorted(some, "system")):
            lines.append(_line(name, label, part))
    return "\n".join(lines)


def _sorted(rows: Sequence[Predicted], what: str) -> list[tuple[str, list[Predicted]]]:
    """Return the rows by a property of theirs."""
    found: dict[str, list[Predicted]] = {}
    for row in rows:
        found.setdefault(getattr(row, what), []).append(row)
    return sorted(found.items())


def _line(kind: str, label: str, rows: Sequence[Predicted]) -> str:
    errors = np.array([each.error for each in rows])
    size = np.abs(errors)
    shown = [f"{100 * float(how(size)):.1f} %" for how in (np.mean, np.median)]
    return (
        f"| {kind} | {label} | {len(rows)} | {' | '.join(shown)} | {100 * errors.mean():+.1f} % |"
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Predict, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--points", type=Path, default=HERE / "measured_points.csv.gz")
    given = parser.parse_args(arguments)
    known = yaml.safe_load((HERE / "mlperf.yaml").read_text(encoding="utf-8"))
    predictor = Predictor({name: Benchmark.model_validate(each) for name, each in known.items()})
    rows, reasons = [], collections.Counter[str]()
    for point in read_points(given.points):
        if not point.texts["dataset"].startswith("mlperf_inference"):
            continue
        try:
            rows.append(predictor.predict(point))
        except UnsupportedError as error:
            reasons[str(error)] += 1
    print(table(rows), end="\n\n")
    print("| not predicted | rows |\n|---|---|")
    for reason, n in reasons.most_common():
        print(f"| {reason} | {n} |")


if __name__ == "__main__":
    main()
