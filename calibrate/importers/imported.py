"""What a file holds once it is read: requests, a summary of a run, or facts about an engine."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from calibrate.importers.rows import RequestRows
    from planner.errors import Notice

#: What a run or an engine was told: a number, a word, or unlimited (None).
Setting = float | int | str | None


@dataclass(frozen=True)
class MeasuredRequests:
    """Requests, each with its times.

    Parameters
    ----------
    format : str
        What the file is.
    rows : RequestRows
        The requests.
    notices : tuple of Notice
        What was left out, changed or assumed.
    settings : tuple of mapping
        What each run was told, in the order of ``rows.run_names``; empty where nothing is said.
    """

    format: str
    rows: RequestRows
    notices: tuple[Notice, ...] = ()
    settings: tuple[Mapping[str, Setting], ...] = field(default=())
