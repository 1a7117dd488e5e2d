"""Fixtures of the tests that run the command line on files of their own."""

import contextlib
import signal

import pytest
from command_line import LLM, TRACE, planner, sets
from hypothesis import settings

from planner.evaluate import simulate as simulate_scenario
from planner.scenario.reader import read_scenario

# how long an example takes says more about the machine than about what is tested
settings.register_profile("work_not_time", deadline=None)
settings.load_profile("work_not_time")

#: No input, however hostile, may take more CPU time, nor may it block for longer. [s]
PATIENCE_S, BLOCKED_S = 45, 300


class TooLongError(BaseException):
    """Not an exception, so that nothing under test takes it for one of its own."""


@pytest.fixture(scope="session")
def compiled():
    """Compile the simulator, so that no test's time holds that."""
    simulate_scenario(read_scenario(LLM))


@pytest.fixture
def bounded(monkeypatch, compiled):  # noqa: ARG001 - has to happen before
    """End a test that takes too long, and pretend a small machine."""

    def stop(*_):
        raise TooLongError

    monkeypatch.setattr("planner.resources.available_memory", lambda: 2.0**31)
    signals = (signal.SIGALRM, signal.SIGPROF)
    before = [signal.signal(each, stop) for each in signals]
    signal.alarm(BLOCKED_S)
    signal.setitimer(signal.ITIMER_PROF, PATIENCE_S)
    yield
    signal.setitimer(signal.ITIMER_PROF, 0)
    signal.alarm(0)
    for each, handler in zip(signals, before, strict=True):
        signal.signal(each, handler)


@pytest.fixture
def bars(monkeypatch):
    """What commands would show of their progress on a terminal: by label, the shares told."""
    told = {}

    @contextlib.contextmanager
    def recorded(label):
        yield told.setdefault(label, []).append

    monkeypatch.setattr("planner.report.progress.progress", recorded)
    return told


@pytest.fixture
def simulate(tmp_path):
    def run(text, *changes, args=("-q",)):
        path = tmp_path / "s.yaml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        ran = planner("simulate", path, *args, *sets(*changes))
        return ran._replace(err=ran.err.replace(f"{tmp_path}/", ""))

    return run


@pytest.fixture
def replay(tmp_path, simulate):
    def run(content, *changes, name="trace.csv", args=("-q", "--json")):
        data = content if isinstance(content, bytes) else content.encode()
        (tmp_path / name).write_bytes(data)
        return simulate(TRACE, f"traffic.arrivals.path={name}", *changes, args=args)

    return run
