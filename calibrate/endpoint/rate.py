"""One rate of a sweep while it is measured: sends when requests are due, stops at the bounds."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from calibrate.endpoint.client import Answer, Target, ask
from calibrate.endpoint.journal import EndpointJournal, Sent
from planner.errors import InputError

if TYPE_CHECKING:
    import aiohttp

    from calibrate.endpoint.sweep import Sweep

#: Before so many requests ended, failures stop nothing.
FEWEST = 10


class EndpointRun:
    """One rate while it is measured."""

    def __init__(
        self,
        sweep: Sweep,
        target: Target,
        *,
        session: aiohttp.ClientSession,
        journal: EndpointJournal,
        number: int,
        ends: float,
    ) -> None:
        self._sweep, self._target, self._session = sweep, target, session
        self._journal, self._name, self._number = journal, sweep.name(number), number
        self._ends = ends
        self._attempt = 0
        self._began = 0.0
        self._finished = self._failed = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._stop = asyncio.Event()
        self._error: BaseException | None = None

    async def measured(self) -> bool:
        """Measure the run; return whether it came to its end before the time was over.

        Raises
        ------
        InputError
            If too many requests fail, or are without an answer at once.
        PlannerError
            If what was measured cannot be written.
        """
        self._attempt = self._journal.begin(self._name)
        self._began = time.perf_counter()
        try:
            sent = await self._send()
            while self._tasks and not self._stop.is_set():
                left = self._ends - time.perf_counter()
                if left <= 0:
                    break
                await asyncio.wait(self._tasks, timeout=left, return_when=asyncio.FIRST_COMPLETED)
        finally:
            pending = list(self._tasks)
            for each in pending:
                each.cancel()
            await asyncio.gather(*pending, return_exceptions=True)
        if self._error is not None:
            raise self._error
        if sent < self._sweep.requests or pending:
            return False
        self._journal.end(self._name)
        return True

    async def _send(self) -> int:
        """Send requests when they are due, and return how many."""
        for request, due in enumerate(self._sweep.arrivals(self._number).tolist()):
            if self._began + due > self._ends:
                await self._pause(self._ends - time.perf_counter())
                return request
            await self._pause(self._began + due - time.perf_counter())
            if len(self._tasks) >= self._sweep.max_in_flight:
                self._fail(
                    f"must keep up with {self._sweep.rates[self._number]:g} requests/s, got "
                    f"{len(self._tasks):,} without an answer; lower --rate or raise "
                    "--max-in-flight"
                )
            if self._stop.is_set():
                return request
            task = asyncio.create_task(self._ask(request, due))
            self._tasks.add(task)
            task.add_done_callback(self._ended)
        return self._sweep.requests

    async def _pause(self, seconds: float) -> None:
        """Wait, but no longer than until the run is to stop."""
        try:
            await asyncio.wait_for(self._stop.wait(), max(seconds, 0.0))
        except TimeoutError:
            return

    def _fail(self, why: str) -> None:
        """Stop the run for a reason."""
        if self._error is None:
            self._error = InputError(f"{self._target.path}: {why}; what was measured is kept")
        self._stop.set()

    def _ended(self, task: asyncio.Task[None]) -> None:
        """Take note of a request that ended; stop the run where its record failed."""
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._error = self._error or error
            self._stop.set()

    async def _ask(self, request: int, due: float) -> None:
        """Send one request and record what came of it."""
        prompt = self._sweep.prompt(self._number, request)
        times = (due, time.perf_counter() - self._began)
        try:
            answer = await ask(self._session, self._target, prompt, self._sweep.output(request))
        except asyncio.CancelledError:
            cut = Answer(error="cut when the sweep ended")
            self._journal.append(Sent.of(self._name, self._attempt, times, cut))
            raise
        self._journal.append(Sent.of(self._name, self._attempt, times, answer))
        self._finished += 1
        self._failed += bool(answer.error)
        share = self._failed / self._finished
        if self._finished >= min(FEWEST, self._sweep.requests) and share > self._sweep.max_failures:
            self._fail(
                f"must answer, got {self._failed:,} of {self._finished:,} requests failed, one "
                f"with: {answer.error or 'nothing more'}"
            )
