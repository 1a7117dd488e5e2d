"""Speed of this project beside others, interleaved in one run: ``python bench/peers.py``.

Every entrant of ``bench/entrants.py`` runs once per round, each time in a process of its own, and
counts its own CPU seconds; a busy machine thus slows all of them alike. The table, medians over
rounds, is in the form of ``bench/README.md``. What is not installed is left out and named.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from entrants import ENTRANTS

HERE = Path(__file__).parent
PROJECT = "planner"


@dataclass
class Result:
    """Rates of one entrant over rounds.

    Parameters
    ----------
    name : str
        Entrant.
    version : str
        Version of what was measured.
    requests : int
        Requests per run.
    rates : list of float
        Requests per CPU-second of each run.
    """

    name: str
    version: str
    requests: int
    rates: list[float] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """Median of the rates."""
        return statistics.median(self.rates)


def measure(name: str, python: str) -> dict[str, float | str] | str:
    """Run entrant `name` once; return what it printed, or the last line of its error."""
    done = subprocess.run(
        [python, str(HERE / "entrants.py"), name], capture_output=True, text=True, check=False
    )
    if done.returncode:
        return (done.stderr.strip() or f"exit {done.returncode}").splitlines()[-1]
    answer: dict[str, float | str] = json.loads(done.stdout.splitlines()[-1])
    return answer


def race(names: list[str], rounds: int, peers_python: str) -> tuple[list[Result], dict[str, str]]:
    """Measure `names`, round after round; return the results and why others are missing."""
    results: dict[str, Result] = {}
    missing: dict[str, str] = {}
    for number in range(rounds):
        for name in names:
            if name in missing:
                continue
            own = name.startswith(PROJECT)
            answer = measure(name, sys.executable if own else peers_python)
            if isinstance(answer, str):
                missing[name] = answer
                results.pop(name, None)
                continue
            requests, seconds = int(answer["requests"]), float(answer["cpu_s"])
            result = results.setdefault(name, Result(name, str(answer["version"]), requests))
            result.rates.append(requests / seconds)
            print(f"round {number + 1}: {name} {requests / seconds:,.0f}/s", file=sys.stderr)
    return list(results.values()), missing


def table(results: list[Result]) -> str:
    """Return the results as Markdown, with the project's rate over each other of its problem."""
    own = {ENTRANTS[r.name].problem: r.rate for r in results if r.name.startswith(PROJECT)}
    titles = (
        "entrant", "version", "problem", "one event is a", "requests per run",
        "requests per CPU-second: median (range)", "this project over it",
    )  # fmt: skip
    rows = [titles, ("---",) * len(titles)]
    for r in results:
        entrant = ENTRANTS[r.name]
        spread = f"{r.rate:,.0f} ({min(r.rates):,.0f} to {max(r.rates):,.0f})"
        ratio = f"{own[entrant.problem] / r.rate:,.3g}" if entrant.problem in own else "-"
        rows.append(
            (r.name, r.version, entrant.problem, entrant.granularity, f"{r.requests:,}", spread,
             ratio)
        )  # fmt: skip
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def main() -> None:
    """Measure what is installed and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("names", nargs="*", default=list(ENTRANTS), help="entrants; all if none")
    parser.add_argument("--rounds", type=int, default=5, help="runs of each entrant")
    parser.add_argument(
        "--peers-python", default=sys.executable, help="interpreter that has the peers installed"
    )
    options = parser.parse_args()
    unknown = sorted(set(options.names) - set(ENTRANTS))
    if unknown:
        parser.error(f"unknown entrants {unknown}; known: {', '.join(ENTRANTS)}")
    results, missing = race(options.names, options.rounds, options.peers_python)
    print(table(results))
    for name, reason in missing.items():
        print(f"left out {name}: {reason}")


if __name__ == "__main__":
    main()
