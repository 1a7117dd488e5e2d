"""Between processes: all-reduce, point to point, and a batch split, run and merged.

Gloo on a CPU, NCCL where there is a GPU for each process. Processes are spawned; each result is
that of the slowest.
"""

from __future__ import annotations

import multiprocessing
import os
import queue
import socket
import time
from typing import TYPE_CHECKING, Any

import torch
import torch.distributed as dist

from calibrate.measure.clock import Repeats, summarise
from calibrate.measure.hardware import timer
from calibrate.measure.hardware_records import BytesRecord, ParallelRecord
from planner.errors import PlannerError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from planner.catalog.models import ModelShape

#: A group of processes that has not answered by then is given up. [s]
PATIENCE_S = 300.0


def measure_links(
    processes: int, sizes: Sequence[int], repeats: Repeats, *, cuda: bool
) -> list[BytesRecord]:
    """Return all-reduce and, of two processes, point-to-point times for vectors of `sizes` bytes.

    Raises
    ------
    PlannerError
        If a process fails or does not answer.
    """
    results = _in_processes(processes, _links, (tuple(sizes), repeats, cuda), cuda=cuda)
    return [BytesRecord.model_validate(each) for each in results]


def measure_split(
    shape: ModelShape,
    processes: int,
    batch: int,
    tokens: int,
    repeats: Repeats,
    *,
    threads: int,
    cuda: bool,
) -> ParallelRecord:
    """Return the time of splitting a batch over processes, running it, and merging the outputs.

    Every process has the whole model, with random weights.

    Raises
    ------
    PlannerError
        If a process fails or does not answer.
    """
    arguments = (shape.model_dump_json(), batch, tokens, repeats, threads, cuda)
    results = _in_processes(processes, _split, arguments, cuda=cuda)
    return ParallelRecord.model_validate(results[0])


def _in_processes(
    processes: int, work: Callable[..., Any], arguments: tuple[Any, ...], *, cuda: bool
) -> list[Any]:
    """Return what `work` returns in the first of `processes`, which form a group."""
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    port = _free_port()
    members = [
        context.Process(
            target=_member,
            args=(rank, processes, port, cuda, work, arguments, results),
            daemon=True,
        )
        for rank in range(processes)
    ]
    for each in members:
        each.start()
    patience = 0
    try:
        answer = _answer(members, results)
        patience = 10
        return answer
    finally:
        for each in members:
            each.join(timeout=patience)
            if each.is_alive():
                each.kill()
                each.join()


def _answer(members: Sequence[Any], results: Any) -> list[Any]:  # noqa: ANN401 - a queue has no type
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        try:
            error, answer = results.get(timeout=0.5)
        except queue.Empty:
            dead = [each.exitcode for each in members if each.exitcode]
            if dead:
                raise PlannerError(f"a process ended with exit code {dead[0]}") from None
            continue
        if error:
            raise PlannerError(f"a process failed: {error}")
        found: list[Any] = answer
        return found
    raise PlannerError(f"processes did not answer within {PATIENCE_S:g} s")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _member(  # noqa: PLR0917 - arguments of a process
    rank: int,
    processes: int,
    port: int,
    cuda: bool,
    work: Callable[..., Any],
    arguments: tuple[Any, ...],
    results: Any,  # noqa: ANN401 - a queue has no type
) -> None:
    """Join the group, do the work, and put the first process' answer into the queue."""
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    try:
        if cuda:
            torch.cuda.set_device(rank)
        dist.init_process_group("nccl" if cuda else "gloo", rank=rank, world_size=processes)
        answer = work(rank, *arguments)
        dist.barrier()
        dist.destroy_process_group()
        if rank == 0:
            results.put(("", answer))
    except Exception as error:  # noqa: BLE001 - told to the parent, whatever it is
        results.put((f"{type(error).__name__}: {error}"[:300], []))


def _device(rank: int, *, cuda: bool) -> torch.device:
    return torch.device("cuda", rank) if cuda else torch.device("cpu")


def _slowest(seconds: float, device: torch.device) -> float:
    """Return the longest of all processes' times."""
    longest = torch.tensor(seconds, dtype=torch.float64, device=device)
    dist.all_reduce(longest, op=dist.ReduceOp.MAX)
    return float(longest)


def _links(
    rank: int, sizes: Sequence[int], repeats: Repeats, cuda: bool
) -> list[dict[str, object]]:
    """Measure in one process of the group."""
    device, processes = _device(rank, cuda=cuda), dist.get_world_size()
    if not cuda:
        torch.set_num_threads(1)
    found: list[dict[str, object]] = []
    for size in sizes:
        data = torch.zeros(max(1, size // 4), device=device)

        def reduce(data: torch.Tensor = data) -> None:
            dist.all_reduce(data)

        def send(data: torch.Tensor = data) -> None:
            if rank == 0:  # there and back, so that one clock sees both
                dist.send(data, 1)
                dist.recv(data, 1)
            else:
                dist.recv(data, 0)
                dist.send(data, 0)

        actions = {"all_reduce": (reduce, 1.0)}
        if processes == 2:
            actions["point_to_point"] = (send, 0.5)
        for what, (action, share) in actions.items():
            samples = _fixed(action, share, repeats, device)
            timing = summarise(samples)
            found.append(
                {
                    "what": what,
                    "size": data.nbytes,
                    "processes": processes,
                    "backend": dist.get_backend(),
                    **vars(timing),
                }
            )
    return found


def _fixed(
    action: Callable[[], None],
    share: float,
    repeats: Repeats,
    device: torch.device,
) -> list[float]:
    """Return the seconds of `repeats.most` runs: all processes must run equally often."""
    for _ in range(repeats.warmup):
        action()
    timed = timer(device)
    samples = []
    for _ in range(repeats.most):
        dist.barrier()
        samples.append(_slowest(timed(action), device) * share)
    return samples


def _split(  # noqa: PLR0917 - arguments of a process
    rank: int,
    shape_json: str,
    batch: int,
    tokens: int,
    repeats: Repeats,
    threads: int,
    cuda: bool,
) -> list[dict[str, object]]:
    """Measure split, forward and merge in one process of the group."""
    from calibrate.models.load import load_model  # noqa: PLC0415 - the other workers do without
    from planner.catalog.models import ModelShape  # noqa: PLC0415 - the same

    device, processes = _device(rank, cuda=cuda), dist.get_world_size()
    if threads:
        torch.set_num_threads(threads)
    shape = ModelShape.model_validate_json(shape_json)
    model: Any = load_model(shape, "bf16" if cuda else "fp32", device).model
    whole = torch.zeros(batch, tokens, dtype=torch.long, device=device)
    mine = torch.empty(batch // processes, tokens, dtype=torch.long, device=device)
    timed = timer(device)
    forwards: list[float] = []

    @torch.inference_mode()
    def run() -> None:
        parts = list(whole.chunk(processes)) if rank == 0 else None
        dist.scatter(mine, parts)
        found: list[Any] = []
        forwards.append(timed(lambda: found.append(model.base_model(input_ids=mine))))
        out = found[0].last_hidden_state[:, -1].contiguous()
        outs = [torch.empty_like(out) for _ in range(processes)] if rank == 0 else None
        dist.gather(out, outs)

    samples = _fixed(run, 1.0, repeats, device)
    forward = _slowest(summarise(forwards[repeats.warmup :]).seconds, device)
    return [
        {
            "processes": processes,
            "batch": batch,
            "tokens": tokens,
            "forward": forward,
            "threads": threads,
            **vars(summarise(samples)),
        }
    ]
