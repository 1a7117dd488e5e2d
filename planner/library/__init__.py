"""The planner from Python: what ``import planner`` offers.

Scenarios that are read, changed and run; results that show themselves in a notebook, draw
themselves, and become tables of pandas. See ``docs/library.md``.
"""

from planner.library.choice import Plan
from planner.library.grid import Sweep
from planner.library.limit import Capacity
from planner.library.result import Result
from planner.library.run import capacity, plan, simulate, sweep
from planner.library.scenario import Scenario, load, parse
from planner.library.written import Report, read

__all__ = [
    "Capacity",
    "Plan",
    "Report",
    "Result",
    "Scenario",
    "Sweep",
    "capacity",
    "load",
    "parse",
    "plan",
    "read",
    "simulate",
    "sweep",
]
