"""Memory layout of the data plane: plain arrays that compiled kernels advance in place.

A *lane* is one scheduler with its own batch and KV cache: a replica has ``pipeline_parallel`` of
them, since a pipeline of p stages keeps p micro-batches in flight. Quantities of a lane are fields
of a record array, quantities of a request or of a slot (a place in a lane's batch) are arrays.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from planner.results.records import ITL_BINS, REJECTED, WAITING

if TYPE_CHECKING:
    from planner.traffic.requests import Requests

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
RecordArray = np.recarray[Any, Any]

#: Schedulers and routers by the numbers that the kernels know them by.
CHUNKED, PREFILL_FIRST, STATIC = range(3)
ROUND_ROBIN, RANDOM, POWER_OF_TWO, LEAST_OUTSTANDING, LEAST_KV, SESSION_AFFINITY = range(6)
#: States of a replica.
OFF, UP, DRAINING = range(3)
#: No slot, request or replica.
NONE = -1

CONFIG_DTYPE = np.dtype(
    [
        (name, np.int64)
        for name in (
            "scheduler", "router", "seed", "max_num_seqs", "max_num_batched_tokens", "block_size",
            "blocks", "watermark", "batch_size", "window", "lanes_per_replica", "classes",
            "closed_loops", "reserve_full",
            # groups of layers, each with blocks of its own: that keep every token, that keep a
            # window; blocks that one request holds at most in each of the latter; blocks that it
            # holds for the states of recurrent layers
            "full_groups", "window_groups", "window_blocks", "state_blocks",
            # decode steps after which a scheduler looks for requests that have arrived
            "recv_interval",
        )
    ]
    + [
        ("timeout", np.float64),
        ("issue_before", np.float64),  # clients send no request from then on
    ]
)  # fmt: skip

LANE_DTYPE = np.dtype(
    [
        (name, np.int64)
        for name in (
            "replica",
            # batch: sequences running, those past their prefill, the one amid its prefill
            "running", "decoding", "partial", "partial_done", "oldest", "youngest", "free_slots",
            # queue
            "waiting", "queue_head", "queue_tail",
            # of those that wait, the first so many that the scheduler has received, and its decode
            # steps since it looked for others
            "received", "unread",
            # KV cache: free blocks, tokens cached by decoding sequences, the same within windows,
            # sequences whose window is not full yet
            "free_blocks", "context", "context_window", "growing",
            # decode steps so far, finish events known
            "step", "finishes",
            # step under way: whether, its prefilling slots, whether sequences decode in it, and
            # whether decoding stood still since the last decode step
            "stepping", "prefills", "decode_step", "stalled", "steps",
            # static batch: its padded size and context
            "padded", "padded_context",
            # cached bin of the token gap, time block
            "gap_bin", "block",
        )
    ]
    + [
        (name, np.float64)
        for name in (
            "now", "next_event", "step_start", "step_end", "last_decode",
            # parts of the step under way, and of all steps ended
            "step_compute", "step_storage", "step_transfer", "step_overhead",
            "compute", "storage", "transfer", "overhead", "busy", "block_seconds",
            "gap_low", "gap_high",
        )
    ]
)  # fmt: skip

REPLICA_DTYPE = np.dtype(
    [
        ("state", np.int64),
        ("outstanding", np.int64),
        ("up", np.int64),  # not of the replica: entry of the list of those that take requests
        ("drained_at", np.float64),
    ]
)

FLEET_DTYPE = np.dtype(
    [
        (name, np.int64)
        for name in (
            "next_open", "open_stop",  # rows of the open-loop requests
            "late",  # size of the heap of arrivals known later: closed loops, retries
            "up",  # replicas that take requests
            "turn",  # of the round robin
            "held", "held_head", "held_tail",  # requests held while no replica is up
            "arrived", "finished", "rejected",
        )
    ]
)  # fmt: skip

REQUEST_DTYPE = np.dtype(
    [
        (name, np.float64)
        for name in (
            "arrival", "queued", "think", "admitted", "first", "last_token", "finished",
            # parts up to the first token; up to the last admission that ended
            "first_compute", "first_storage", "first_transfer", "first_overhead",
            "compute", "storage", "transfer", "overhead",
        )
    ]
    + [("session", np.int64)]
    + [
        (name, np.int32)
        for name in (
            "prompt", "output", "generated", "klass", "loop", "status",
            "after",  # next in its queue
            "slot", "lane", "preemptions", "retries",
        )
    ],
    align=True,
)  # fmt: skip

SLOT_DTYPE = np.dtype(
    [
        (name, np.float64)
        for name in (
            "last",  # time of the first token since admission
            "compute", "storage", "transfer", "overhead",  # totals of the lane at admission
        )
    ]
    + [
        ("origin", np.int64),  # cached tokens = step - origin while it decodes
        ("finish", np.int64),  # step at which its last token comes
    ]
    + [
        (name, np.int32)
        for name in (
            "request", "before", "behind",  # running list, oldest to youngest
            # not of the slot: entries of the stack of free slots, of the list of those prefilling
            # and of what these had cached before
            "free", "prefill", "done",
        )
    ],
    align=True,
)  # fmt: skip

LOOP_DTYPE = np.dtype([("next", np.int64), ("stop", np.int64)])
HEAP_DTYPE = np.dtype([("key", np.float64), ("value", np.int64)])


class Plane(NamedTuple):
    """Everything the kernels read and write: n requests, e lanes, s slots each, r replicas.

    Few arrays, since every call of a kernel passes them all.
    """

    config: RecordArray  # (1,)
    coefficients: RecordArray  # (1,), of STEP_DTYPE
    fleet: RecordArray  # (1,)
    lanes: RecordArray  # (e,)
    replicas: RecordArray  # (r,)
    requests: RecordArray  # (n,)
    loops: RecordArray  # (closed loops,)
    late: RecordArray  # (1, n), heap of arrivals known later
    slots: RecordArray  # (e, s)
    finishes: RecordArray  # (e, s), heap of finish steps
    # (e, 2, block_size): decoding sequences by origin modulo block size; those of a full window
    phase: IntArray
    crossing: IntArray  # (e, window + 1): sequences whose window fills at a step, modulo
    decoding_of: IntArray  # (e, classes): decoding sequences by class
    block_edges: FloatArray  # (time blocks + 1,), the last is +inf
    itl: IntArray  # (time blocks, classes, bins): gaps between tokens


def record(dtype: np.dtype[Any], *shape: int) -> RecordArray:
    """Return a zeroed record array."""
    return np.zeros(shape, dtype).view(np.recarray)


def build_plane(
    requests: Requests,
    *,
    config: RecordArray,
    coefficients: RecordArray,
    replicas: int,
    replicas_up: int,
    block_edges_s: FloatArray,
    rejected: npt.NDArray[np.bool_],
    output_tokens: npt.NDArray[np.int32],
) -> Plane:
    """Allocate the arrays for `requests` on at most `replicas` replicas.

    Parameters
    ----------
    requests : Requests
        n rows.
    config : record array of CONFIG_DTYPE, shape (1,)
        Limits of every lane; ``classes``, ``closed_loops``, ``issue_before`` are set
        here.
    coefficients : record array of STEP_DTYPE, shape (1,)
        Of the step model.
    replicas, replicas_up : int
        The most there can ever be, and how many serve from the start.
    block_edges_s : array, shape (blocks,)
        Start of each time block of the token-gap histogram.
    rejected : array of bool, shape (n,)
        Requests that the engine refuses on arrival.
    output_tokens : array, shape (n,)
        Output lengths after truncation to the context.
    """
    settings = config[0]
    settings.classes, settings.closed_loops = len(requests.class_names), len(requests.closed)
    settings.issue_before = requests.end_s
    lanes = replicas * settings.lanes_per_replica
    slots = settings.max_num_seqs
    plane = Plane(
        config=config,
        coefficients=coefficients,
        fleet=record(FLEET_DTYPE, 1),
        lanes=record(LANE_DTYPE, lanes),
        replicas=record(REPLICA_DTYPE, replicas),
        requests=_request_rows(requests, rejected, output_tokens),
        loops=record(LOOP_DTYPE, settings.closed_loops),
        late=record(HEAP_DTYPE, 1, len(requests)),
        slots=record(SLOT_DTYPE, lanes, slots),
        finishes=record(HEAP_DTYPE, lanes, slots),
        phase=np.zeros((lanes, 2, settings.block_size), np.int64),
        crossing=np.zeros((lanes, settings.window + 1), np.int64),
        decoding_of=np.zeros((lanes, settings.classes), np.int64),
        block_edges=np.append(block_edges_s, np.inf),
        itl=np.zeros((len(block_edges_s), settings.classes, ITL_BINS), np.int64),
    )
    _initialise_lanes(plane)
    _initialise_fleet(plane, requests, replicas_up)
    return plane


def _request_rows(
    requests: Requests, rejected: npt.NDArray[np.bool_], output_tokens: npt.NDArray[np.int32]
) -> RecordArray:
    """Return the rows of the requests, none of which has arrived."""
    rows = record(REQUEST_DTYPE, len(requests))
    for name in ("queued", "admitted", "first", "last_token", "finished"):
        rows[name] = np.nan
    for name in ("first_compute", "first_storage", "first_transfer", "first_overhead"):
        rows[name] = np.nan
    rows["arrival"] = requests.arrival_s
    rows["think"] = requests.think_s
    rows["session"] = requests.session_id
    rows["prompt"] = requests.prompt_tokens
    rows["output"] = output_tokens
    rows["klass"] = requests.class_id
    rows["status"] = np.where(rejected, REJECTED, WAITING)
    for name in ("loop", "after", "slot", "lane"):
        rows[name] = NONE
    for k, closed in enumerate(requests.closed):
        rows["loop"][closed.start : closed.stop] = k
    return rows


def _initialise_lanes(plane: Plane) -> None:
    """Set the fields of lanes and slots that do not start at zero."""
    lanes, slots, settings = plane.lanes, plane.slots, plane.config[0]
    lanes["replica"] = np.arange(len(lanes)) // settings.lanes_per_replica
    for name in ("partial", "oldest", "youngest", "queue_head", "queue_tail"):
        lanes[name] = NONE
    lanes["free_slots"] = settings.max_num_seqs
    lanes["free_blocks"] = settings.blocks
    lanes["next_event"] = np.inf
    lanes["last_decode"] = -np.inf
    slots["free"] = np.arange(settings.max_num_seqs)[::-1]
    for name in ("request", "before", "behind"):
        slots[name] = NONE


def _initialise_fleet(plane: Plane, requests: Requests, replicas_up: int) -> None:
    """Bring the first replicas up and issue the first request of every client."""
    fleet = plane.fleet[0]
    plane.replicas["drained_at"] = np.nan
    plane.replicas["state"][:replicas_up] = UP
    plane.replicas["up"][:replicas_up] = np.arange(replicas_up)
    fleet.up = replicas_up
    fleet.open_stop = min((each.start for each in requests.closed), default=len(requests))
    fleet.held_head = fleet.held_tail = NONE
    issued: list[int] = []
    for k, closed in enumerate(requests.closed):
        first = min(closed.start + closed.clients, closed.stop)
        plane.loops[k].next, plane.loops[k].stop = first, closed.stop
        issued.extend(range(closed.start, first))
    issued.sort(key=lambda row: (requests.arrival_s[row], row))  # a sorted array is a heap
    fleet.late = len(issued)
    plane.late["key"][0, : len(issued)] = requests.arrival_s[issued]
    plane.late["value"][0, : len(issued)] = issued
