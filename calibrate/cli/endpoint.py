"""``planner calibrate endpoint``."""

from __future__ import annotations

import asyncio
import contextlib
import math
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from calibrate.cli.options import folder_of
from planner.cli.options import AsJson, Quiet  # noqa: TC001 - typer reads it
from planner.cli.shared import progress_of
from planner.errors import InputError, Notice, PlannerError

if TYPE_CHECKING:
    from calibrate.endpoint.client import Api
    from calibrate.endpoint.journal import EndpointJournal
    from calibrate.endpoint.sweep import Sweep
    from calibrate.importers.rows import IntArray

#: Files in the folder of a sweep.
JOURNAL, ROWS = "requests.jsonl", "rows.csv"


class ApiName(StrEnum):
    """Which of a server's endpoints answers."""

    COMPLETIONS = "completions"
    CHAT = "chat"


def endpoint(  # noqa: PLR0917 - typer's options
    url: Annotated[str, typer.Argument(metavar="URL", help="Server, as http://localhost:8000.")],
    rate: Annotated[
        list[float], typer.Option("--rate", help="Requests per second; may be repeated.")
    ],
    requests: Annotated[int, typer.Option(min=1, help="Requests at each rate.")] = 200,
    prompt_tokens: Annotated[
        int | None, typer.Option(min=1, max=10**6, help="Tokens of each prompt.")
    ] = None,
    output_tokens: Annotated[
        int | None, typer.Option(min=1, max=10**6, help="Tokens of each answer.")
    ] = None,
    scenario: Annotated[
        str | None, typer.Option(help="Take the lengths from this scenario's traffic.")
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="Name of the model; by default the only one served.")
    ] = None,
    api: Annotated[ApiName, typer.Option(help="Which endpoint answers.")] = ApiName.COMPLETIONS,
    ignore_eos: Annotated[
        bool, typer.Option(help="Ask for answers of full length, as vLLM and SGLang can.")
    ] = True,
    key_env: Annotated[
        str | None, typer.Option(metavar="NAME", help="Environment variable with the key.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder; an interrupted sweep goes on there.")] = Path(
        "endpoint"
    ),
    seed: Annotated[int, typer.Option(min=0, help="Seed of arrivals and prompts.")] = 1,
    timeout: Annotated[
        float, typer.Option(help="Longest that one answer may take, in seconds.")
    ] = 120.0,
    max_requests: Annotated[int, typer.Option(min=1, help="Most requests in all.")] = 2000,
    max_seconds: Annotated[float, typer.Option(help="Seconds that all may take.")] = 1800.0,
    max_failures: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Stop when a larger share fails.")
    ] = 0.1,
    max_in_flight: Annotated[
        int, typer.Option(min=1, max=10_000, help="Stop when more wait for an answer.")
    ] = 512,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> str:
    """Measure a live server: requests at each rate, streamed, each one's times recorded."""
    import aiohttp  # noqa: F401, PLC0415 - an extra: missed before anything is done

    from calibrate.endpoint.client import Target, api_url  # noqa: PLC0415 - start-up
    from calibrate.endpoint.drive import key_from, run_sweep  # noqa: PLC0415 - start-up
    from calibrate.endpoint.sweep import Sweep  # noqa: PLC0415 - start-up

    _check_positive({"--timeout": [timeout], "--max-seconds": [max_seconds], "--rate": rate})
    prompts, outputs = _lengths(prompt_tokens, output_tokens, scenario, seed)
    sweep = Sweep(
        tuple(dict.fromkeys(rate)), requests, prompts[:requests], outputs[:requests], seed,
        max_seconds, max_failures, max_in_flight,
    )  # fmt: skip
    _check_bounds(sweep, max_requests)
    which: Api = "chat" if api is ApiName.CHAT else "completions"
    target = Target(api_url(url), which, model or "", ignore_eos, timeout, key_from(key_env))
    folder_of(out)
    journals: list[EndpointJournal] = []

    try:
        with progress_of("measuring", quiet=quiet) as advance:
            asyncio.run(run_sweep(sweep, target, out / JOURNAL, advance, journals.append))
    except BaseException:
        with contextlib.suppress(PlannerError):  # what ended it is what is to be said
            if journals:
                _write(journals[0], out, as_json=as_json)
        raise
    return _write(journals[0], out, as_json=as_json)


def _check_positive(options: dict[str, list[float]]) -> None:
    """Refuse values that are not positive and finite."""
    for name, values in options.items():
        for value in values:
            if not (0 < value < math.inf):
                raise InputError(f"{name}: must be > 0 and finite, got {value:g}")


def _lengths(
    prompt: int | None, output: int | None, scenario: str | None, seed: int
) -> tuple[IntArray, IntArray]:
    """Return the lengths to ask for, of prompts and answers, in turn.

    Raises
    ------
    InputError
        If they are given neither or both as numbers and by a scenario.
    """
    import numpy as np  # noqa: PLC0415 - start-up

    given = [each for each in (prompt, output) if each is not None]
    if len(given) != (0 if scenario is not None else 2):
        rule = "must be given both, or neither and --scenario"
        raise InputError(f"--prompt-tokens, --output-tokens: {rule}")
    if scenario is None:
        return np.array([prompt], np.int64), np.array([output], np.int64)
    from planner.scenario.bundled import find_scenario  # noqa: PLC0415 - start-up
    from planner.scenario.reader import load_scenario  # noqa: PLC0415 - start-up

    spec = load_scenario(find_scenario(scenario), ())
    drawn = spec.traffic.draw(seed, 0, spec.base_dir)
    return drawn.prompt_tokens.astype(np.int64), drawn.output_tokens.astype(np.int64)


def _check_bounds(sweep: Sweep, max_requests: int) -> None:
    """Refuse a sweep that its bounds would cut anyway.

    Raises
    ------
    InputError
        If it has too many requests, or takes too long to send them.
    """
    total = len(sweep.rates) * sweep.requests
    if total > max_requests:
        raise InputError(
            f"--max-requests: must be at least rates times --requests, {total:,}, got "
            f"{max_requests:,}; raise it or lower --requests"
        )
    seconds = sum(float(sweep.arrivals(number)[-1]) for number in range(len(sweep.rates)))
    if seconds > sweep.max_seconds:
        raise InputError(
            f"--max-seconds: must be at least the time it takes to send all, {seconds:,.0f} s, got "
            f"{sweep.max_seconds:g} s; raise it or lower --requests"
        )


def _write(journal: EndpointJournal, folder: Path, *, as_json: bool) -> str:
    """Write the rows of what was measured, and return what is to be printed."""
    import numpy as np  # noqa: PLC0415 - start-up

    from calibrate.endpoint.journal import rows_of  # noqa: PLC0415 - start-up
    from calibrate.importers.command import as_json_text, as_text, write_rows  # noqa: PLC0415 - start-up
    from calibrate.importers.imported import Imported, measured_runs  # noqa: PLC0415 - start-up

    sent = journal.latest()
    if not sent:
        return "Nothing was measured.\n"
    rows, notices = rows_of(sent, str(journal.path))
    write_rows(folder / ROWS, rows)
    late = float(np.percentile([each.arrival_s - each.scheduled_s for each in sent], 99))
    notices.append(
        Notice(f"the client sent 99 % of requests within {1e3 * late:.3g} ms of their time")
    )
    cut = journal.unfinished()
    if cut:
        text = f"not measured to the end: {', '.join(cut)}; the same command measures it anew"
        notices.append(Notice(text))
    found = Imported("endpoint", rows, measured_runs(rows), notices=tuple(notices))
    if as_json:
        return as_json_text(found)
    text = as_text(found, str(journal.path), folder / ROWS)
    return f"{text}Next: planner calibrate fit {folder / ROWS} --device DEVICE --engine ENGINE\n"
