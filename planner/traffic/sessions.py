"""Which conversation each request belongs to."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

#: Conversations that go on at the same time.
AT_ONCE = 256


def session_ids(n: int, mean: float, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """Return a conversation for each of `n` requests in order of arrival, shape ``(n,)``.

    Up to :data:`AT_ONCE` conversations go on at a time (fewer if `n` would leave them without
    requests); each request belongs to one of them, equally likely, and is its last with
    probability ``1/mean``. The number of requests of a conversation is geometric with that mean,
    except for those that the end of the traffic cuts.

    Parameters
    ----------
    n : int
        Requests, >= 0.
    mean : float
        Mean requests per conversation, >= 1.
    rng : numpy.random.Generator
        Source of the draws.
    """
    lanes = int(min(max(n / (10 * mean), 1), AT_ONCE))
    lane = rng.integers(lanes, size=n, dtype=np.int16)
    ends = rng.random(n) < 1 / mean
    order = np.argsort(lane, kind="stable")
    begins = np.empty(n, np.bool_)
    begins[1:] = ends[order][:-1] | (np.diff(lane[order]) != 0)
    begins[:1] = False
    ids = np.empty(n, np.int64)
    ids[order] = np.cumsum(begins)
    return ids
