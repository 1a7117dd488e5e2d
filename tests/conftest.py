"""Fixtures of the tests that run the command line on files of their own."""

import signal

import pytest
from command_line import TRACE, planner, sets

#: No input, however hostile, may keep a user waiting for longer. [s]
PATIENCE_S = 45


class TooLongError(BaseException):
    """Not an exception, so that nothing under test takes it for one of its own."""


@pytest.fixture
def bounded(monkeypatch):
    """End a test that takes too long, and pretend a small machine."""

    def stop(*_):
        raise TooLongError

    monkeypatch.setattr("planner.resources.available_memory", lambda: 2.0**31)
    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(PATIENCE_S)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


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
