"""Requests through one replica to their end, and no more: what a fit does thousands of times."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from planner.simulation.fleet import Fleet
from planner.simulation.layout import build_plane
from planner.simulation.run import admissible

if TYPE_CHECKING:
    from planner.results.records import FloatArray
    from planner.simulation.system import System
    from planner.traffic.requests import Requests


@dataclass(frozen=True)
class Served:
    """When one replica served each request, seen by its client; arrays of shape ``(n,)``.

    Parameters
    ----------
    arrival_s, first_token_s, finished_s : array
        NaN for a request that the engine refused. [s]
    prompt_tokens, output_tokens : array
        Lengths served.
    """

    arrival_s: FloatArray
    first_token_s: FloatArray
    finished_s: FloatArray
    prompt_tokens: FloatArray
    output_tokens: FloatArray

    @property
    def ttft_s(self) -> FloatArray:
        """First token minus arrival [s]."""
        return self.first_token_s - self.arrival_s

    @property
    def e2e_s(self) -> FloatArray:
        """Last token minus arrival [s]."""
        return self.finished_s - self.arrival_s

    @property
    def tpot_s(self) -> FloatArray:
        """Time per token after the first; NaN for a request of one token [s]."""
        gaps = np.where(self.output_tokens > 1, self.output_tokens - 1, np.nan)
        return np.asarray((self.finished_s - self.first_token_s) / gaps)


def serve(system: System, requests: Requests) -> Served:
    """Serve `requests` on one replica, as :func:`~planner.simulation.run.run_llm` would.

    Without windows, samples, attribution and control processes, the times are the same.

    Raises
    ------
    InputError
        If the engine refuses all of them.
    """
    taken = admissible(requests, system)
    later = system.service.network + system.step.request_overhead
    plane = build_plane(
        taken.requests,
        config=system.config(seed=0),
        coefficients=system.step.coefficients,
        replicas=1,
        replicas_up=1,
        block_edges_s=np.zeros(1),
        rejected=taken.rejected,
        output_tokens=taken.requests.output_tokens,
    )
    if requests.closed:  # clients think after the answer has reached them
        plane.requests["think"] += later
    Fleet(plane).advance(np.inf)
    rows = plane.requests
    return Served(
        np.array(rows["arrival"]),
        rows["first"] + later,
        rows["finished"] + later,
        rows["prompt"].astype(np.float64),
        rows["output"].astype(np.float64),
    )
