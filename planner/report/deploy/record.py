"""The recorded flags of ``vllm serve``."""

from __future__ import annotations

import functools
import json
from importlib.resources import files
from typing import Any


@functools.cache
def recorded_flags() -> dict[str, Any]:
    """Return the recorded flags: ``version``, ``source``, ``flags``, ``choices`` of some.

    ``tests/report/record_vllm_flags.py`` makes the record from a release of vLLM.
    """
    text = files(__package__).joinpath("vllm_flags.json").read_text(encoding="utf-8")
    found: dict[str, Any] = json.loads(text)
    return found
