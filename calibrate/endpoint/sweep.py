"""What a sweep over an endpoint asks for: rates, lengths, words, bounds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from planner.streams import stream

if TYPE_CHECKING:
    from calibrate.endpoint.client import Target
    from calibrate.importers.rows import FloatArray, IntArray

_TEXT = """
time year people way day man thing woman life child world school state family student group country
problem hand part place case week company system program question work government number night point
home water room mother area money story fact month lot right study book eye job word business issue
side kind head house service friend father power hour game line end member law car city community
name president team minute idea body back parent face level office door health person art war
history party result change morning reason research
"""
#: Words that most tokenizers have as one token each.
WORDS = _TEXT.split()


@dataclass(frozen=True)
class Sweep:
    """What is measured.

    Parameters
    ----------
    rates : tuple of float
        Requests per second, each a run, > 0. [1/s]
    requests : int
        Requests of each run, >= 1.
    prompt_tokens, output_tokens : array of int
        Lengths that are asked for, taken in turn, >= 1. Shape ``(m,)``.
    seed : int
        Of arrivals and words.
    max_seconds : float
        All ends after this time. [s]
    max_failures : float
        Largest share of failed requests; more end the sweep.
    max_in_flight : int
        Most requests without an answer at once; more end the sweep.
    """

    rates: tuple[float, ...]
    requests: int
    prompt_tokens: IntArray
    output_tokens: IntArray
    seed: int
    max_seconds: float
    max_failures: float
    max_in_flight: int

    def name(self, number: int) -> str:
        """Return what a run is called."""
        return f"rate {self.rates[number]!r}"

    def arrivals(self, number: int) -> FloatArray:
        """Return when the requests of a run are sent, since its start, shape ``(n,)`` [s]."""
        gaps = stream(self.seed, number, "arrivals").exponential(size=self.requests)
        return np.asarray(np.cumsum(gaps) / self.rates[number], np.float64)

    def prompt(self, number: int, request: int) -> str:
        """Return the words that a request of a run asks about."""
        size = int(self.prompt_tokens[request % len(self.prompt_tokens)])
        drawn = stream(self.seed, number, "words", request).integers(len(WORDS), size=size)
        return " ".join(WORDS[k] for k in drawn)

    def output(self, request: int) -> int:
        """Return how many tokens a request asks for."""
        return int(self.output_tokens[request % len(self.output_tokens)])

    def header(self, target: Target) -> dict[str, Any]:
        """Return what a journal says of the sweep: everything that decides its numbers."""
        return {
            "url": target.url, "api": target.api, "model": target.model,
            "ignore_eos": target.ignore_eos, "timeout_s": target.timeout_s,
            "rates": list(self.rates), "requests": self.requests, "seed": self.seed,
            "prompt_tokens": self.prompt_tokens.tolist(),
            "output_tokens": self.output_tokens.tolist(),
        }  # fmt: skip
