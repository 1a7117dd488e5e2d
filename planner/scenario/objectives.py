"""Objectives: ``ttft:p95<500ms; e2e:p99<=30s; goodput{ttft<2s,tpot<50ms}>=0.95``.

A bound on a latency reads ``metric:statistic<duration`` with ``<`` or ``<=``. Goodput is the share
of requests that meet all the bounds in its braces, and must be at least a share.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema
from pydantic_core import PydanticCustomError

from planner.errors import InputError, Problem, did_you_mean, shown
from planner.units import DURATION

if TYPE_CHECKING:
    from collections.abc import Iterable

#: Metrics that an objective can bound.
METRICS = ("ttft", "tpot", "itl", "e2e", "wait")
#: Metrics that one request has a value of, which goodput can bound.
REQUEST_METRICS = ("ttft", "tpot", "e2e", "wait")

_LATENCY = re.compile(r"(\w+)\s*(?::\s*([\w.]+))?\s*(<=|<)\s*([^<>=]+)", re.ASCII)
_GOODPUT = re.compile(r"(\w+)\s*\{([^{}]*)\}\s*>=\s*([\d.eE+-]+)\s*(%?)", re.ASCII)
_PERCENTILE = re.compile(r"p(\d{1,2}(?:\.\d+)?)", re.ASCII)

_EXAMPLE = "'ttft:p95<500ms' or 'goodput{ttft<2s,tpot<50ms}>=0.95'"


@dataclass(frozen=True)
class Bound:
    """``metric < seconds`` of one request.

    Parameters
    ----------
    metric : str
        One of :data:`REQUEST_METRICS`.
    strict : bool
        ``<`` rather than ``<=``.
    seconds : float
        The bound, > 0. [s]
    """

    metric: str
    strict: bool
    seconds: float


@dataclass(frozen=True)
class LatencyObjective:
    """A statistic of a latency must stay below a bound.

    Parameters
    ----------
    text : str
        As written, without spaces.
    metric : str
        One of :data:`METRICS`.
    statistic : str
        ``mean`` or ``p`` and a percentile, as in ``p95`` or ``p99.9``.
    strict : bool
        ``<`` rather than ``<=``.
    seconds : float
        The bound, > 0. [s]
    """

    text: str
    metric: str
    statistic: str
    strict: bool
    seconds: float

    @property
    def quantile(self) -> float | None:
        """The statistic as a share in (0, 1), as 0.95; None for the mean."""
        return None if self.statistic == "mean" else float(self.statistic[1:]) / 100

    def met(self, value: float) -> bool:
        """Return whether a value of the statistic in seconds meets the objective; NaN does not."""
        return value < self.seconds if self.strict else value <= self.seconds


@dataclass(frozen=True)
class GoodputObjective:
    """At least a share of the requests must meet all bounds.

    Parameters
    ----------
    text : str
        As written, without spaces.
    bounds : tuple of Bound
        At most one for each metric.
    share : float
        In (0, 1]. [-]
    """

    text: str
    bounds: tuple[Bound, ...]
    share: float

    def met(self, value: float) -> bool:
        """Return whether a share of good requests meets the objective; NaN does not."""
        return value >= self.share


Objective = LatencyObjective | GoodputObjective


#: Most objectives of a scenario or of a class.
MOST_OBJECTIVES = 50


def parse_objectives(text: str | Iterable[str]) -> tuple[Objective, ...]:
    """Return the objectives in `text`, or in several texts, separated by ``;``.

    Raises
    ------
    InputError
        With a problem for each piece that is no objective.

    Examples
    --------
    >>> [objective.seconds for objective in parse_objectives("ttft:p95<500ms; e2e:mean<=3s")]
    [0.5, 3.0]
    """
    texts = [text] if isinstance(text, str) else list(text)
    pieces = [piece.strip() for each in texts for piece in each.split(";")]
    objectives: list[Objective] = []
    problems: list[Problem] = []
    wanted = list(filter(None, pieces))
    if len(wanted) > MOST_OBJECTIVES:
        raise InputError(f"must be at most {MOST_OBJECTIVES} objectives, got {len(wanted):,}")
    for piece in wanted:
        try:
            objective = _parse(piece)
        except ValueError as error:
            problems.append(Problem(str(error)))
            continue
        if any(other.text == objective.text for other in objectives):
            problems.append(Problem(f"must be given once, got {objective.text!r} twice"))
        objectives.append(objective)
    if problems:
        raise InputError(problems)
    return tuple(objectives)


def objectives_text(objectives: Iterable[Objective]) -> str:
    """Return the text that :func:`parse_objectives` reads back as `objectives`."""
    return "; ".join(objective.text for objective in objectives)


def _parse(piece: str) -> Objective:
    """Return the objective in `piece`; a ValueError quotes what is wrong in it."""
    text = re.sub(r"\s+", "", piece)
    if "{" in piece or piece.lower().startswith("goodput"):
        return _parse_goodput(piece, text)
    metric, statistic, strict, seconds = _parse_bound(piece, piece, METRICS)
    if not statistic:
        raise _error("name a statistic", piece, piece, f"write for instance '{metric}:p95<...'")
    if statistic != "mean":
        match = _PERCENTILE.fullmatch(statistic)
        if match is None or float(match[1]) == 0:
            rule = "be mean or a percentile between p0 and p100, as p95 or p99.9"
            raise _error(rule, statistic, piece)
    return LatencyObjective(text, metric, statistic, strict, seconds)


def _parse_goodput(piece: str, text: str) -> GoodputObjective:
    match = _GOODPUT.fullmatch(piece)
    if match is None:
        raise _error(
            "read goodput{<bounds>}>=<share>",
            piece,
            piece,
            "write for instance 'goodput{ttft<2s,tpot<50ms}>=0.95'",
        )
    if match[1] != "goodput":
        raise _error("be goodput", match[1], piece, did_you_mean(match[1], ("goodput",)))
    bounds: list[Bound] = []
    for inner in match[2].split(","):
        metric, statistic, strict, seconds = _parse_bound(inner.strip(), piece, REQUEST_METRICS)
        if statistic:
            hint = f"one request has no {statistic}; leave it out"
            raise _error(f"bound {metric} of each request", inner.strip(), piece, hint)
        if any(bound.metric == metric for bound in bounds):
            raise _error("bound each metric once", inner.strip(), piece)
        bounds.append(Bound(metric, strict, seconds))
    try:
        share = float(match[3]) / (100 if match[4] else 1)
    except ValueError:
        share = -1.0
    if not 0 < share <= 1:
        raise _error("be a share above 0, up to 1", match[3] + match[4], piece)
    return GoodputObjective(text, tuple(bounds), share)


def _parse_bound(bound: str, piece: str, metrics: tuple[str, ...]) -> tuple[str, str, bool, float]:
    """Return metric, statistic (or empty), strictness and seconds of ``metric:stat<duration``."""
    match = _LATENCY.fullmatch(bound)
    if match is None:
        raise _error("read as " + _EXAMPLE, bound, piece)
    metric, statistic, operator, limit = match[1], match[2] or "", match[3], match[4].strip()
    if metric not in metrics:
        known = did_you_mean(metric, metrics) or "known: " + ", ".join(metrics)
        raise _error("bound a metric", metric, piece, known)
    try:
        seconds = DURATION.parse(limit)
    except PydanticCustomError as error:
        raise ValueError(
            f"{error} (in {shown(piece)})" if limit != piece else str(error)
        ) from error
    if seconds <= 0:
        raise _error("be a duration > 0", limit, piece)
    return metric, statistic, operator == "<", seconds


def _error(rule: str, got: str, piece: str, hint: str = "") -> ValueError:
    where = f" in {shown(piece)}" if got != piece else ""
    return ValueError(
        f"must {rule}, got {shown(got)}{where}" + (f"; {hint.removeprefix('; ')}" if hint else "")
    )


def _validate(value: Any) -> tuple[Objective, ...]:  # noqa: ANN401 - a validator sees anything
    """Accept text, a list of texts or of objectives."""
    items = (value,) if isinstance(value, str) else value
    if not isinstance(items, list | tuple) or not all(
        isinstance(item, str | LatencyObjective | GoodputObjective) for item in items
    ):
        raise PydanticCustomError(
            "objectives",
            "must be text or a list of texts, got {got}; write for instance " + _EXAMPLE,
            {"got": shown(value)},
        )
    texts = [item if isinstance(item, str) else item.text for item in items]
    try:
        return parse_objectives(texts)
    except InputError as error:
        raise PydanticCustomError(
            "objectives",
            "{message}",
            {
                "message": "; and ".join(problem.message for problem in error.problems),
                "messages": [problem.message for problem in error.problems],
            },
        ) from error


_DURATION_PATTERN = DURATION.schema()["pattern"].removeprefix("^").removesuffix("$")
_BOUND_PATTERN = rf"\s*<=?{_DURATION_PATTERN}"
_LATENCY_PATTERN = (
    rf"\s*({'|'.join(METRICS)})\s*:\s*(mean|p[0-9]{{1,2}}(\.[0-9]+)?){_BOUND_PATTERN}"
)
_GOODPUT_PATTERN = (
    rf"\s*goodput\s*\{{(\s*({'|'.join(REQUEST_METRICS)}){_BOUND_PATTERN},?)+\}}\s*>=\s*"
    r"[0-9.eE+-]+\s*%?\s*"
)
_OBJECTIVES_SCHEMA = {
    "type": "string",
    "pattern": rf"^((({_LATENCY_PATTERN})|({_GOODPUT_PATTERN})|\s*)(;|$))*$",
    "examples": ["ttft:p95<500ms; tpot:p95<50ms", "goodput{ttft<2s,tpot<50ms}>=0.95"],
}

#: Objectives in a scenario: text as :func:`parse_objectives` reads it, or a list of such texts.
Objectives = Annotated[
    tuple[Objective, ...],
    BeforeValidator(_validate),
    PlainSerializer(objectives_text, return_type=str, when_used="json"),
    WithJsonSchema({"anyOf": [_OBJECTIVES_SCHEMA, {"type": "array", "items": _OBJECTIVES_SCHEMA}]}),
]
