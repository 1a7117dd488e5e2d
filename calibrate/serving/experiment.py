"""What was measured of a serving engine, and what a profile predicts of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from planner.catalog.profile import Profile


class Experiment(Protocol):
    """One load that an engine was put under, measured end to end.

    Metrics are called as their latency and statistic: ``ttft.mean``, ``tpot.p95``, all in seconds
    or, for throughput, per second. They must be positive: a fit compares logarithms.
    """

    @property
    def name(self) -> str:
        """What reports call it."""

    @property
    def groups(self) -> Mapping[str, str]:
        """Kind of group to group, as ``{"model": "llama-3.1-8b", "tp": "2"}``.

        Cross-validation leaves out all experiments of a group at once.
        """

    @property
    def measured(self) -> Mapping[str, float]:
        """Measured value by metric."""

    @property
    def spread(self) -> Mapping[str, float]:
        """Relative standard deviation of a metric between repeats, where that is known."""

    def predict(self, profile: Profile) -> Mapping[str, float]:
        """Return the value of each measured metric, were the engine as `profile` says."""
