"""Queueing stages before and after a model, such as speech to text and text to speech.

Without clients that wait for answers nothing flows back, so that the three can be simulated one
after the other: departures of the stages before are the model's arrivals, first tokens are the
arrivals of the stages after.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from planner.simulation.stages import run_stages
from planner.streams import stream

if TYPE_CHECKING:
    import numpy.typing as npt

    from planner.results.records import FloatArray, Records
    from planner.scenario.model import Scenario
    from planner.traffic.requests import Requests


@dataclass(frozen=True)
class Ahead:
    """Requests as they reach the model, and what the stages before it did to them.

    Parameters
    ----------
    requests : Requests
        Sorted by their arrival at the model.
    order : array, shape (n,), or None
        Row before the stages of each row; None where there are no stages.
    arrival_s : array, shape (n,)
        Arrival at the first stage, in the rows' order before the stages. [s]
    parts : array, shape (n, 5)
        Parts of the time in the stages, likewise. [s]
    """

    requests: Requests
    order: npt.NDArray[np.int64] | None
    arrival_s: FloatArray
    parts: FloatArray

    def restore(self, records: Records) -> Records:
        """Return `records` in the rows' order before the stages, their time included.

        The work of the stages is no wait: admission is moved to where the waits add up to.
        """
        if self.order is None:
            return records
        back = np.argsort(self.order)
        columns = {
            name: getattr(records, name)[back]
            for name in (
                "admitted_s", "first_token_s", "finished_s", "prompt_tokens", "output_tokens",
                "class_id", "status", "replica", "preemptions", "retries",
            )
        }  # fmt: skip
        work = self.parts[:, 1:].sum(axis=1)
        columns["admitted_s"] = columns["admitted_s"] - work
        return replace(
            records,
            **columns,
            arrival_s=self.arrival_s,
            parts_first=records.parts_first[back] + self.parts,
            parts_end=records.parts_end[back] + self.parts,
        )


def before_the_model(scenario: Scenario, requests: Requests, replication: int) -> Ahead:
    """Send `requests` through the stages before the model, if the scenario has any."""
    stages = scenario.service.before if scenario.service.kind == "llm" else ()
    if not stages:
        return Ahead(requests, None, requests.arrival_s, np.zeros((len(requests), 5)))
    rng = stream(scenario.simulation.seed, replication, "before")
    times = run_stages(stages, requests.arrival_s, rng)
    order = np.argsort(times.departure_s, kind="stable")
    columns = {
        name: getattr(requests, name)[order]
        for name in ("prompt_tokens", "output_tokens", "class_id", "session_id", "think_s")
    }
    arrived = replace(requests, arrival_s=times.departure_s[order], **columns)
    return Ahead(arrived, order, requests.arrival_s, times.parts)


def after_the_model(scenario: Scenario, records: Records, replication: int) -> Records:
    """Delay first tokens, and all that follow them, by the stages after the model."""
    stages = scenario.service.after if scenario.service.kind == "llm" else ()
    if not stages:
        return records
    rng = stream(scenario.simulation.seed, replication, "after")
    times = run_stages(stages, records.first_token_s, rng)
    delay = times.departure_s - records.first_token_s
    return replace(
        records,
        first_token_s=records.first_token_s + delay,
        finished_s=records.finished_s + delay,
        parts_first=records.parts_first + times.parts,
        parts_end=records.parts_end + times.parts,
    )
