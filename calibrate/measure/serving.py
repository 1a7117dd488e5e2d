"""Measure steps as they come in serving: the real engine, clients that wait for their answers."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from calibrate.engine import Engine
from calibrate.measure.hardware import timer
from calibrate.measure.stretches import ServedRecord, stretches_of, thinned
from calibrate.models.runner import Chunk, Runner
from calibrate.pulse import pulse_of
from calibrate.scheduling import Limits
from planner.traffic.spec import Traffic

if TYPE_CHECKING:
    from calibrate.engine import StepLog
    from calibrate.measure.plan import Serving
    from calibrate.measure.steps import Loaded
    from planner.traffic.requests import Requests

#: Times that the reference step is taken before and after.
_REFERENCES = 10
#: Tokens in a block of KV cache.
_BLOCK = 16
#: Of prompts and answers, as a share of the longest sequence: mean, most. [-]
_PROMPT, _OUTPUT = (1 / 8, 1 / 2), (1 / 24, 1 / 4)


def measure_served(loaded: Loaded, base: Loaded, plan: Serving, clients: int) -> ServedRecord:
    """Serve `clients` for some seconds, and return how long stretches of steps took.

    Parameters
    ----------
    loaded : Loaded
        What serves: a decoder.
    base : Loaded
        Whose shortest step tells how fast the machine is.
    plan : Serving
        How long, with which limits.
    clients : int
        How many, >= 1.

    Raises
    ------
    InputError
        If the cache does not fit into memory.
    """
    longest = min(plan.max_model_len, loaded.model.shape.max_position)
    limits = Limits(
        scheduler="chunked",
        max_num_seqs=clients,
        max_num_batched_tokens=max(plan.max_num_batched_tokens, clients),
        block_size=_BLOCK,
        blocks=clients * -(-longest // _BLOCK),
        max_model_len=longest,
    )
    runner = Runner(loaded.model.model, clients, longest)
    runner.warm_up(limits.max_num_batched_tokens)
    reference = Runner(base.model.model, 1, 2)
    vocabulary = loaded.model.shape.vocab_size
    before = _reference(reference)
    steps = serve_clients(runner, limits, clients, plan.seconds, vocabulary)
    return ServedRecord(
        variant=loaded.variant.name,
        clients=clients,
        reference=float(np.median([*before, *_reference(reference)])),
        stretches=thinned(stretches_of(steps)),
    )


def _requests(clients: int, longest: int, seconds: float) -> Requests:
    """Return the requests of `clients` that think for a tenth of a second, drawn anew for each."""

    def lengths(mean: float, most: float) -> dict[str, float]:
        return {"mean": max(1.0, mean * longest), "cv": 1.0, "max": max(2, int(most * longest))}

    traffic = Traffic.model_validate(
        {
            "duration": seconds,
            "arrivals": {
                "kind": "closed_loop",
                "clients": clients,
                "think": {"kind": "exponential", "mean": 0.1},
            },
            "lengths": {
                "kind": "lognormal",
                "prompt": lengths(*_PROMPT),
                "output": lengths(*_OUTPUT),
            },
        }
    )
    return traffic.draw(clients, 0, Path())


def serve_clients(
    runner: Runner, limits: Limits, clients: int, seconds: float, vocabulary: int
) -> list[StepLog]:
    """Serve `clients` in a closed loop until their time is over; return all steps.

    Parameters
    ----------
    runner : Runner
        Of the model, with a slot for each sequence of `limits`.
    limits : Limits
        Of the engine; the lengths of the requests follow from the longest sequence.
    clients : int
        How many, >= 1.
    seconds : float
        For how long. [s]
    vocabulary : int
        Tokens that prompts are drawn from.
    """
    requests = _requests(clients, min(limits.max_model_len, runner.max_model_len), seconds)
    longest = int(requests.prompt_tokens.max())
    text = np.random.default_rng(0).integers(0, vocabulary, 2 * longest).tolist()

    def prompt_of(row: int) -> list[int]:
        start = row % longest
        return text[start : start + int(requests.prompt_tokens[row])]

    gc.collect()
    gc.freeze()  # as the server does
    try:
        engine = Engine(runner.step, limits, pulse=pulse_of(runner.device))
        replay = engine.replay(requests, prompt_of, until=requests.end_s)
    finally:
        gc.unfreeze()
    return replay.steps


def _reference(runner: Runner) -> list[float]:
    """Return the seconds of the shortest step, some times over."""
    timed = timer(runner.device)
    return [timed(lambda: runner.step([Chunk(0, [0], 0)])) for _ in range(_REFERENCES)]
