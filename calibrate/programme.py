"""What is simulated and served to compare the two: a scenario at several loads, and a backlog."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from planner.simulation.run import admissible, run_llm
from planner.simulation.saturation import backlog, saturation_per_replica

if TYPE_CHECKING:
    from collections.abc import Sequence

    from planner.results.records import Records
    from planner.scenario.model import Scenario
    from planner.simulation.control import Control
    from planner.simulation.run import Admissible
    from planner.simulation.system import System
    from planner.traffic.requests import Requests

#: Backlog that the saturation rate is measured with: its seconds, and its least requests per slot.
BACKLOG_S, BACKLOG_PER_SLOT = 20.0, 8


@dataclass(frozen=True)
class Load:
    """A rate at which a scenario is simulated and served.

    Parameters
    ----------
    label : str
        What to call it.
    scenario : Scenario
        At this rate, without a network.
    drawn : Requests
        As the scenario sends them.
    taken : Admissible
        What of them the engine takes.
    """

    label: str
    scenario: Scenario
    drawn: Requests
    taken: Admissible

    @classmethod
    def of(cls, scenario: Scenario, system: System, rate: float | None, label: str) -> Load:
        """Return `scenario` at `rate`, or at its own, with its requests."""
        traffic = scenario.traffic
        if rate is not None:
            traffic = traffic.model_copy(update={"rate": rate})
        scenario = scenario.model_copy(update={"traffic": traffic})
        drawn = traffic.draw(scenario.simulation.seed, 0, scenario.base_dir)
        return cls(label, scenario, drawn, admissible(drawn, system))

    def simulate(self, system: System, control: Sequence[Control] = ()) -> Records:
        """Return what a simulation makes of it, with control processes beside the scenario's."""
        return run_llm(self.scenario, system, self.drawn, replication=0, control=control)


@dataclass(frozen=True)
class Programme:
    """What every round serves.

    Parameters
    ----------
    loads : tuple of Load
        One after the other.
    waiting : Requests
        A backlog, served after them.
    saturation : float
        Rate at which a backlog is predicted to finish. [1/s]
    """

    loads: tuple[Load, ...]
    waiting: Requests
    saturation: float

    @classmethod
    def planned(
        cls, scenario: Scenario, system: System, base: Requests, shares: Sequence[float]
    ) -> Programme:
        """Return the loads at `shares` of the saturation that is predicted for `system`.

        Parameters
        ----------
        scenario : Scenario
            Without a network.
        system : System
            Its replica, at the speed of the machine.
        base : Requests
            The scenario's own: the backlog has their lengths.
        shares : sequence of float
            Empty for the scenario's own rate. [-]
        """
        saturation = saturation_per_replica(system, base)
        loads = [
            Load.of(scenario, system, share * saturation, f"{100 * share:g} %") for share in shares
        ]
        slots = int(system.config(seed=0)[0].max_num_seqs)
        n = max(int(BACKLOG_S * saturation), BACKLOG_PER_SLOT * slots)
        return cls(
            loads=tuple(loads) or (Load.of(scenario, system, None, "as written"),),
            waiting=backlog(system, base, n),
            saturation=saturation,
        )

    @property
    def requests(self) -> list[Requests]:
        """All that is served."""
        return [*(load.taken.requests for load in self.loads), self.waiting]

    @property
    def backlog_s(self) -> float:
        """How long the backlog takes [s]."""
        return len(self.waiting) / self.saturation

    @property
    def round_s(self) -> float:
        """How long a round takes [s]."""
        return sum(map(self.load_s, self.loads)) + self.backlog_s

    def load_s(self, load: Load) -> float:
        """How long a load takes: until its last request, and over saturation until all are done."""
        return max(load.drawn.end_s, len(load.taken.requests) / self.saturation)
