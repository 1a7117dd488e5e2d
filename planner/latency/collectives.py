"""What travels between the devices of a replica in one step.

Tensor parallelism sums the partial results of attention and of the feed-forward layer over the
devices: two all-reduces per layer [1]_, and one after the embedding. A ring all-reduce of ``B``
bytes over ``n`` devices sends ``2 (n - 1)/n B`` bytes from each device [2]_; its latency is that of
the quicker of ring and tree, ``min(2 (n - 1), 2 ceil(log2 n))`` hops [3]_. Pipeline parallelism
hands the hidden states over once between consecutive stages.

References
----------
.. [1] M. Shoeybi et al., "Megatron-LM," 2019, section 3. arXiv:1909.08053
.. [2] P. Patarasuk and X. Yuan, "Bandwidth optimal all-reduce algorithms for clusters of
   workstations," J. Parallel Distrib. Comput. 69(2), 2009. doi:10.1016/j.jpdc.2008.09.002
.. [3] R. Thakur, R. Rabenseifner and W. Gropp, "Optimization of collective communication
   operations in MPICH," Int. J. High Perform. Comput. Appl. 19(1), 2005.
   doi:10.1177/1094342005051521
"""

from __future__ import annotations

import math
from typing import NamedTuple


class Transfer(NamedTuple):
    """Time of a transfer that carries so many tokens: ``fixed + per_token * tokens``.

    Parameters
    ----------
    fixed : float
        Latency. [s]
    per_token : float
        Bytes over bandwidth. [s]
    """

    fixed: float
    per_token: float

    def seconds(self, tokens: float) -> float:
        """Return the time with `tokens` tokens [s]."""
        return self.fixed + self.per_token * tokens


def all_reduce(devices: int, bytes_per_token: float, bandwidth: float, latency: float) -> Transfer:
    """Return the time of one all-reduce.

    Parameters
    ----------
    devices : int
        n, devices that take part, >= 1; one alone sends nothing.
    bytes_per_token : float
        Bytes reduced per token. [B]
    bandwidth : float
        Of each device's link, one direction, efficiency included. [B/s]
    latency : float
        Per hop. [s]
    """
    hops = min(2 * (devices - 1), 2 * math.ceil(math.log2(devices)))
    return Transfer(hops * latency, 2 * (devices - 1) / devices * bytes_per_token / bandwidth)


def step_transfer(
    layers: int,
    tensor_parallel: int,
    pipeline_parallel: int,
    bytes_per_token: float,
    *,
    bandwidth: float,
    latency: float,
) -> Transfer:
    """Return the time of all transfers of a step that passes through all stages.

    Parameters
    ----------
    layers : int
        Layers of the model.
    tensor_parallel, pipeline_parallel : int
        Devices that share a layer; stages in a row.
    bytes_per_token : float
        Of a token's hidden state. [B]
    bandwidth, latency : float
        As in :func:`all_reduce`; ``bandwidth`` may be inf where one device works alone.
    """
    reduce = all_reduce(tensor_parallel, bytes_per_token, bandwidth, latency)
    count = 2 * layers + 1
    hand_overs = pipeline_parallel - 1
    return Transfer(
        count * reduce.fixed + hand_overs * latency,
        count * reduce.per_token + hand_overs * bytes_per_token / bandwidth,
    )
