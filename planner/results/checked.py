"""What a scenario amounts to before it is simulated."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from planner import __version__

if TYPE_CHECKING:
    from planner.errors import Notice
    from planner.latency.memory import KvPool
    from planner.traffic.requests import Requests

#: Version of the JSON; raised when a key changes its meaning or goes away.
SCHEMA_VERSION = 1


def in_words(requests: Requests) -> str:
    """Return in words how fast open-loop requests come and how long they are."""
    if requests.closed or not len(requests.arrival_s) or requests.end_s <= 0:
        return ""
    rate = len(requests.arrival_s) / requests.end_s
    prompt, output = requests.prompt_tokens.mean(), requests.output_tokens.mean()
    return (
        f" in {requests.end_s:,.0f} s, {rate:.3g} req/s; on average {prompt:,.0f} prompt and "
        f"{output:,.0f} output tokens"
    )


@dataclass(frozen=True)
class KvCache:
    """The KV cache of a replica.

    Parameters
    ----------
    tokens : int
        That it holds.
    bytes_per_device : float
        What it takes of the memory of each device. [B]
    max_model_len : int
        Most tokens of a request.
    max_concurrency : float
        Requests of that length that fit at once.
    """

    tokens: int
    bytes_per_device: float
    max_model_len: int
    max_concurrency: float

    @classmethod
    def of(cls, pool: KvPool) -> KvCache:
        """Return what is said of the pool of a replica."""
        held = pool.breakdown["kv_cache"]
        return cls(pool.tokens, held, pool.max_model_len, pool.max_concurrency)


@dataclass(frozen=True)
class Checked:
    """A scenario that can be simulated, and what it amounts to.

    Parameters
    ----------
    scenario : str
        Its name.
    served_by : str
        Model, fleet, settings and scheduler.
    requests : int
        That arrive; of clients that wait for answers, those sent at first.
    closed_loop : bool
        Whether clients wait for their answers.
    offered : str
        How fast they come and how long they are, in words; empty where clients wait.
    kv_cache : KvCache or None
        None for stages.
    pool, profile : str
        The KV cache and the profile in words; empty for stages.
    traffic : tuple of Notice
        What reading the traffic left out, changed or assumed.
    notices : tuple of Notice
        What the simulation would.
    """

    scenario: str
    served_by: str
    requests: int
    closed_loop: bool
    offered: str
    kv_cache: KvCache | None
    pool: str
    profile: str
    traffic: tuple[Notice, ...]
    notices: tuple[Notice, ...]

    def lines(self) -> list[str]:
        """Return it for people, a line each."""
        later = " at first, then as clients send them" if self.closed_loop else self.offered
        lines = [f"{self.scenario}: {self.served_by}", f"{self.requests:,} requests{later}"]
        lines += map(str, self.traffic)
        lines += [each for each in (self.pool, self.profile) if each]
        return [*lines, *map(str, self.notices)]

    def to_json(self, command: str = "") -> dict[str, Any]:
        """Return it as JSON values; ``planner schema check`` describes them."""
        return {
            "schema_version": SCHEMA_VERSION,
            "tool_version": __version__,
            "command": command,
            "scenario": self.scenario,
            "served_by": self.served_by,
            "requests": self.requests,
            "closed_loop": self.closed_loop,
            "kv_cache": None if self.kv_cache is None else asdict(self.kv_cache),
            "profile": self.profile or None,
            "notices": [
                {"message": each.message, "count": each.count}
                for each in (*self.traffic, *self.notices)
            ],
        }
