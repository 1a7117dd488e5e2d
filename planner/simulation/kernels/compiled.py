"""How kernels are compiled: with numba, into a cache on disk that no edit leaves stale.

Numba's own cache looks only at the file of the function it caches, not at the functions that it
calls, which are linked in. The cache folder is therefore named after the text of all kernels.
"""

from __future__ import annotations

import getpass
import hashlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numba

from planner.latency import step
from planner.results import records

Function = TypeVar("Function", bound=Callable[..., Any])

# Kernels allocate nothing, so reference counts of the arrays they pass on would be pure cost
# (measured: 13 times the run time).
_OPTIONS = {"cache": True, "_nrt": False, "error_model": "numpy", "no_cfunc_wrapper": True}

# numba's type hints leave out the configuration and the options used here
_config: Any = numba.config
_njit: Any = numba.njit


def _writable(folder: Path) -> bool:
    """Return whether files can be made in `folder`, which is created if need be."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def _sources() -> list[Path]:
    """Return the files whose text is compiled into the kernels."""
    here = Path(__file__).parent
    others = [here.parent / "layout.py", Path(step.__file__), Path(records.__file__)]
    return [*sorted(here.glob("*.py")), *others]


def cache_folder() -> Path:
    """Return the folder of the compiled kernels: beside them if writable, else the user's cache.

    ``NUMBA_CACHE_DIR`` takes precedence over both.
    """
    text = b"\0".join(path.read_bytes() for path in _sources())
    name = hashlib.sha256(text + numba.__version__.encode()).hexdigest()[:16]
    user = os.getuid() if hasattr(os, "getuid") else getpass.getuser()  # Windows has no numbers
    parents = [Path(os.environ["NUMBA_CACHE_DIR"])] if os.environ.get("NUMBA_CACHE_DIR") else []
    parents += [
        Path(__file__).parent / "__pycache__",
        Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "latency-planner",
        Path(tempfile.gettempdir()) / f"latency-planner-{user}",
    ]
    for parent in parents:
        if _writable(parent / name):
            return parent / name
    return parents[-1] / name


CACHE_FOLDER = cache_folder()


def _compile(function: Function, *, wrapper: bool) -> Function:
    """Return `function` as a numba dispatcher that caches in :data:`CACHE_FOLDER`."""
    before = _config.CACHE_DIR
    _config.CACHE_DIR = str(CACHE_FOLDER)
    try:
        dispatcher: Function = _njit(**_OPTIONS, no_cpython_wrapper=not wrapper)(function)
        return dispatcher
    finally:
        _config.CACHE_DIR = before


def entry(function: Function) -> Function:
    """Compile a kernel that Python calls."""
    return _compile(function, wrapper=True)


def kernel(function: Function) -> Function:
    """Compile a kernel that only kernels call."""
    return _compile(function, wrapper=False)


def is_compiled() -> bool:
    """Return whether an earlier run left compiled kernels for this text of the kernels."""
    return any(CACHE_FOLDER.rglob("*.nbi"))


#: The step model, compiled. There is one definition: :func:`planner.latency.step.step_parts`.
step_parts = kernel(step.step_parts)
