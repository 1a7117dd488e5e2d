"""Runs the command line as a user does: in this process where that is enough, else in its own."""

import contextlib
import importlib.util
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple
from unittest import mock

from planner import cli

#: The script, as installed beside the interpreter that runs the tests.
PLANNER = str(Path(sys.executable).with_name("planner"))

LLM = """\
name: small
traffic:
  duration: 40 s
  arrivals: {kind: poisson, rate: 5 req/s}
  lengths: {kind: fixed, prompt: 100, output: 20}
service: {kind: llm, model: llama-3.1-8b}
fleet: {device: H100-SXM-80GB, replicas: 2}
objectives: "ttft:p95<5s"
simulation: {seed: 1, replications: 2, warmup: 5 s}
"""
STAGES = """\
name: classifier
traffic:
  duration: 20 s
  arrivals: {kind: poisson, rate: 20 req/s}
  lengths: {kind: fixed, prompt: 100, output: 1}
service: {kind: stages, stages: [{name: encoder, compute: {time: 10 ms, degree: 2}}]}
simulation: {replications: 2, warmup: 2 s}
"""
CLOSED = """\
name: clients
traffic:
  requests: 200
  arrivals: {kind: closed_loop, clients: 8, think: {kind: exponential, mean: 1 s}}
  lengths: {kind: fixed, prompt: 100, output: 20}
service: {kind: llm, model: llama-3.1-8b}
fleet: {device: H100-SXM-80GB}
simulation: {replications: 2, warmup: 2 s}
"""
TRACE = """\
name: replay
traffic:
  arrivals: {kind: trace, path: trace.csv}
service: {kind: llm, model: llama-3.1-8b}
fleet: {device: H100-SXM-80GB, replicas: 2}
simulation: {warmup: 0 s}
"""


class Ran(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def clean(self):
        """Whether what went wrong was said in one voice, without a traceback."""
        return self.err.startswith("planner: ") and "Traceback" not in self.err


class _Stream(io.TextIOWrapper):
    def __init__(self):
        super().__init__(io.BytesIO(), encoding="utf-8")

    def text(self):
        self.flush()
        return self.buffer.getvalue().decode()


def planner(*args):
    """Run the command line in this process."""
    out, err = _Stream(), _Stream()
    code = None
    with (
        mock.patch.object(sys, "argv", ["planner", *map(str, args)]),
        mock.patch("signal.signal"),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            cli.main()
        except SystemExit as stop:
            code = stop.code or 0
    assert code is not None, "main() always exits"
    return Ran(code, out.text(), err.text())


def process(*args, before="", cwd=None, **env):
    """Start the command line in a process of its own, after the statements in `before`."""
    # a shell's background jobs, and what they start, ignore interrupts
    code = "import signal, sys\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n"
    code += f"{before}\nfrom planner.cli import main\nmain()"
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, args)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=cwd,
        env={**{k: v for k, v in os.environ.items() if k != "NO_COLOR"}, **env},
    )


def finish(started, timeout=60):
    """Return what came of a process."""
    out, err = started.communicate(timeout=timeout)
    return Ran(started.returncode, out.decode(), err.decode())


def sets(*overrides):
    """Return the arguments for overrides."""
    return [word for each in overrides for word in ("--set", each)]


HEAD = "arrival_s,prompt_tokens,output_tokens\n"
ROWS = "".join(f"{k / 2},100,20\n" for k in range(100))


def is_progress(shares, least=2):
    """Whether shares are those of work that goes on: several, none before the one it follows."""
    return len(shares) >= least and shares == sorted(shares) and 0 <= shares[0] <= shares[-1] <= 1


def refused(ran):
    """Return the messages of a run that was refused."""
    assert ran.code == 2, (ran.code, ran.err)
    assert ran.out == ""
    assert ran.clean, ran.err
    assert "internal error" not in ran.err
    assert len(ran.err) < 20_000
    return ran.err.removeprefix("planner: ")


def notices(ran):
    """Return the notices of a run, message by count."""
    assert ran.code in {0, 3}, ran.err
    return {each["message"]: each["count"] for each in json.loads(ran.out)["notices"]}


def script(path):
    """Return a script of bench/ as a module."""
    spec = importlib.util.spec_from_file_location(Path(path).stem, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where dataclasses look names up
    spec.loader.exec_module(module)
    return module
