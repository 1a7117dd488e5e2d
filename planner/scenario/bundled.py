"""The scenarios that come with the planner: finding them and copying them out."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from planner.errors import InputError, Problem, did_you_mean
from planner.scenario.document import parse_yaml, read_text

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Name of the JSON Schema beside the bundled scenarios, which their first line points at.
SCHEMA_FILE = "scenario.schema.json"

_PACKAGE = Path(__file__).resolve().parents[1]


def bundled_folder() -> Path:
    """Return the folder of the bundled scenarios, in a wheel or in a checkout.

    Raises
    ------
    InputError
        If the installation has none.
    """
    for folder in (_PACKAGE / "bundled_scenarios", _PACKAGE.parent / "scenarios"):
        if folder.is_dir():
            return folder
    raise InputError("this installation has no bundled scenarios; install latency-planner again")


def list_bundled() -> tuple[str, ...]:
    """Return the names of the bundled scenarios, in alphabetical order."""
    return tuple(sorted(path.stem for path in bundled_folder().glob("*.yaml")))


def find_scenario(name: str | Path) -> Path:
    """Return the file of a scenario given by its path or by its bundled name.

    Raises
    ------
    InputError
        If it is neither; near names are offered.
    """
    path = Path(name)
    if _what(path) == "a file":
        return path
    known = list_bundled()
    if str(name) in known:
        return bundled_folder() / f"{name}.yaml"
    near = did_you_mean(path.stem, known) or "; bundled scenarios: " + ", ".join(known)
    what = _what(path) if str(name) else "nothing"
    rule = "must be a scenario file or the name of a bundled scenario"
    raise InputError(Problem(f"{rule}, got {what}{near}", file=str(name)))


def _what(path: Path) -> str:
    """Return what is at `path`, in words."""
    try:
        if path.is_file():
            return "a file"
        if path.is_dir():
            return "a folder"
        return "a device or pipe" if path.exists() else "no such file"
    except OSError as error:  # a loop of links, a name that is too long
        return (error.strerror or str(error)).lower()


def copy_scenario(name: str, destination: str | Path) -> tuple[Path, ...]:
    """Copy a bundled scenario, its schema, and the files it refers to, keeping relative paths.

    Returns
    -------
    tuple of Path
        The files in `destination`, the scenario first; those that were there with the same
        content are left as they are.

    Raises
    ------
    InputError
        If there is no such scenario, a file that is there would be overwritten, or the folder
        cannot be written.
    """
    if name not in list_bundled():
        known = list_bundled()
        near = did_you_mean(name, known) or "; known: " + ", ".join(known)
        raise InputError(f"must be the name of a bundled scenario, got {name!r}{near}")
    source, target = bundled_folder(), Path(destination)
    scenario = Path(f"{name}.yaml")
    files = [scenario, Path(SCHEMA_FILE), *_references(source, scenario)]
    in_the_way = [file for file in files if _differs(source / file, target / file)]
    if in_the_way:
        message = "must not be there yet, got a file with other content; move it away"
        raise InputError([Problem(message, file=str(target / file)) for file in in_the_way])
    try:
        for file in files:
            if not (target / file).exists():
                (target / file).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source / file, target / file)
    except OSError as error:
        message = f"must be a folder that can be written, got: {error.strerror or error}"
        raise InputError(Problem(message, file=str(target))) from error
    return tuple(target / file for file in files)


def _differs(source: Path, target: Path) -> bool:
    if not target.exists():
        return False
    return not target.is_file() or source.read_bytes() != target.read_bytes()


def _references(folder: Path, scenario: Path) -> list[Path]:
    """Return the files below `folder` that a scenario names, and the licences beside them."""
    path = folder / scenario
    named = {
        Path(text)
        for text in _texts(parse_yaml(read_text(path), str(path)).data)
        if len(text) < 256 and not Path(text).is_absolute() and ".." not in Path(text).parts
    }
    files = sorted(file for file in named if (folder / file).is_file())
    licences = {
        licence.relative_to(folder)
        for file in files
        if file.parent != Path()
        for licence in (folder / file.parent).glob("LICENSE*")
    }
    return [*files, *sorted(licences)]


def _texts(data: object) -> Iterator[str]:
    """Yield every text in the data of a scenario."""
    if isinstance(data, str):
        yield data
    elif isinstance(data, dict | list):
        for child in data.values() if isinstance(data, dict) else data:
            yield from _texts(child)
