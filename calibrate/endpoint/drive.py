"""Measures a live OpenAI-compatible server: an open-loop sweep over rates, within bounds.

Poisson arrivals at each rate, one run after the other, each from an idle server. Prompts are
random common words, about one token each; what counts is how many the server says it read.
"""

from __future__ import annotations

import os
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from calibrate.endpoint.client import Target, ask, served_model
from calibrate.endpoint.journal import EndpointJournal
from calibrate.endpoint.rate import EndpointRun
from planner.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import aiohttp

    from calibrate.endpoint.sweep import Sweep

#: Requests sent one after the other before the first run, not recorded.
WARMUP = 3


def key_from(variable: str | None) -> str:
    """Return the secret in an environment variable, empty where none is named.

    Raises
    ------
    InputError
        If the variable is not set, or holds what no header can.
    """
    if variable is None:
        return ""
    key = os.environ.get(variable, "").strip()
    if not key:
        raise InputError(f"--key-env: must name a variable that is set, got {variable!r:.80}")
    if not (key.isascii() and key.isprintable()):
        raise InputError(
            f"--key-env: must name a variable with a key of ASCII, got {variable!r:.80}"
        )
    return key


async def run_sweep(
    sweep: Sweep,
    target: Target,
    path: Path,
    advance: Callable[[float], None],
    opened: Callable[[EndpointJournal], None],
) -> None:
    """Measure what the journal at `path` lacks.

    Parameters
    ----------
    sweep : Sweep
        What to measure.
    target : Target
        Where.
    path : Path
        The journal.
    advance : callable
        Is given the share that is done.
    opened : callable
        Is given the journal before anything is measured.

    Raises
    ------
    InputError
        If the server cannot be used, or too many requests fail; what was measured is kept.
    """
    import aiohttp  # noqa: PLC0415 - an extra

    ends = time.perf_counter() + sweep.max_seconds
    headers = {"Authorization": f"Bearer {target.key}"} if target.key else {}
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, headers=headers) as session:
        if not target.model:
            within = replace(target, timeout_s=min(target.timeout_s, sweep.max_seconds))
            target = replace(target, model=await served_model(session, within))
        with EndpointJournal(path, sweep.header(target)) as journal:
            opened(journal)
            left = [k for k in range(len(sweep.rates)) if sweep.name(k) not in journal]
            if left:
                await _warm_up(session, sweep, target, ends)
            for done, number in enumerate(left):
                run = EndpointRun(
                    sweep, target, session=session, journal=journal, number=number, ends=ends
                )
                if not await run.measured():
                    return
                advance((done + 1) / len(left))


async def _warm_up(
    session: aiohttp.ClientSession, sweep: Sweep, target: Target, ends: float
) -> None:
    """Send a few requests one by one, so that a server that cannot answer is found out at once.

    None of them waits longer than until `ends`.
    """
    for request in range(WARMUP):
        left = max(0.0, ends - time.perf_counter())
        within = replace(target, timeout_s=min(target.timeout_s, max(left, 1e-3)))
        answer = await ask(session, within, sweep.prompt(0, request), sweep.output(request))
        if not answer.error:
            continue
        hint = ""
        if answer.error.startswith(("HTTP 401", "HTTP 403")):
            hint = "; see --key-env"
        elif answer.error.startswith(("HTTP 400", "HTTP 422")) and target.ignore_eos:
            hint = "; try --no-ignore-eos"
        elif answer.error.startswith("HTTP 429"):
            hint = "; the server limits requests: wait, and lower --rate"
        elif answer.error.startswith("HTTP 404"):
            hint = "; see --model and --api"
        raise InputError(f"{target.path}: must answer, got {answer.error}{hint}")
