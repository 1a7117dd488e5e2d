"""A plain stepper: the semantics of the data plane, one object per sequence, one loop per step.

Slow and obvious on purpose. Order at one instant: steps end, requests arrive, steps start.
"""

from __future__ import annotations

import heapq
import math
from dataclasses import dataclass, field

from planner.latency.step import step_parts

MASK = (1 << 64) - 1


def mix(*values):
    z = 0
    for value in values:
        z = ((z ^ value) + 0x9E3779B97F4A7C15) & MASK
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
        z ^= z >> 31
    return z >> 1


@dataclass
class Seq:
    row: int
    arrival: float
    prompt: int
    output: int
    klass: int = 0
    session: int = 0
    loop: int = -1
    think: float = 0.0
    rejected: bool = False
    state: str = "waiting"
    cached: int = 0
    tokens: int = 0
    decodes: bool = False
    retries: int = 0
    preemptions: int = 0
    queued: float = math.nan
    admitted: float = math.nan
    first: float = math.nan
    last: float = math.nan
    finished: float = math.nan
    parts: list = field(default_factory=lambda: [0.0] * 4)
    parts_first: list = field(default_factory=lambda: [math.nan] * 4)

    @property
    def prefill_left(self):
        return self.prompt + self.tokens - self.cached


@dataclass
class Limits:
    scheduler: str = "chunked"
    router: str = "least_outstanding"
    max_num_seqs: int = 8
    max_num_batched_tokens: int = 64
    block_size: int = 4
    blocks: int = 100
    full_groups: int = 1
    window_groups: int = 0
    state_blocks: int = 0
    recv_interval: int = 1
    watermark: int = 0
    reserve_full: bool = False
    batch_size: int = 4
    timeout: float = 1.0
    lanes_per_replica: int = 1
    seed: int = 0


class Lane:
    def __init__(self, limits, coefficients, replica):
        self.l, self.c, self.replica = limits, coefficients, replica
        self.pace = 1.0
        self.waiting, self.running, self.chunks, self.batch = [], [], {}, []
        self.end, self.start, self.rest, self.pad = None, 0.0, 0.0, 0
        self.received, self.decoded = [], 0  # prefill first: what it knows, decode steps since

    def blocks(self, tokens):
        return math.ceil(tokens / self.l.block_size)

    def held(self, cached, chunk=0):
        """Blocks of a sequence, group by group: windows keep what the next token sees."""
        last = self.blocks(cached + chunk)
        unseen = max(0, cached + 1 - int(self.c.window)) // self.l.block_size
        states = self.l.state_blocks if cached + chunk else 0
        return self.l.full_groups * last + self.l.window_groups * (last - unseen) + states

    def reserved(self, tokens):
        """The most blocks that a sequence ever holds, whatever the chunks, until `tokens`."""
        seen = int(self.c.window) - 1 + self.l.max_num_batched_tokens
        in_window = min(self.blocks(tokens), self.blocks(seen) + 1)
        groups = self.l.full_groups * self.blocks(tokens) + self.l.window_groups * in_window
        return groups + self.l.state_blocks

    @property
    def free(self):
        held = sum(self.held(s.cached, self.chunks.get(s.row, 0)) for s in self.running)
        if self.l.scheduler == "static":
            longest = max((s.prompt for s in self.batch), default=0)
            held = self.blocks(longest + max((s.output for s in self.batch), default=0))
            held += self.l.state_blocks
            held = min(held * len(self.batch), self.l.blocks)
        return self.l.blocks - held

    def ready(self):
        """When the next step could start; None while one is under way or there is nothing."""
        if self.end is not None or not (self.waiting or self.running or self.batch):
            return None
        few = len(self.waiting) < self.l.batch_size
        if self.l.scheduler == "static" and not self.batch and few:
            return max(self.rest, self.waiting[0].queued + self.l.timeout)
        return self.rest

    def begin(self, now):
        self.start, self.chunks = now, {}
        work = getattr(self, self.l.scheduler)()
        step = [self.pace * part for part in step_parts(self.c, *map(float, work))]
        self.parts, self.end = step, now + sum(step)

    def admit(self, chunk):
        seq = self.waiting.pop(0)
        self.running.append(seq)
        self.chunks[seq.row] = chunk
        seq.state = "running"
        if math.isnan(seq.admitted):
            seq.admitted = self.start

    def allocate(self, seq, chunk):
        """Blocks for `chunk` more tokens of a running sequence, preempting the youngest."""
        while self.held(seq.cached, chunk) - self.held(seq.cached) > self.free:
            victim = self.running.pop()
            victim.cached, victim.state, victim.decodes = 0, "waiting", False
            victim.preemptions += 1
            self.waiting.insert(0, victim)
            self.received.insert(0, victim)
            if victim is seq:
                return False
        self.chunks[seq.row] = chunk
        return True

    def chunked(self):
        budget, before = self.l.max_num_batched_tokens, len(self.running)
        for seq in list(self.running):
            if seq in self.running and not self.allocate(
                seq, chunk := min(seq.prefill_left, budget)
            ):
                break
            if seq in self.running:
                budget -= chunk
        preempted = len(self.running) < before
        while self.waiting and budget and not preempted and len(self.running) < self.l.max_num_seqs:
            chunk = min(self.waiting[0].prefill_left, budget)
            first = self.held(0, chunk)
            whole = self.reserved(self.waiting[0].prefill_left)
            if (whole if self.l.reserve_full else first) > self.free:
                break
            self.admit(chunk)
            budget -= chunk
        return self.work()

    def prefill_first(self):
        tokens = 0
        if not self.running or self.decoded in {0, self.l.recv_interval}:
            self.received, self.decoded = list(self.waiting), 0
        while self.received and len(self.running) < self.l.max_num_seqs:
            chunk = self.waiting[0].prefill_left
            if tokens and tokens + chunk > self.l.max_num_batched_tokens:
                break
            spare = self.l.watermark if self.running else 0
            if self.blocks(chunk) + self.l.state_blocks + spare > self.free:
                break
            self.received.pop(0)
            self.admit(chunk)
            tokens += chunk
        self.decoded = 0 if tokens else self.decoded + 1
        if not tokens:
            for seq in list(self.running):
                if seq in self.running:
                    self.allocate(seq, 1)
        return self.work()

    def static(self):
        if not self.batch:
            while self.waiting and len(self.batch) < self.l.batch_size:
                seqs = [*self.batch, self.waiting[0]]
                size = max(s.prompt for s in seqs) + max(s.output for s in seqs)
                each = self.blocks(size) + self.l.state_blocks
                if self.batch and len(seqs) * each > self.l.blocks:
                    break
                self.batch.append(self.waiting[0])
                self.admit(self.waiting[0].prompt)
            self.pad = 0
        n, longest = len(self.batch), max(s.prompt for s in self.batch)
        chunk = longest if self.pad == 0 else 1
        if self.pad:
            self.chunks = {s.row: 1 for s in self.running}
        done, self.pad = self.pad, self.pad + chunk
        positions = range(done + 1, done + chunk + 1)
        return self.totals([(n, positions, done > 0)])

    def work(self):
        """Quantities of the step from its sequences, token by token."""
        return self.totals(
            (1, range(s.cached + 1, s.cached + self.chunks[s.row] + 1), s.decodes)
            for s in self.running
            if s.row in self.chunks
        )

    def totals(self, groups):
        window = int(self.c.window) or 0
        tokens = sequences = samples = attended = in_window = context = context_window = 0
        decoded = 0
        for n, positions, decodes in groups:
            tokens += n * len(positions)
            sequences += n
            attended += n * sum(positions)
            context += n * positions[-1]
            decoded += n * positions[-1] * decodes
            if window:
                in_window += n * sum(min(each, window) for each in positions)
                first = min(positions[0], window)
                context_window += n * (first + len(positions) - 1)
        if self.l.scheduler == "static":
            samples = sequences
        else:
            for s in self.running:
                chunk = self.chunks.get(s.row)
                samples += chunk == s.prefill_left
        contexts = context, context_window, decoded
        return tokens, sequences, samples, attended, in_window, *contexts

    def finish_step(self, gaps):
        """Tokens come out; returns the sequences that finished."""
        now, self.end, self.rest, done = self.end, None, self.end, []
        for seq in list(self.running):
            for part in range(4):
                seq.parts[part] += self.parts[part]
            chunk = self.chunks.get(seq.row, 0)
            if not chunk:
                continue
            ready, was_decoding = chunk == seq.prefill_left, seq.decodes
            seq.cached += chunk
            if not ready:
                continue
            seq.tokens += 1
            seq.decodes = True
            if seq.tokens == 1:
                seq.first, seq.parts_first = now, list(seq.parts)
            else:
                gaps.append((now, now - seq.last, seq.klass))
            seq.last = now
            if seq.tokens == seq.output:
                seq.finished, seq.state = now, "finished"
                self.running.remove(seq)
                # decoding sequences finish before those that just ended their prefill
                done.append((not was_decoding, seq.row if was_decoding else len(done), seq))
        self.chunks = {}
        if not self.running:
            self.batch = []
        return done


class Stepper:
    def __init__(
        self, seqs, limits, coefficients, replicas, up, loops=(), changes=(), issue_before=math.inf
    ):
        self.lanes = [
            Lane(limits, coefficients, n // limits.lanes_per_replica)
            for n in range(replicas * limits.lanes_per_replica)
        ]
        self.limits, self.seqs, self.up = limits, seqs, list(range(up))
        self.issue_before = issue_before
        self.turn, self.held, self.gaps, self.draining = 0, [], [], set()
        self.loops = {n: list(rest) for n, rest in enumerate(loops)}
        self.events = [(s.arrival, s.loop >= 0, s.row) for s in seqs if math.isfinite(s.arrival)]
        heapq.heapify(self.events)
        self.changes = sorted(changes, key=lambda change: change[0])

    def outstanding(self, r):
        return sum(len(e.waiting) + len(e.running) for e in self.lanes if e.replica == r)

    def choose(self, seq):
        up, seed = self.up, self.limits.seed
        if len(up) <= 1:
            return up[0] if up else None
        if self.limits.router == "round_robin":
            self.turn += 1
            return up[(self.turn - 1) % len(up)]
        draw = mix(seed, seq.row, 2 * seq.retries)
        if self.limits.router == "random":
            return up[draw % len(up)]
        if self.limits.router == "power_of_two":
            a = draw % len(up)
            b = (a + 1 + mix(seed, seq.row, 2 * seq.retries + 1) % (len(up) - 1)) % len(up)
            return up[b] if self.outstanding(up[b]) < self.outstanding(up[a]) else up[a]
        if self.limits.router == "session_affinity":
            return max(up, key=lambda r: mix(seed, seq.session, r))
        if self.limits.router == "least_kv":
            return min(
                up,
                key=lambda r: (
                    sum(self.limits.blocks - e.free for e in self.lanes if e.replica == r),
                    self.outstanding(r),
                ),
            )
        return min(up, key=self.outstanding)

    def arrive(self, seq, now):
        if seq.rejected:
            seq.state = "rejected"
            return self.follow(seq, now)
        r = self.choose(seq)
        if r is None:
            return self.held.append(seq)
        lanes = [e for e in self.lanes if e.replica == r]
        lane = min(lanes, key=lambda e: len(e.waiting) + len(e.running))
        seq.queued = now
        lane.waiting.append(seq)
        if lane.end is None:
            lane.rest = now
        return None

    def follow(self, seq, now):
        if seq.loop >= 0 and self.loops[seq.loop]:
            new = self.seqs[self.loops[seq.loop][0]]
            if now + new.think >= self.issue_before:
                return
            self.loops[seq.loop].pop(0)
            new.arrival, new.session = now + new.think, seq.session
            heapq.heappush(self.events, (new.arrival, True, new.row))

    def change(self, now, kind, r, delay=0.0):
        if kind == "pace":
            for lane in self.lanes:
                lane.pace = delay
        if kind in ("fail", "leave"):
            self.up.remove(r)
        if kind == "fail":
            for lane in (e for e in self.lanes if e.replica == r):
                for seq in lane.running + lane.waiting:
                    fresh = Seq(
                        seq.row,
                        seq.arrival,
                        seq.prompt,
                        seq.output,
                        seq.klass,
                        seq.session,
                        seq.loop,
                        seq.think,
                        retries=seq.retries + 1,
                        preemptions=seq.preemptions,
                    )
                    self.seqs[seq.row].__dict__.update(fresh.__dict__)
                    heapq.heappush(self.events, (now + delay, True, seq.row))
                lane.waiting, lane.running, lane.batch = [], [], []
                lane.end, lane.chunks = None, {}
        if kind == "join":
            self.up = sorted([*self.up, r])
            held, self.held = self.held, []
            for seq in held:
                self.arrive(seq, now)

    def run(self, until=math.inf):
        while True:
            times = [e.end for e in self.lanes if e.end is not None]
            times += [e.ready() for e in self.lanes if e.ready() is not None]
            times += [self.events[0][0]] if self.events else []
            times += [self.changes[0][0]] if self.changes else []
            now = min(times, default=math.inf)
            if now > until or now == math.inf:
                return
            for lane in self.lanes:
                if lane.end == now:
                    done = lane.finish_step(self.gaps)
                    for *_, seq in sorted(done, key=lambda each: each[:2]):
                        self.follow(seq, now)
            while self.events and self.events[0][0] <= now:
                self.arrive(self.seqs[heapq.heappop(self.events)[2]], now)
            while self.changes and self.changes[0][0] <= now:
                self.change(*self.changes.pop(0))
            if self.events and self.events[0][0] <= now:
                continue
            for lane in self.lanes:
                if lane.end is None and lane.ready() == now:
                    lane.begin(now)
