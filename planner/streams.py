"""Named random streams: the same name, seed and replication always give the same numbers.

Two candidates simulated with one seed see the same arrivals and lengths (common random numbers),
whatever else they draw, since each use has a stream of its own.
"""

from __future__ import annotations

import zlib

import numpy as np


def stream(seed: int, replication: int, *name: str | int) -> np.random.Generator:
    """Return the generator of the stream called `name`.

    Parameters
    ----------
    seed : int
        The scenario's seed, >= 0.
    replication : int
        Number of the independent replication, >= 0.
    *name : str or int
        What the numbers are for, e.g. ``"arrivals", 0``.
    """
    label = zlib.crc32("/".join(map(str, name)).encode())
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(replication, label)))
