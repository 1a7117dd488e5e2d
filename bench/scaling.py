"""Cost per request from ten thousand to ten million, and of the command line.

``python bench/scaling.py`` runs bench/million.yaml with as many requests as named, each in a
process of its own, and the whole command ``planner simulate bench/million.yaml`` at the end.
CPU seconds of the engine leave imports, compilation and drawing of a small run out; those of the
command count everything. Memory is the peak of the process.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent


def run(command: list[str]) -> tuple[str, float, float, int]:
    """Run `command`; return its output, CPU seconds, peak memory in MiB and exit code."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        output = process.stdout.read() if process.stdout else ""
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    return output, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, process.returncode


def main() -> None:
    """Print a row per size, and one for the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    sizes = [10_000, 100_000, 1_000_000, 10_000_000]
    parser.add_argument("sizes", nargs="*", type=int, default=sizes, help="numbers of requests")
    print("| requests | CPU s | us per request | requests per CPU-second | peak MiB |")
    print("|---|---|---|---|---|")
    for n in parser.parse_args().sizes:
        command = [sys.executable, str(HERE / "entrants.py"), "planner", str(n)]
        output, _, peak, code = run(command)
        if code:
            sys.exit(f"{' '.join(command)} exited {code}")
        seconds = json.loads(output.splitlines()[-1])["cpu_s"]
        each = seconds / n
        print(f"| {n:,} | {seconds:.3f} | {each * 1e6:.2f} | {1 / each:,.0f} | {peak:,.0f} |")
    script = Path(sys.executable).with_name("planner")
    command = [str(script), "simulate", str(HERE / "million.yaml")]
    _, seconds, peak, code = run(command)
    if code:
        sys.exit(f"{' '.join(command)} exited {code}")
    print(f"| command line, 1,000,000 | {seconds:.3f} | {seconds:.2f} | {1e6 / seconds:,.0f} "
          f"| {peak:,.0f} |")  # fmt: skip


if __name__ == "__main__":
    main()
