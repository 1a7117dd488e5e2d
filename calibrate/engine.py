"""A real serving engine: continuous batching over a real model, in real time.

One loop takes what has arrived, asks the scheduler for the work of a step, runs it, and hands out
the tokens. Nothing is simulated: waits, batches and times are what they are on this machine.
"""

from __future__ import annotations

import heapq
import math
import time
from dataclasses import dataclass, field
from threading import Lock
from typing import TYPE_CHECKING, Protocol

from calibrate.schedulers import make_scheduler
from calibrate.scheduling import Chunk, Limits, Sequence
from planner.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy as np

    from calibrate.scheduling import Work
    from planner.traffic.requests import Requests


class Clock(Protocol):
    """Tells the time and lets it pass."""

    def now(self) -> float:
        """Return the time [s]."""
        ...

    def wait(self, until: float) -> None:
        """Return at the time `until`, or at once if it is past [s]."""
        ...


class WallClock:
    """Real time, from the moment that it is made."""

    def __init__(self) -> None:
        self._start = time.perf_counter()

    def now(self) -> float:
        """Return the time [s]."""
        return time.perf_counter() - self._start

    def wait(self, until: float) -> None:
        """Return at the time `until`, or at once if it is past [s]."""
        time.sleep(max(0.0, until - self.now()))


@dataclass(frozen=True)
class StepLog:
    """What one step held, and when it ran.

    Parameters
    ----------
    start, end : float
        When. [s]
    chunks : tuple of (int, int, bool)
        Of each sequence: tokens processed, tokens cached before, whether one was sampled.
    used_blocks : int
        Blocks of KV cache in use during it.
    pulse : float
        How long a small piece of work took just before, see :mod:`calibrate.pulse`; NaN
        if the engine takes none. [s]
    """

    start: float
    end: float
    chunks: tuple[tuple[int, int, bool], ...]
    used_blocks: int
    pulse: float = math.nan


@dataclass
class Replay:
    """What happened to the requests of a replay.

    Parameters
    ----------
    arrival : list of float
        When each request came; inf where a client never sent it. [s]
    sequences : dict of int to Sequence
        Those that the engine took, by number.
    rejected : set of int
        Those that came and that it refused.
    steps : list of StepLog
        All steps, in order.
    """

    arrival: list[float]
    sequences: dict[int, Sequence] = field(default_factory=dict)
    rejected: set[int] = field(default_factory=set)
    steps: list[StepLog] = field(default_factory=list)


class Engine:
    """Serves requests with one model on one device.

    Parameters
    ----------
    run : callable
        Runs the chunks of one step and returns their next tokens, as
        :meth:`calibrate.models.runner.Runner.step`.
    limits : Limits
        Scheduler, batch and cache.
    clock : Clock
        By default real time.
    pulse : callable, optional
        Called before every step, as a part of it; returns the seconds that it took.
    """

    def __init__(
        self,
        run: Callable[[list[Chunk]], list[int]],
        limits: Limits,
        clock: Clock | None = None,
        pulse: Callable[[], float] = lambda: math.nan,
    ) -> None:
        self._run, self._limits, self._pulse = run, limits, pulse
        self.clock = clock or WallClock()
        self._scheduler = make_scheduler(limits)
        self._lock = Lock()

    def submit(self, token_ids: list[int], output_tokens: int, row: int = -1) -> Sequence:
        """Queue a request and return its sequence, which fills with tokens as steps run.

        Raises
        ------
        InputError
            If the prompt is empty or leaves no room for the answer.
        """
        most = self._limits.max_model_len
        if not token_ids or output_tokens < 1 or len(token_ids) + output_tokens > most:
            raise InputError(
                f"a prompt of at least one token and its answer must fit into {most} tokens, got "
                f"{len(token_ids)} and {output_tokens}"
            )
        sequence = Sequence(row, list(token_ids), output_tokens, self.clock.now())
        with self._lock:
            self._scheduler.add(sequence)
        return sequence

    def respond(self, token_ids: list[int], output_tokens: int) -> Iterator[int]:
        """Answer one prompt, token by token as they are sampled.

        Answers asked for in several threads, or taken from in turns, share their batches: whoever
        waits for a token runs the next step for all.

        Parameters
        ----------
        token_ids : list of int
            The prompt.
        output_tokens : int
            Tokens wanted, >= 1.
        """
        sequence = self.submit(token_ids, output_tokens)
        given = 0
        while given < output_tokens:
            with self._lock:
                if len(sequence.times) == given:
                    self.step_or_wait()
            if len(sequence.times) > given:
                yield sequence.token_ids[sequence.prompt_tokens + given]
                given += 1

    def step_or_wait(self, until: float = math.inf) -> tuple[StepLog | None, list[Sequence]]:
        """Run a step if one is ready; else wait for it, `until` at the latest.

        Returns what the step was, None if there was none, and the sequences that finished in it.
        """
        now = self.clock.now()
        ready = self._scheduler.ready(now)
        if ready > now:
            self.clock.wait(min(ready, until))
            return None, []
        work = self._scheduler.schedule(now)
        used = self._limits.blocks - self._scheduler.free_blocks
        pulse = self._pulse()
        tokens = self._run([chunk for _, chunk in work])
        end = self.clock.now()
        log = StepLog(now, end, _shape(work), used, pulse)
        return log, self._scheduler.end_step(work, tokens, end)

    def replay(
        self,
        requests: Requests,
        prompt_of: Callable[[int], list[int]],
        *,
        rejected: np.ndarray | None = None,
        until: float = math.inf,
    ) -> Replay:
        """Serve `requests` as they arrive, open and closed loops; return when all have finished.

        Parameters
        ----------
        requests : Requests
            Arrival times count from 0 on the engine's clock, which must be new.
        prompt_of : callable
            Returns the tokens of the prompt of a request, by its number.
        rejected : array of bool, optional
            Those to refuse as they come.
        until : float
            Stop then, with whatever is not finished. [s]
        """
        arrivals = _Arrivals(requests)
        replay = Replay(arrivals.time)

        def take(before: float) -> None:
            for row in arrivals.taken(before):
                at = arrivals.time[row]
                if rejected is not None and rejected[row]:
                    replay.rejected.add(row)
                    arrivals.follow(row, at)
                    continue
                sequence = Sequence(row, list(prompt_of(row)), int(requests.output_tokens[row]), at)
                replay.sequences[row] = sequence
                self._scheduler.add(sequence)

        while (now := self.clock.now()) <= until:
            take(math.nextafter(now, math.inf))
            if arrivals.next() == math.inf and self._scheduler.ready(now) == math.inf:
                break
            step, finished = self.step_or_wait(min(arrivals.next(), until))
            if step is None:
                continue
            replay.steps.append(step)
            take(step.end)  # they came before the answers that the step brought
            for sequence in finished:
                arrivals.follow(sequence.row, step.end)
        return replay


def _shape(work: Work) -> tuple[tuple[int, int, bool], ...]:
    return tuple((len(c.token_ids), c.start, c.sample) for _, c in work)


class _Arrivals:
    """Requests in order of arrival; those of closed loops come as the ones before are answered."""

    def __init__(self, requests: Requests) -> None:
        self._requests = requests
        self.time: list[float] = requests.arrival_s.tolist()
        self._loop_of = [-1] * len(requests)
        self._left: list[range] = []  # rows of each loop not yet sent
        for k, loop in enumerate(requests.closed):
            self._loop_of[loop.start : loop.stop] = [k] * (loop.stop - loop.start)
            self._left.append(range(min(loop.start + loop.clients, loop.stop), loop.stop))
        # at one instant open loops come first
        self._heap = [
            (at, self._loop_of[row] >= 0, row)
            for row, at in enumerate(self.time)
            if math.isfinite(at)
        ]
        heapq.heapify(self._heap)

    def next(self) -> float:
        """Return when the next one comes that is known of; inf if there is none [s]."""
        return self._heap[0][0] if self._heap else math.inf

    def taken(self, before: float) -> Iterator[int]:
        """Yield those that come `before` then; some may be added while they are dealt with."""
        while self.next() < before:
            yield heapq.heappop(self._heap)[2]

    def follow(self, row: int, now: float) -> None:
        """Let the client of `row`, answered at `now`, think about its next request."""
        loop = self._loop_of[row]
        if loop < 0 or not self._left[loop]:
            return
        new = self._left[loop][0]
        at = now + float(self._requests.think_s[new])
        if at < self._requests.end_s:
            self._left[loop] = self._left[loop][1:]
            self.time[new] = at
            heapq.heappush(self._heap, (at, True, new))
