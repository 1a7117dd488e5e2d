"""What a result says beside what happened: what was run, on what, and with which sources."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from planner.errors import Notice
    from planner.scenario.objectives import Objective


@dataclass(frozen=True)
class RunContext:
    """What a result says beside what happened.

    Parameters
    ----------
    command : str
        The command line.
    tool_version : str
        Version of the tool.
    scenario : mapping
        The resolved scenario, as JSON values.
    seed : int
        Its seed.
    title : str
        Its name, for the header of the report.
    served_by : str
        One line on what served the requests.
    profile : str
        One line on where the coefficients come from; says so if they are assumed.
    provenance : mapping
        Source of each number, as JSON values.
    offered_per_s : float or None
        Mean rate of the offered traffic; None in a closed loop. [1/s]
    saturation_per_s : float or None
        Highest rate that the fleet sustains; None if not known. [1/s]
    traffic_random : bool
        False for replayed traffic, which is the same in every replication.
    price_per_replica_hour : float or None
        None where the cost is not known. [$/h]
    watts_per_replica : float or None
        Thermal design power of a replica's devices; None where it is not known. [W]
    confidence : float
        Of the intervals, in (0, 1).
    objectives : tuple of Objective
        Of all requests.
    class_objectives : mapping of str to tuple of Objective
        Of single classes.
    notices : tuple of Notice
        Beside those of the records.
    """

    command: str
    tool_version: str
    scenario: Mapping[str, Any]
    seed: int
    title: str = ""
    served_by: str = ""
    profile: str = ""
    provenance: Mapping[str, Any] = field(default_factory=dict)
    offered_per_s: float | None = None
    saturation_per_s: float | None = None
    traffic_random: bool = True
    price_per_replica_hour: float | None = None
    watts_per_replica: float | None = None
    confidence: float = 0.95
    objectives: tuple[Objective, ...] = ()
    class_objectives: Mapping[str, tuple[Objective, ...]] = field(default_factory=dict)
    notices: tuple[Notice, ...] = ()
