"""What stands in the way: of a cheaper or better plan, or of any."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from planner.planning.option import Option


@dataclass(frozen=True)
class Bind:
    """One thing that keeps a plan from being cheaper, or from being more.

    Parameters
    ----------
    name : str
        A part of the latency (``wait, compute, storage, transfer, overhead, kv``) or a constraint
        (``quality, measured_only, cost, devices, power, replicas``).
    why : str
        What would be without it.
    """

    name: str
    why: str

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {"limit": self.name, "why": self.why}


@dataclass(frozen=True)
class Nearest:
    """The nearest plan that can be had where the one asked for cannot.

    Parameters
    ----------
    change : str
        The constraint as it would have to be, as ``--max-cost '$212/h'``.
    option : Option
        What it buys.
    """

    change: str
    option: Option

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {"change": self.change, **self.option.to_json()}


@dataclass(frozen=True)
class Infeasible:
    """Why there is no plan.

    Parameters
    ----------
    binding : str
        Constraint that binds, the first of several that bind together: ``target, cost, devices,
        power, quality, measured_only, replicas``; ``space`` where no candidate can be built,
        whatever the target.
    why : str
        One sentence.
    nearest : tuple of Nearest
        What could be had, each by changing one constraint, or those that bind together; a looser
        target first.
    """

    binding: str
    why: str
    nearest: tuple[Nearest, ...]

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values; ``nearest`` is a list."""
        return {
            "binding": self.binding,
            "why": self.why,
            "nearest": [each.to_json() for each in self.nearest],
        }
