"""How fast this machine is now, beside how fast the profile takes it to be.

A machine that others use is a few per cent faster on one day than on the next. Near saturation a
queue multiplies that: one per cent of step time is seven or eight of the time to first token. What
tells the speed of the day is the engine itself, serving clients of its own for some seconds. Their
requests are not those of the scenario, and the profile is changed by one factor only: all steps
take so many times as long.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from calibrate.measure.serving import serve_clients
from calibrate.measure.stretches import stretches_of
from planner.latency.step import scaled_coefficients

if TYPE_CHECKING:
    from calibrate.scheduling import Limits
    from calibrate.server import Server
    from planner.latency.step_time import StepTime
    from planner.simulation.system import System

#: Clients that are served one number after the other, as shares of the sequences of a batch.
_CLIENTS = (1 / 8, 1 / 2)
#: For how long each, and all. [s]
_EACH_S = 5.0
SERVED_S = _EACH_S * len(_CLIENTS)


@dataclass(frozen=True)
class Speed:
    """Step times of now over those of the profile.

    Parameters
    ----------
    ratios : tuple of float
        Measured over predicted, one per measurement, at least one. [-]
    """

    ratios: tuple[float, ...]

    @property
    def factor(self) -> float:
        """Their median, so that one disturbed reading spoils nothing: > 1 is a slower machine."""
        return float(np.median(self.ratios))

    @property
    def stderr(self) -> float:
        """Standard error of their mean, NaN of one; a median's of so few is about as much."""
        if len(self.ratios) < 2:
            return math.nan
        return float(np.std(self.ratios, ddof=1)) / math.sqrt(len(self.ratios))

    def __str__(self) -> str:
        change = self.factor - 1
        error = "" if math.isnan(self.stderr) else f" +/- {100 * self.stderr:.1f}"
        return (
            f"steps take {100 * abs(change):.1f}{error} % {'more' if change >= 0 else 'less'} time "
            "than by the profile, as clients beside the scenario's show; predicted is for this "
            "speed, by profile without it"
        )


@dataclass
class Speedometer:
    """Reads the speed of the machine, again and again, off steps that are alike each time.

    Parameters
    ----------
    step : StepTime
        What a step is predicted to take.
    longest : int
        Of the clients' sequences; their lengths follow from it, whatever room the server has.
        [tokens]
    ratios : list of float
        What was read so far. [-]
    """

    step: StepTime
    longest: int
    ratios: list[float] = field(default_factory=list)

    @classmethod
    def of(cls, server: Server, step: StepTime) -> Speedometer:
        """Return one whose clients' sequences are as long as `server` has room for now."""
        return cls(step, min(server.limits.max_model_len, server.runner.max_model_len))

    def read(self, server: Server) -> None:
        """Serve clients for some seconds, and note the time of their steps over the predicted one.

        Time in which the engine had nothing to do counts on neither side. It is a ratio of sums,
        not a mean of ratios: what interrupts a step slows the machine as well.

        Parameters
        ----------
        server : Server
            What serves, with room for sequences of :attr:`longest`.
        """
        vocabulary = int(server.runner.model.config.vocab_size)
        measured = predicted = 0.0
        for share in _CLIENTS:
            clients = max(1, round(share * server.limits.max_num_seqs))
            limits = self._limits(server.limits, clients)
            steps = serve_clients(server.runner, limits, clients, _EACH_S, vocabulary)
            for stretch in stretches_of(steps):
                measured += stretch.seconds
                predicted += math.fsum(
                    self.step.seconds(each.prefill, each.decode) for each in stretch.steps
                )
        self.ratios.append(measured / predicted)

    def _limits(self, limits: Limits, clients: int) -> Limits:
        """Return `limits` for so many clients: a static batch of more would never fill."""
        size = min(limits.batch_size, clients)
        return replace(limits, max_model_len=self.longest, batch_size=size)

    @property
    def speed(self) -> Speed:
        """What all readings say together, of which there must be one."""
        return Speed(tuple(self.ratios))


def at_speed(system: System, speed: Speed) -> System:
    """Return `system` with steps that take so many times as long."""
    slower = replace(
        system.step,
        coefficients=scaled_coefficients(system.step.coefficients, speed.factor),
        request_overhead=system.step.request_overhead * speed.factor,
    )
    return replace(system, step=slower)
