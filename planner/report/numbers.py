"""Numbers as people read them: milliseconds with their digits, shares in per cent."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from planner.results.intervals import Estimate

#: Stands for an end of an interval that the sample cannot bound, or a value among the unfinished.
UNBOUNDED = "*"
#: Stands for a value that does not exist.
NOTHING = "-"


def milliseconds(seconds: float | None) -> str:
    """Return seconds as milliseconds: three decimals below 1 ms, two below 10, one below 100.

    From 100,000 ms on seconds are written, since nobody reads six digits.

    Examples
    --------
    >>> [milliseconds(each) for each in (0.000625, 0.00314159, 0.0271828, 1.41421, 123.4, None)]
    ['0.625', '3.14', '27.2', '1,414', '123 s', '*']
    """
    if seconds is not None and 1000 * seconds >= 99_999.5:
        return f"{seconds:,.0f} s"
    return only_milliseconds(seconds)


def only_milliseconds(seconds: float | None) -> str:
    """Return seconds as milliseconds however many they are: for columns of that unit.

    Examples
    --------
    >>> [only_milliseconds(each) for each in (0.0271828, 123.4, None)]
    ['27.2', '123,400', '*']
    """
    if seconds is None:
        return UNBOUNDED
    value = 1000 * seconds
    return f"{value:,.{_decimals(value)}f}"


def duration(seconds: float | None) -> str:
    """Return seconds as :func:`milliseconds`, with the unit.

    Examples
    --------
    >>> [duration(each) for each in (0.0271828, 123.4, None)]
    ['27.2 ms', '123 s', '*']
    """
    text = milliseconds(seconds)
    return text if seconds is None or text.endswith("s") else f"{text} ms"


def interval(estimate: Estimate) -> str:
    """Return the ends of the interval in milliseconds, ``*`` for one that is not bounded.

    Without separators of thousands, so that five of them fit into 80 columns.

    Examples
    --------
    >>> from planner.results.intervals import Estimate
    >>> interval(Estimate(0.5, 0.4, None)).replace("\N{EN DASH}", " to ")
    '400 to *'
    >>> interval(Estimate(14.0, 13.2671, 14.923)).replace("\N{EN DASH}", " to ")
    '13267 to 14923'
    """
    if estimate.value is None or (estimate.low is None and estimate.high is None):
        return UNBOUNDED
    ends = f"{milliseconds(estimate.low)}–{milliseconds(estimate.high)}"  # noqa: RUF001 - a range
    return ends.replace(",", "")


def percent(share: float | None, decimals: int = 0) -> str:
    """Return a share as ``42 %``, or ``-`` where there is none."""
    if share is None:
        return NOTHING
    return f"{round(100 * share, 9):.{decimals}f} %"  # 37.5 is a half in any order of adding


def signed_percent(share: float | None, decimals: int = 1) -> str:
    """Return a share with its sign, as ``+4.2 %``, or ``-`` where there is none."""
    return NOTHING if share is None else f"{100 * share:+.{decimals}f} %"


def sure(probability: float) -> str:
    """Return a probability; never 1 or 0, which no simulation shows."""
    if probability < 0.001:
        return "< 0.001"
    return "> 0.999" if probability > 0.999 else f"{probability:.3f}"


def left(margin: float | None) -> str:
    """Return what is left to a bound; of what is far beyond it, how many times the bound it is.

    Examples
    --------
    >>> [left(each) for each in (0.37, -0.2, -9.0, None)]
    ['37 %', '-20 %', '10 x bound', '-']
    """
    if margin is None or margin > -1:
        return percent(margin)
    return f"{rate(1 - margin)} x bound"


def count(number: float, noun: str) -> str:
    """Return ``1 request`` or ``1,234 requests``."""
    return f"{number:,.0f} {noun}" + ("" if number == 1 else "s")


def rate(value: float | None) -> str:
    """Return a rate with three significant digits or none behind the point, ``-`` for None."""
    if value is None:
        return NOTHING
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _decimals(value: float) -> int:
    if 0.0005 <= value < 0.9995:
        return 3
    return 2 if value < 9.995 else 1 if value < 99.95 else 0
