"""A class of requests: one kind of user."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from planner.errors import InputError
from planner.spec import Spec
from planner.traffic.arrivals import Arrivals
from planner.traffic.lengths import Lengths, LengthsFromArrivals

if TYPE_CHECKING:
    from collections.abc import Iterator


class RequestClass(Spec):
    """Requests of one kind, with their own arrivals, lengths and objectives.

    Parameters
    ----------
    name : str
        Unique among the classes; also names its random streams.
    arrivals : Arrivals
        When they come.
    lengths : Lengths
        How long they are; by default those of the trace, where the arrivals are one.
    objectives : str
        What this class must meet, as ``ttft:p95<500ms; e2e:p99<=30s``.
    sessions : float
        Mean requests per conversation, >= 1, for routers that keep a conversation on one
        replica. Without it each request is a conversation of its own; clients of a closed loop
        are always one each.
    """

    name: Annotated[str, Field(min_length=1, max_length=100)]
    arrivals: Arrivals
    lengths: Lengths = LengthsFromArrivals()
    objectives: str | None = None
    sessions: Annotated[float, Field(ge=1)] | None = None

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        problem = conflict(self.arrivals, self.lengths, self.sessions)
        if problem:
            raise PydanticCustomError("request_class", "{problem}", {"problem": problem})
        return self

    @property
    def random(self) -> bool:
        """Whether anything about these requests is drawn."""
        return self.arrivals.random or self.lengths.random or self.sessions is not None


def conflict(arrivals: Arrivals, lengths: Lengths, sessions: float | None) -> str:
    """Return why the parts of a class do not go together, or an empty text."""
    if lengths.kind == "from_arrivals" and arrivals.kind != "trace":
        return (
            f"must have 'lengths' where arrivals are {arrivals.kind}; only a trace brings its own"
        )
    if sessions is not None and arrivals.kind == "closed_loop":
        return "must have no 'sessions' in a closed loop: each client is one"
    return ""


@contextmanager
def of_class(number: int) -> Iterator[None]:
    """Say of problems with arrivals which class they are in, as ``classes.0.arrivals``."""
    try:
        yield
    except InputError as error:
        raise InputError(
            [
                replace(each, path=f"classes.{number}.{each.path}")
                if each.path.startswith("arrivals")
                else each
                for each in error.problems
            ]
        ) from error
