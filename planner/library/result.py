"""The result of a simulation, as the library hands it out."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from planner.library.shown import Computed, Drawn
from planner.report.csv import csv_chunks
from planner.report.screen import render_screen
from planner.report.text import screen_of_result

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

    from planner.evaluate import Run
    from planner.results.intervals import Estimate
    from planner.results.objectives import Outcome


@dataclass(frozen=True, repr=False)
class Result(Drawn, Computed):
    """What came of a simulation; made by :func:`planner.simulate`.

    Parameters
    ----------
    run : planner.evaluate.Run
        The result with everything that a report says, and a record of every request.
    """

    run: Run

    in_notebook = ("answer", "latency")

    @property
    def metrics(self) -> Mapping[str, Mapping[str, Estimate]]:
        """Latencies of all requests [s]: ``metrics["ttft"]["p95"].value``, ``.low``, ``.high``.

        Metrics are ``ttft, tpot, itl, e2e, wait``; statistics ``mean, p50, p90, p95, p99`` and
        those that an objective bounds. A value that is not known, or has no bound, is None.
        """
        return self.run.result.whole.metrics.latency

    @property
    def parts(self) -> Mapping[str, Mapping[str, Mapping[str, float | None]]]:
        """What ``ttft`` and ``e2e`` are made of [s]: ``parts["ttft"]["p99"]["wait"]``."""
        return self.run.result.whole.metrics.parts

    @property
    def objectives(self) -> tuple[Outcome, ...]:
        """What came of each objective of all requests, then of those of each class."""
        result = self.run.result
        groups = (result.whole, *result.classes.values())
        return tuple(each for group in groups for each in group.objectives)

    @property
    def met(self) -> bool:
        """Whether every objective is met."""
        return self.run.result.met

    @property
    def steady(self) -> bool:
        """False if more requests come than the fleet sustains."""
        return self.run.result.steady

    @property
    def cost(self) -> Mapping[str, float | None]:
        """``usd_per_hour`` and ``usd_per_million_output_tokens``; None where no price is known."""
        return self.run.result.cost

    def to_json(self) -> dict[str, Any]:
        """Return what ``planner simulate --json`` prints, as ``planner schema simulate`` says."""
        return self.run.result.to_json()

    def to_frame(self) -> pd.DataFrame:
        """Return the latencies, one a row.

        Columns are ``class`` (empty for all requests), ``metric``, ``statistic``, and in seconds
        ``value_s``, ``low_s``, ``high_s``.
        """
        import pandas as pd  # noqa: PLC0415 - takes half a second

        result = self.run.result
        rows = [
            (name, metric, statistic, each.value, each.low, each.high)
            for name, group in (("", result.whole), *result.classes.items())
            for metric, statistics in group.metrics.latency.items()
            for statistic, each in statistics.items()
        ]
        columns = ["class", "metric", "statistic", "value_s", "low_s", "high_s"]
        frame = pd.DataFrame(rows, columns=columns)
        return frame.astype(dict.fromkeys(columns[3:], float))

    def requests(self) -> pd.DataFrame:
        """Return every request that arrived, one a row: the columns of ``requests.csv.gz``."""
        import pandas as pd  # noqa: PLC0415 - takes half a second

        data = b"".join(csv_chunks(self.run.records))
        texts = {"class": str, "status": str}
        return pd.read_csv(io.BytesIO(data), dtype=texts, keep_default_na=False, na_values=[""])

    def __str__(self) -> str:
        return render_screen(screen_of_result(self.run.result))
