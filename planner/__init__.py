"""Latency simulator and capacity planner for real-time LLM services.

>>> import planner as pl
>>> pl.load("article_example").simulate().met
True

What it offers is imported when it is asked for: ``import planner`` itself imports nothing.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from planner.errors import InputError
    from planner.library import (
        Capacity,
        Plan,
        Report,
        Result,
        Scenario,
        Sweep,
        capacity,
        load,
        parse,
        plan,
        read,
        simulate,
        sweep,
    )

__version__ = "0.1.0"

__all__ = [
    "Capacity",
    "InputError",
    "Plan",
    "Report",
    "Result",
    "Scenario",
    "Sweep",
    "capacity",
    "load",
    "parse",
    "plan",
    "read",
    "simulate",
    "sweep",
]

if not TYPE_CHECKING:  # a checker would take any name for one of ours

    def __getattr__(name: str) -> object:
        from importlib import import_module  # noqa: PLC0415 - start-up

        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}", name=name)
        home = "planner.errors" if name == "InputError" else "planner.library"
        value = globals()[name] = getattr(import_module(home), name)
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
