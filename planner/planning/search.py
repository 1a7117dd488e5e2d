"""The search: bounds, a race in which fewer candidates see more of the traffic, verification.

1. **Bounds** exclude what cannot work, and give each other candidate the least that it can cost.
2. **Scout.** In the order of that least cost, each candidate's replicas are bisected on a short
   window. Once some are likely to do, those that cannot cost less are excluded.
3. **Race.** Those that are near the cheapest are sized again on a longer window.
4. **Full.** In the order of cost, they are sized on all of the traffic, all replications and
   draws of the coefficients, until nothing cheaper is left that could do.

All candidates see the same arrivals and lengths. The order does not depend on how many processes
there are, so that neither does the answer.
"""

from __future__ import annotations

import heapq
import math
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from planner.planning.sizing import Entry, Sized, bounded, sized
from planner.planning.verify import CLEAR, Verified, Verifier

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from planner.planning.candidate import Candidate
    from planner.planning.constraints import Constraints
    from planner.planning.runner import Runner
    from planner.planning.workload import Level

#: Candidates that are sent out together; the same however many processes there are.
WAVE, CHUNK = 16, 32

#: Plans that are looked for: the cheapest, and one to compare it with.
KEEP = 2

#: Share by which the replicas found on the short window may be off.
SCOUT_ERROR = 0.15

#: The same where it is the busiest stretch of a traffic with bursts.
BURST_ERROR = 0.4

#: Costs that differ by less are the same [$/h].
PENNY = 1e-6


@dataclass
class Bracket:
    """Numbers of replicas of one candidate between which the fewest that do lie.

    Parameters
    ----------
    high : int
        Most that are allowed.
    bad, good : int or None
        Most that are too few and fewest that do, of those tried.
    ratios : tuple of float
        Of the tallies with `bad`.
    failures : int
        How often it was too few.
    """

    high: int
    bad: int | None = None
    good: int | None = None
    ratios: tuple[float, ...] = ()
    failures: int = 0

    def following(self, found: Verified, *, enough: bool) -> int | None:
        """Return how many replicas to try next, None if that is settled.

        One more at first, then twice as many more each time; nothing further where more replicas
        changed nothing.
        """
        n, ratios = found.replicas, tuple(each.ratio for each in found.found.tallies)
        if enough:
            self.good = n
        else:
            if ratios == self.ratios and self.good is None:
                return None
            self.bad, self.ratios, self.failures = n, ratios, self.failures + 1
        if self.good is not None:
            gap = 0 if self.bad is None else self.good - self.bad
            return (self.good + (self.bad or 0)) // 2 if gap > 1 else None
        following = min(self.high, n + 2 ** max(0, self.failures - 2))
        return following if following > n else None


@dataclass
class Search:
    """A search and what it has found so far.

    Parameters
    ----------
    runner : Runner
        Where evaluations run.
    candidates : list of Candidate
        The search space.
    constraints : Constraints
        What a plan has to keep to.
    tell : callable
        Called with the share that is done.
    keep : int
        Plans that are looked for: the cheapest, and those of other kinds to compare it with.
    """

    runner: Runner
    candidates: list[Candidate]
    constraints: Constraints
    tell: Callable[[float], None]
    keep: int = KEEP
    entries: list[Entry] = field(default_factory=list)
    simulated: set[int] = field(default_factory=set)
    verified: list[Verified] = field(default_factory=list)
    missed: list[Verified] = field(default_factory=list)
    scouted: dict[int, Sized] = field(default_factory=dict)
    raced: dict[int, Sized] = field(default_factory=dict)
    verifier: Verifier = field(init=False)

    def __post_init__(self) -> None:
        self.verifier = Verifier(self.runner)

    @property
    def levels(self) -> tuple[Level, Level, Level]:
        """The levels of the race."""
        return self.runner.setup.workload.levels

    @property
    def drawn(self) -> int:
        """How many draws of the coefficients there were."""
        return self.verifier.drawn

    def run(self) -> list[Verified]:
        """Return the plans found, the best first; none if nothing meets the constraints."""
        self._bound()
        self._scout()
        self._full(self._race())
        self.verified.sort(key=self.merit)
        self.tell(1.0)
        return self.verified

    def cost(self, entry: Entry, replicas: int) -> float:
        """Return what `replicas` and their spares cost [$/h]."""
        return entry.price * (replicas + self.constraints.spares_for(replicas))

    def merit(self, each: Verified) -> tuple[object, ...]:
        """Return what sorts plans: cost, then quality, then what is left to the bounds."""
        cost = round(self.cost(each.entry, each.replicas), 9)
        return cost, each.entry.rank(), -round(each.probability, 2), each.entry.index

    def counts(self) -> Counter[str]:
        """Return why candidates were never simulated."""
        reasons = {each.index: each.excluded for each in self.entries}
        return Counter(
            reasons[index] or "dearer than the plan"
            for index in range(len(self.candidates))
            if index not in self.simulated
        )

    def _bound(self) -> None:
        rows = list(enumerate(self.candidates))
        chunks = [rows[k : k + CHUNK] for k in range(0, len(rows), CHUNK)]
        work: list[tuple[Candidate | None, tuple[object, ...]]]
        work = [(None, (chunk, self.constraints)) for chunk in chunks]
        for k, found in enumerate(self.runner.map(bounded, work), start=1):
            self.entries += found
            self.tell(0.2 * k / len(chunks))

    def _scout(self) -> None:
        """Size candidates on the short window, best-first, until the rest cannot be cheaper."""
        level = self.levels[0]
        open_ = [each for each in self.entries if each.excluded is None]
        likely = sorted(open_, key=lambda e: (self.cost(e, e.guess), e.index))[:WAVE]
        others = [each for each in open_ if each not in likely]
        others.sort(key=lambda e: (self.cost(e, e.low), e.index))
        queue = [*likely, *others]
        total = max(1, len(queue))
        while queue:
            limit = (1 + SCOUT_ERROR) * self._kept_cost(self.scouted.values())
            wave = [e for e in queue[:WAVE] if self.cost(e, e.low) <= limit]
            queue = queue[WAVE:]
            self._size(wave, level, {e.index: e.guess for e in wave}, limit, self.scouted)
            self.tell(0.2 + 0.4 * (1 - len(queue) / total))

    def _race(self) -> list[Sized]:
        """Size those near the cheapest again, on the longer window."""
        likely = [each for each in self.scouted.values() if each.replicas is not None]
        likely.sort(key=lambda s: (self.cost(s.entry, s.replicas or 0), s.entry.index))
        while likely:
            limit = self._kept_cost(self.raced.values())
            wave = [
                each
                for each in likely[:WAVE]
                if self._optimistic(each.entry, each.replicas or 0) <= limit
            ]
            likely = likely[WAVE:]
            entries = [each.entry for each in wave]
            guesses = {each.entry.index: each.replicas or 1 for each in wave}
            room = (1 + SCOUT_ERROR) * limit
            self._size(entries, self.levels[1], guesses, room, self.raced)
            self.tell(0.7)
        return [each for each in self.raced.values() if each.replicas is not None]

    def _optimistic(self, entry: Entry, replicas: int) -> float:
        """Return the cost if the short window asked for too many replicas [$/h]."""
        error = SCOUT_ERROR if self.levels[1].window else BURST_ERROR
        off = max(1, math.ceil(error * replicas))
        return self.cost(entry, max(entry.low, replicas - off))

    def _size(
        self,
        entries: Sequence[Entry],
        level: Level,
        guesses: dict[int, int],
        limit: float,
        into: dict[int, Sized],
    ) -> None:
        """Size candidates on `level`, with no more replicas than `limit` pays for."""
        rows: list[tuple[Candidate | None, tuple[object, ...]]] = []
        for each in entries:
            high = each.high
            while high > each.low and self.cost(each, high) > limit:
                high = self._affordable(each, high, limit)
            rows.append((each.candidate, (each, level, guesses[each.index], high)))
        for found in self.runner.map(sized, rows):
            into[found.entry.index] = found
            self.simulated.add(found.entry.index)

    def _affordable(self, entry: Entry, high: int, limit: float) -> int:
        """Return a smaller number of replicas, no less than the most that `limit` pays for."""
        paid = math.floor(limit / entry.price) if entry.price else high
        return max(entry.low, min(high - 1, paid))

    def _kept_cost(self, found: Iterable[Sized]) -> float:
        """Return the cost that a candidate has to beat to be among those kept [$/h]."""
        kinds: dict[tuple[str, str], float] = {}
        for each in found:
            if each.replicas is not None:
                kind, cost = each.entry.kind, self.cost(each.entry, each.replicas)
                kinds[kind] = min(cost, kinds.get(kind, math.inf))
        costs = sorted(kinds.values())
        return costs[self.keep - 1] if len(costs) >= self.keep else math.inf

    def _full(self, raced: list[Sized]) -> None:
        """Verify on all of the traffic, the cheapest first, until nothing cheaper is left.

        Begins one replica below what the race found where that was close, and goes on with one
        more wherever it is not enough.
        """
        queue: list[tuple[tuple[object, ...], int, Entry]] = []

        def put(entry: Entry, replicas: int | None, chance: float) -> None:
            if replicas is not None:
                cost = round(self.cost(entry, replicas), 9)
                merit = (cost, entry.rank(), -round(chance, 2), entry.index)
                heapq.heappush(queue, (merit, replicas, entry))

        for each in raced:
            close = each.fewer > CLEAR
            put(each.entry, (each.replicas or 1) - close, each.fewer if close else each.chance)
        tried: dict[int, Bracket] = {}
        while queue:
            _, replicas, entry = heapq.heappop(queue)
            best = min((self.cost(v.entry, v.replicas) for v in self.verified), default=math.inf)
            kinds = {v.entry.kind for v in self.verified}
            if self.cost(entry, replicas) >= best - PENNY:
                if len(kinds) >= self.keep:
                    break
                if entry.kind in kinds:
                    continue
            found = self.verify(entry, replicas)
            enough = found.probability >= self.constraints.confidence
            (self.verified if enough else self.missed).append(found)
            bracket = tried.setdefault(entry.index, Bracket(entry.high))
            put(entry, bracket.following(found, enough=enough), 0.0)
            self.tell(0.85)

    def verify(self, entry: Entry, replicas: int) -> Verified:
        """Return what a fleet does on all of the traffic, and how sure that is."""
        self.simulated.add(entry.index)
        return self.verifier.verify(entry, replicas)
