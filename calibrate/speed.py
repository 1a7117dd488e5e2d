"""How fast this machine is now, beside how fast the profile takes it to be.

A machine that others use is a few per cent faster on one day than on the next, and a core that is
shared slows down and recovers within a second. Near saturation a queue multiplies that: one per
cent of step time is seven or eight of the time to first token. Two things tell the speed, and
neither knows the requests of the scenario:

- the engine itself, serving clients of its own for some seconds: by which one factor all steps take
  longer than by the profile, and what share of a pulse's delay they share;
- pulses between the steps of the scenario, see :mod:`calibrate.pulse`: when the machine was slow.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from calibrate.measure.serving import serve_clients
from calibrate.measure.stretches import step_pulses, stretches_of
from calibrate.pulse import MOST_SLOWING, slowness, undisturbed
from planner.latency.step import scaled_coefficients

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy.typing as npt

    from calibrate.engine import StepLog
    from calibrate.scheduling import Limits
    from calibrate.server import Server
    from planner.latency.step_time import StepTime
    from planner.simulation.control import Control, FleetEnvironment, Process
    from planner.simulation.fleet import Fleet
    from planner.simulation.system import System

#: Clients that are served one number after the other, as shares of the sequences of a batch.
_CLIENTS = (1 / 8, 1 / 2)
#: For how long each, and all. [s]
_EACH_S = 5.0
SERVED_S = _EACH_S * len(_CLIENTS)
#: What is thought of the slowing before anything is measured: steps are delayed as pulses are, give
#: or take this. [-]
_PRIOR = 0.5
#: Error of the time of a stretch that the prior is weighed against. [-]
_STRETCH_ERROR = 0.1
#: How long the delay of a simulation stays as it is, at least. [s]
_INTERVAL_S = 0.05
#: How often it changes in a run, at most: a simulation allows twice as many events.
_MOST_CHANGES = 50_000


@dataclass(frozen=True)
class Reading:
    """Stretches of steps that clients were served with, one after the other.

    Parameters
    ----------
    measured, predicted : tuple of float
        How long each took, and takes by the profile. [s]
    pulses : tuple of float
        Meanwhile, NaN if none were taken. [s]
    """

    measured: tuple[float, ...]
    predicted: tuple[float, ...]
    pulses: tuple[float, ...]


@dataclass(frozen=True)
class Speed:
    """Step times of now over those of the profile.

    A step takes ``level (1 + slowing x)`` times as long as by the profile, where ``x`` is the share
    by which pulses take longer than undisturbed ones.

    Parameters
    ----------
    levels : tuple of float
        Of a core that nothing slows: one per reading, at least one. [-]
    slowing : float
        Share of a pulse's delay that a step has. [-]
    quiet : float
        How long an undisturbed pulse takes; NaN if none were taken. [s]
    slowness : float
        Mean of ``x`` over all readings, by the time that steps take by the profile. [-]
    """

    levels: tuple[float, ...]
    slowing: float = 0.0
    quiet: float = math.nan
    slowness: float = 0.0

    @property
    def level(self) -> float:
        """The median, so that one disturbed reading spoils nothing: > 1 is a slower machine."""
        return float(np.median(self.levels))

    @property
    def stderr(self) -> float:
        """Standard error of their mean, NaN of one; a median's of so few is about as much."""
        if len(self.levels) < 2:
            return math.nan
        return float(np.std(self.levels, ddof=1)) / math.sqrt(len(self.levels))

    @property
    def usual(self) -> float:
        """Steps over those of the profile on average, what slows the core included."""
        return self.level * (1 + self.slowing * self.slowness)

    def delays(self, steps: Sequence[StepLog]) -> npt.NDArray[np.float64]:
        """Return by what factor each of `steps` was delayed by what slowed the core [-].

        Parameters
        ----------
        steps : sequence of StepLog
            All of a replay, in order.
        """
        slow = [slowness(pulse, self.quiet) for pulse in step_pulses(steps)]
        return 1 + self.slowing * np.array(slow)

    def pace(self, steps: Sequence[StepLog]) -> Control:
        """Return what lets a fleet be delayed as the core was while `steps` ran.

        The delay changes every :data:`_INTERVAL_S`, or less often where there are too many steps.
        """
        width = max(_INTERVAL_S, (steps[-1].end if steps else 0.0) / _MOST_CHANGES)
        while_it_lasts: dict[int, list[float]] = {}
        for step, delay in zip(steps, self.delays(steps), strict=True):
            while_it_lasts.setdefault(int(step.start / width), []).append(float(delay))
        changes = [(i * width, math.fsum(e) / len(e)) for i, e in while_it_lasts.items()]

        def follow(env: FleetEnvironment, fleet: Fleet) -> Process:
            for at, delay in changes:
                yield env.timeout(max(0.0, at - env.now))
                fleet.pace = delay

        return follow

    def __str__(self) -> str:
        change = self.level - 1
        error = "" if math.isnan(self.stderr) else f" +/- {100 * self.stderr:.1f}"
        return (
            f"steps take {100 * abs(change):.1f}{error} % {'more' if change >= 0 else 'less'} time "
            "than by the profile, as clients beside the scenario's show"
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
    readings : list of Reading
        What was read so far.
    """

    step: StepTime
    longest: int
    readings: list[Reading] = field(default_factory=list)

    @classmethod
    def of(cls, server: Server, step: StepTime) -> Speedometer:
        """Return one whose clients' sequences are as long as `server` has room for now."""
        return cls(step, min(server.limits.max_model_len, server.runner.max_model_len))

    def read(self, server: Server) -> None:
        """Serve clients for some seconds, and note the time of their steps beside the predicted.

        Time in which the engine had nothing to do counts on neither side.

        Parameters
        ----------
        server : Server
            What serves, with room for sequences of :attr:`longest`.
        """
        found = list(self._stretches(server))
        measured, predicted, pulses = zip(*found, strict=True)
        self.readings.append(Reading(measured, predicted, pulses))

    def _stretches(self, server: Server) -> Iterator[tuple[float, float, float]]:
        """Yield seconds, seconds by the profile, and pulse of every stretch."""
        vocabulary = int(server.runner.model.config.vocab_size)
        for share in _CLIENTS:
            clients = max(1, round(share * server.limits.max_num_seqs))
            limits = self._limits(server.limits, clients)
            steps = serve_clients(server.runner, limits, clients, _EACH_S, vocabulary)
            for stretch in stretches_of(steps):
                predicted = math.fsum(
                    self.step.seconds(each.prefill, each.decode) for each in stretch.steps
                )
                pulse = math.nan if stretch.pulse is None else stretch.pulse
                yield stretch.seconds, predicted, pulse

    def _limits(self, limits: Limits, clients: int) -> Limits:
        """Return `limits` for so many clients: a static batch of more would never fill."""
        size = min(limits.batch_size, clients)
        return replace(limits, max_model_len=self.longest, batch_size=size)

    @property
    def speed(self) -> Speed:
        """What all readings say together, of which there must be one."""
        quiet = undisturbed(pulse for each in self.readings for pulse in each.pulses)
        slow = [np.array([slowness(p, quiet) for p in each.pulses]) for each in self.readings]
        measured = [np.array(each.measured) for each in self.readings]
        predicted = [np.array(each.predicted) for each in self.readings]
        together = tuple(map(np.concatenate, (measured, predicted, slow)))
        slowing = 0.0 if math.isnan(quiet) else _slowing(*together)
        # ratios of sums, not means of ratios: what interrupts a step slows the machine as well
        levels = tuple(
            float(took.sum() / (by_profile @ (1 + slowing * x)))
            for took, by_profile, x in zip(measured, predicted, slow, strict=True)
        )
        _, weights, every = together
        return Speed(levels, slowing, quiet, float(weights @ every / weights.sum()))


def _slowing(
    measured: npt.NDArray[np.float64],
    predicted: npt.NDArray[np.float64],
    slow: npt.NDArray[np.float64],
) -> float:
    """Return the share of a pulse's delay that steps have, by least squares.

    ``measured / predicted = a + b slow``, slowing is ``b / a``. It counts as one more observation
    that ``b`` is ``a``, so that a core that nothing slows leaves it at 1.
    """
    prior = _STRETCH_ERROR / _PRIOR
    design = np.vstack([np.column_stack([np.ones_like(slow), slow]), [-prior, prior]])
    (level, slope), *_ = np.linalg.lstsq(design, np.append(measured / predicted, 0.0), rcond=None)
    return min(max(0.0, float(slope / level)), MOST_SLOWING)


def at_speed(system: System, factor: float) -> System:
    """Return `system` with steps that take so many times as long."""
    slower = replace(
        system.step,
        coefficients=scaled_coefficients(system.step.coefficients, factor),
        request_overhead=system.step.request_overhead * factor,
    )
    return replace(system, step=slower)
