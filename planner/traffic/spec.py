"""What a scenario says about its traffic."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path  # noqa: TC003 - a parameter of public methods
from typing import TYPE_CHECKING, Annotated, Self

from pydantic import Field, PositiveInt, model_validator
from pydantic_core import PydanticCustomError

from planner.errors import InputError
from planner.spec import Spec
from planner.traffic.arrivals import Arrivals
from planner.traffic.assemble import Assembler, Offer
from planner.traffic.classes import RequestClass, conflict
from planner.traffic.lengths import Lengths, LengthsFromArrivals
from planner.traffic.open_loop import load_sources
from planner.traffic.renewal import MAX_REQUESTS
from planner.units import PositiveDuration, Rate

if TYPE_CHECKING:
    from planner.errors import Problem
    from planner.traffic.requests import Requests

#: Name of the class of traffic that is written inline.
INLINE = "requests"


class Traffic(Spec):
    """Everything that arrives: one class written inline, or several under ``classes``.

    Open-loop requests come until the duration, the number of requests or the end of the longest
    trace, whichever is given, and the earlier where both duration and requests are.

    Parameters
    ----------
    duration : float
        Requests arrive before it. [s]
    requests : int
        Open-loop requests in all, the first that come, whatever their class; where there are only
        closed loops, theirs, shared in the proportion of their clients.
    rate : float
        Total mean rate of the open-loop arrivals; all are made faster or slower by one factor.
        The mean is over the duration where the rate changes with time; traces are replayed
        faster or slower. [1/s]
    arrivals, lengths, sessions
        Those of the one class, as in :class:`RequestClass`.
    classes : tuple of RequestClass
        Several classes instead.
    """

    duration: PositiveDuration | None = None
    requests: Annotated[PositiveInt, Field(le=MAX_REQUESTS)] | None = None
    rate: Rate | None = None
    arrivals: Arrivals | None = None
    lengths: Lengths | None = None
    sessions: Annotated[float, Field(ge=1)] | None = None
    classes: Annotated[tuple[RequestClass, ...], Field(min_length=1, max_length=1000)] | None = None

    @model_validator(mode="after")
    def _is_complete(self) -> Self:
        problem = self._shape_problem() or self._end_problem()
        if problem:
            raise PydanticCustomError("traffic", "{problem}", {"problem": problem})
        return self

    def _shape_problem(self) -> str:
        inline = (self.arrivals, self.lengths, self.sessions)
        if self.classes is not None:
            if any(part is not None for part in inline):
                return "must have either 'classes' or inline 'arrivals' and 'lengths', got both"
            names = [each.name for each in self.classes]
            twice = next((name for name in names if names.count(name) > 1), None)
            return f"must have a name of its own for each class, got {twice!r} twice" * bool(twice)
        if self.arrivals is None:
            return "must have 'arrivals' (and 'lengths'), or 'classes', got neither"
        return conflict(self.arrivals, self.lengths or LengthsFromArrivals(), self.sessions)

    def _end_problem(self) -> str:
        kinds = [each.arrivals.kind for each in self.request_classes]
        endless = self.duration is None and self.requests is None
        if endless and "trace" not in kinds:
            return f"must have a duration or a number of requests, since {kinds[0]} never ends"
        if self.rate is not None and set(kinds) == {"closed_loop"}:
            return (
                "must have no rate where there are only closed loops, whose rate follows from the "
                "answers; leave it out and change clients or think"
            )
        return ""

    @property
    def request_classes(self) -> tuple[RequestClass, ...]:
        """The classes; traffic written inline is one class named :data:`INLINE`."""
        if self.classes is not None:
            return self.classes
        assert self.arrivals is not None  # noqa: S101 - checked when it was made
        return (
            RequestClass(
                name=INLINE,
                arrivals=self.arrivals,
                lengths=self.lengths or LengthsFromArrivals(),
                sessions=self.sessions,
            ),
        )

    @property
    def random(self) -> bool:
        """Whether anything is drawn; if not, all replications are the same."""
        return any(each.random for each in self.request_classes)

    def open_rate(self, base_dir: Path) -> float | None:
        """Return the total mean rate of the open-loop arrivals; None where there are none [1/s].

        Parameters
        ----------
        base_dir : pathlib.Path
            Folder that relative paths start from: the scenario's.

        Raises
        ------
        InputError
            If a file cannot be used.
        """
        if self.rate is not None:
            return self.rate
        try:
            sources, _notices = load_sources(self.request_classes, base_dir)
        except InputError as error:
            raise InputError([self._placed(each) for each in error.problems]) from error
        if not sources:
            return None
        return math.fsum(source.mean_rate(self.duration) for source in sources.values())

    def draw(self, seed: int, replication: int, base_dir: Path) -> Requests:
        """Return the requests of one replication.

        Arrivals, lengths, pauses and sessions of each class come from streams of their own, named
        after the class: changing one leaves the others as they were.

        Parameters
        ----------
        seed, replication : int
            As of :func:`planner.streams.stream`.
        base_dir : pathlib.Path
            Folder that relative paths start from: the scenario's.

        Raises
        ------
        InputError
            If a file cannot be used, nothing arrives, or too much would.
        """
        offer = Offer(self.request_classes, self.duration, self.requests, self.rate, self.random)
        try:
            return Assembler(offer, seed, replication, base_dir).requests()
        except InputError as error:
            raise InputError([self._placed(each) for each in error.problems]) from error

    def _placed(self, problem: Problem) -> Problem:
        """Return the problem of a class with the path of that class in a scenario."""
        if not problem.path.startswith("classes."):
            return problem
        inline = self.classes is None
        path = problem.path.split(".", 2)[2] if inline else problem.path
        return replace(problem, path=f"traffic.{path}")
