"""Memory: what is there, and what is refused."""

import math
import resource

import pytest

from planner import resources
from planner.errors import InputError
from planner.resources import available_memory, require_memory


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """Write the files in which Linux says how much memory there is."""

    def write(meminfo="", limit="max", used="0"):
        (tmp_path / "meminfo").write_text(meminfo)
        (tmp_path / "memory.max").write_text(limit)
        (tmp_path / "memory.current").write_text(used)
        monkeypatch.setattr(resources, "_MEMINFO", tmp_path / "meminfo")
        monkeypatch.setattr(resources, "_CGROUP", tmp_path)

    return write


def test_the_least_of_machine_and_container_is_there(machine):
    machine("MemTotal: 9 kB\nMemAvailable: 2000 kB\n", limit="5000000", used="1000000")
    assert available_memory() == 2_048_000
    machine("MemTotal: 9 kB\nMemAvailable: 2000 kB\n", limit="1500000", used="1000000")
    assert available_memory() == 500_000


@pytest.mark.parametrize("meminfo", ["", "MemTotal: 9 kB\n", "MemAvailable: many\n"])
def test_where_nothing_is_known_nothing_is_refused(machine, meminfo):
    machine(meminfo)
    assert available_memory() == math.inf
    require_memory(1e30, "all of it", "traffic")


def test_a_limit_of_the_process_counts(machine, monkeypatch):
    machine()
    monkeypatch.setattr(resource, "getrlimit", lambda _which: (2**50, 2**50))
    assert 2**50 - 2**40 < available_memory() < 2**50


def test_a_refusal_names_key_estimate_and_remedy(machine):
    machine("MemAvailable: 1048576 kB\n")
    require_memory(2**30, "as much as there is", "traffic")
    with pytest.raises(InputError) as error:
        require_memory(3 * 2**30, "300 requests; lower the rate", "traffic.rate")
    assert str(error.value) == (
        "traffic.rate: must fit into memory, 1 GiB, got 3 GiB for 300 requests; lower the rate"
    )
