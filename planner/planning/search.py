"""The search: bounds, a race in which fewer candidates see more of the traffic, verification.

1. **Bounds** exclude what cannot work, and give each other candidate the least that it can cost.
2. **Scout.** In the order of that least cost, each candidate's replicas are bisected on a short
   window. Once some are likely to do, those that cannot cost less are excluded.
3. **Race.** Those that are near the cheapest are sized again on a longer window.
4. **Full.** In the order of cost, they are sized on all of the traffic, all replications and
   draws of the coefficients, until nothing cheaper is left that could do.
5. **Again.** Where the cheapest that holds turns out dearer than what the scout and the race took
   for the cheapest, they may have passed over something between: they go on up to that cost.

All candidates see the same arrivals and lengths. The order does not depend on how many processes
there are, so that neither does the answer.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from planner.planning.describe import least_margin
from planner.planning.entries import Entry, bounded, under
from planner.planning.sizing import Sized, sized
from planner.planning.turns import PENNY, Turns
from planner.planning.verify import Verified, Verifier

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from planner.planning.candidate import Candidate
    from planner.planning.constraints import Constraints
    from planner.planning.found import Found
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

#: By how much more may be spent, at most, each time that nothing was found.
DEARER = 1.5


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
    known : mapping of str to Entry
        By key of the candidate, what another search for the same objectives found of it.
    """

    runner: Runner
    candidates: list[Candidate]
    constraints: Constraints
    tell: Callable[[float], None]
    keep: int = KEEP
    known: Mapping[str, Entry] = field(default_factory=dict)
    entries: list[Entry] = field(default_factory=list)
    simulated: set[int] = field(default_factory=set)
    verified: list[Verified] = field(default_factory=list)
    missed: list[Verified] = field(default_factory=list)
    scouted: dict[int, Sized] = field(default_factory=dict)
    raced: dict[int, Sized] = field(default_factory=dict)
    verifier: Verifier = field(init=False)
    #: Cost within which every candidate was given its chance [$/h].
    within: float = 0.0
    _done: float = 0.0
    _turns: Turns = field(init=False)
    _most: dict[tuple[str, int], int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.verifier = Verifier(self.runner)
        self._turns = Turns(self.cost)

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
        open_ = [each for each in self.entries if each.excluded is None]
        most = max((self.cost(each, each.high) for each in open_), default=0.0)
        while True:
            self._scout()
            self._race()
            self._full()
            considered = (self._kept_cost(each.values()) for each in (self.scouted, self.raced))
            self.within = max(self.within, min(considered))
            if min(most, self._best()) <= self.within + PENNY:
                break
            self.within = min(self._best(), DEARER * max(self.within, PENNY))
        self.verified.sort(key=self.merit)
        self._say(1.0)
        return self.verified

    def _say(self, share: float) -> None:
        """Tell which share is done: never less than before."""
        self._done = max(self._done, share)
        self.tell(self._done)

    def cost(self, entry: Entry, replicas: int) -> float:
        """Return what `replicas` and their spares cost [$/h]."""
        return entry.price * (replicas + self.constraints.spares_for(replicas))

    def merit(self, each: Verified) -> tuple[object, ...]:
        """Return what sorts plans: cost, quality and what was measured, the tightest margin."""
        cost = round(self.cost(each.entry, each.replicas), 9)
        return cost, each.entry.rank(), -self._margin(each.found), each.entry.index

    def _margin(self, found: Found) -> float:
        """Return the tightest margin; -inf where an objective has no value."""
        margin = least_margin(self.runner.setup.workload, found)
        return -math.inf if margin is None else margin

    def counts(self) -> Counter[str]:
        """Return why candidates were never simulated."""
        reasons = {each.index: each.excluded for each in self.entries}
        return Counter(
            reasons[index] or "dearer than the plan"
            for index in range(len(self.candidates))
            if index not in self.simulated
        )

    def _bound(self) -> None:
        """Bound every candidate, those of `known` from what is known of them."""
        found: dict[int, Entry] = {}
        for index, candidate in enumerate(self.candidates):
            entry = self.known.get(candidate.key)
            same = entry and under(entry, self.constraints)
            if same:
                found[index] = replace(same, index=index)
        rows = [each for each in enumerate(self.candidates) if each[0] not in found]
        chunks = [rows[k : k + CHUNK] for k in range(0, len(rows), CHUNK)]
        work: list[tuple[Candidate | None, tuple[object, ...]]]
        work = [(None, (chunk, self.constraints)) for chunk in chunks]
        for k, several in enumerate(self.runner.map(bounded, work), start=1):
            found |= {each.index: each for each in several}
            self._say(0.2 * k / len(chunks))
        self.entries = [found[index] for index in range(len(self.candidates))]

    def _best(self) -> float:
        """Return the cost of the cheapest plan found so far [$/h], inf without any."""
        return min((self.cost(v.entry, v.replicas) for v in self.verified), default=math.inf)

    def _scout(self) -> None:
        """Size candidates on the short window, best-first, until the rest cannot be cheaper."""
        level = self.levels[0]
        limit = self._limit(self.scouted)
        open_ = [e for e in self.entries if e.excluded is None and self._open(e, level, limit)]
        likely = sorted(open_, key=lambda e: (self.cost(e, e.guess), e.index))[:WAVE]
        chosen = {each.index for each in likely}
        others = [each for each in open_ if each.index not in chosen]
        others.sort(key=lambda e: (self.cost(e, e.low), e.index))
        queue = [*likely, *others]
        total = max(1, len(queue))
        while queue:
            limit = self._limit(self.scouted)
            wave = [e for e in queue[:WAVE] if self.cost(e, e.low) <= limit]
            queue = queue[WAVE:]
            self._size(wave, level, {e.index: e.guess for e in wave}, limit, self.scouted)
            self._say(0.2 + 0.4 * (1 - len(queue) / total))

    def _race(self) -> None:
        """Size those near the cheapest again, on the longer window."""
        level = self.levels[1]
        limit = self._limit(self.raced)
        likely = [
            each
            for each in self.scouted.values()
            if each.replicas is not None and self._open(each.entry, level, limit)
        ]
        likely.sort(key=lambda s: (self.cost(s.entry, s.replicas or 0), s.entry.index))
        while likely:
            limit = max(self.within, self._kept_cost(self.raced.values()))
            wave = [
                each
                for each in likely[:WAVE]
                if self._optimistic(each.entry, each.replicas or 0) <= limit
            ]
            likely = likely[WAVE:]
            entries = [each.entry for each in wave]
            guesses = {each.entry.index: each.replicas or 1 for each in wave}
            room = (1 + SCOUT_ERROR) * limit
            self._size(entries, level, guesses, room, self.raced)
            for each in entries:
                raced = self.raced[each.index]
                margin = -math.inf if raced.found is None else self._margin(raced.found)
                self._turns.raced(raced, margin)
            self._say(0.7)

    def _limit(self, found: Mapping[int, Sized]) -> float:
        """Return the most that a candidate may cost to be looked at [$/h]."""
        return (1 + SCOUT_ERROR) * max(self.within, self._kept_cost(found.values()))

    def _open(self, entry: Entry, level: Level, limit: float) -> bool:
        """Return whether `entry` was not sized on `level`, or in vain with less than may be had."""
        into = self.scouted if level == self.levels[0] else self.raced
        known = into.get(entry.index)
        if known is None:
            return True
        return (
            known.replicas is None and self._top(entry, limit) > self._most[level.name, entry.index]
        )

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
            high = self._most[level.name, each.index] = self._top(each, limit)
            rows.append((each.candidate, (each, level, guesses[each.index], high)))
        for found in self.runner.map(sized, rows):
            into[found.entry.index] = found
            self.simulated.add(found.entry.index)

    def _top(self, entry: Entry, limit: float) -> int:
        """Return the most replicas that `limit` pays for, no fewer than could do."""
        high = entry.high
        while high > entry.low and self.cost(entry, high) > limit:
            high = self._affordable(entry, high, limit)
        return high

    def _affordable(self, entry: Entry, high: int, limit: float) -> int:
        """Return a smaller number of replicas, no less than the most that `limit` pays for."""
        paid = math.floor(limit / entry.price) if entry.price else high
        return max(entry.low, min(high - 1, paid))

    def _kept_cost(self, found: Iterable[Sized]) -> float:
        """Return the cost that a candidate has to beat to be among those kept [$/h]."""
        kinds: dict[tuple[str, str], float] = {}
        for each in found:
            if each.found is not None:
                kind, cost = each.entry.kind, self.cost(each.entry, each.replicas or 0)
                kinds[kind] = min(cost, kinds.get(kind, math.inf))
        costs = sorted(kinds.values())
        return costs[self.keep - 1] if len(costs) >= self.keep else math.inf

    def _full(self) -> None:
        """Verify on all of the traffic, the cheapest first, until nothing cheaper is left.

        Goes on with more replicas wherever they are not enough, and with fewer where one fewer
        than the race found was.
        """
        while True:
            kinds = {v.entry.kind for v in self.verified}
            best = min(self.verified, key=self.merit, default=None)
            rank = None if best is None else best.entry.rank()
            turn = self._turns.take(self._best(), rank, kinds, self.keep)
            if turn is None:
                break
            found = self.verify(*turn)
            enough = found.probability >= self.constraints.confidence
            (self.verified if enough else self.missed).append(found)
            self._turns.after(found, enough=enough)
            self._say(0.85)

    def verify(self, entry: Entry, replicas: int) -> Verified:
        """Return what a fleet does on all of the traffic, and how sure that is."""
        self.simulated.add(entry.index)
        return self.verifier.verify(entry, replicas)
