"""YAML as plain data with the place of every key and value.

Only the composer of ruamel.yaml runs: no constructor sees the text, so a tag cannot build anything.
Duplicate keys are refused, and aliases count as often as they are expanded.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, ScalarNode, SequenceNode

from planner.errors import InputError, Problem, shown

if TYPE_CHECKING:
    from pathlib import Path

    from ruamel.yaml.nodes import Node

#: Largest file that is read. [B]
MAX_BYTES = 1_000_000
#: Most values in a file, aliases expanded.
MAX_VALUES = 100_000
#: Deepest nesting.
MAX_DEPTH = 40

#: Where a value is: keys of mappings and indices of lists.
KeyPath = tuple[str | int, ...]

_TAG = "tag:yaml.org,2002:"
_SCALARS = {_TAG + kind for kind in ("null", "bool", "int", "float", "str", "timestamp")}


class Place(NamedTuple):
    """A position, counted from 1; line 0 where there is none.

    Parameters
    ----------
    file : str
        File as the user named it, or the option that gave the value.
    line, column : int
        Position.
    """

    file: str
    line: int = 0
    column: int = 0


@dataclass
class Document:
    """What a file says and where.

    Parameters
    ----------
    file : str
        As the user named it.
    data : object
        Mappings, lists, text, numbers, booleans and None.
    keys, values : dict
        Place of the key, or the list's dash, and of the value at each path.
    problems : list of Problem
        Duplicate keys and the like.
    """

    file: str
    data: Any = None
    keys: dict[KeyPath, Place] = field(default_factory=dict)
    values: dict[KeyPath, Place] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def problem(self, path: KeyPath, message: str, *, at_key: bool = False) -> Problem:
        """Return the problem of the value, or key, at `path`, or of what is nearest above it."""
        places = self.keys if at_key and path in self.keys else self.values
        near = path
        while near and near not in places:
            near = near[:-1]
            places = self.keys if near in self.keys else self.values
        place = places.get(near, Place(self.file))
        return Problem(message, dotted(path), place.file, place.line, place.column)


def dotted(path: KeyPath) -> str:
    """Return `path` as a user writes it, e.g. ``fleet.events.0.at``."""
    return ".".join(map(str, path))


def read_text(path: Path) -> str:
    """Return the text of a UTF-8 file, with or without a byte order mark.

    Raises
    ------
    InputError
        If it cannot be read, is too large or is not UTF-8.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except OSError as error:
        problem = Problem(f"must be a readable file, got {error.strerror}", file=str(path))
        raise InputError(problem) from error
    if len(raw) > MAX_BYTES:
        message = (
            f"must be a scenario of at most {MAX_BYTES / 1e6:g} MB, got more; put long tables "
            "and traces into files that the scenario names"
        )
        raise InputError(Problem(message, file=str(path)))
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = raw[: error.start]
        message = f"must be UTF-8 text, got byte 0x{raw[error.start]:02x}; save the file as UTF-8"
        line = before.count(b"\n") + 1
        column = len(before) - before.rfind(b"\n")
        raise InputError(Problem(message, "", str(path), line, column)) from error


def parse_yaml(text: str, file: str) -> Document:
    """Return the data in a YAML text; duplicate keys and the like are among its problems.

    Raises
    ------
    InputError
        If it is no YAML, or grows beyond the bounds on depth and size.
    """
    document = Document(file)
    try:
        node = YAML(typ="safe", pure=True).compose(text)
        document.values[()] = Place(file)
        if node is not None:
            document.data = _Walk(document).value(node, ())
    except RecursionError as error:
        message = f"must be nested at most {MAX_DEPTH} deep, got more"
        raise InputError(Problem(message, file=file)) from error
    except MarkedYAMLError as error:
        raise InputError(_syntax_problem(error, file)) from error
    except YAMLError as error:
        position = getattr(error, "position", 0)
        line = text.count("\n", 0, position) + 1
        column = position - text.rfind("\n", 0, position)
        reason = getattr(error, "reason", "cannot be read")
        raise InputError(Problem(f"must be YAML: {reason}", "", file, line, column)) from error
    return document


def _syntax_problem(error: MarkedYAMLError, file: str) -> Problem:
    mark = error.problem_mark or error.context_mark
    reason = error.problem or error.context or "cannot be read"
    hint = ""
    if "'\\t'" in reason:
        hint = "; indent with spaces, not with tabs"
    elif "mapping values are not allowed" in reason:
        hint = "; put text with ': ' in quotes, and check the indentation"
    elif "another document" in reason:
        hint = "; a file holds one scenario"
    line, column = (mark.line + 1, mark.column + 1) if mark else (0, 0)
    return Problem(f"must be YAML: {reason.removeprefix('but ')}{hint}", "", file, line, column)


class _Walk:
    """Turns nodes into data and writes down where they are."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.seen = 0

    def value(self, node: Node, path: KeyPath) -> Any:  # noqa: ANN401 - data of any kind
        """Return the data of `node`, which stands at `path`."""
        place = self._place(node)
        self.document.values[path] = place
        self.seen += 1
        if self.seen > MAX_VALUES or len(path) > MAX_DEPTH:
            rule = (
                f"hold at most {MAX_VALUES:,} values"
                if self.seen > MAX_VALUES
                else f"be nested at most {MAX_DEPTH} deep"
            )
            message = f"must {rule}, got more; check its aliases"
            raise InputError(Problem(message, "", place.file, place.line, place.column))
        if isinstance(node, MappingNode) and node.tag == _TAG + "map":
            return self._mapping(node, path)
        if isinstance(node, SequenceNode) and node.tag == _TAG + "seq":
            for index, item in enumerate(node.value):
                self.document.keys[*path, index] = self._place(item)
            return [self.value(item, (*path, index)) for index, item in enumerate(node.value)]
        if isinstance(node, ScalarNode) and node.tag in _SCALARS:
            return _scalar(node)
        self._refuse(path, f"must not carry a tag, got {node.tag!r}; leave it out", node)
        return None

    def _mapping(self, node: MappingNode, path: KeyPath) -> dict[str, Any]:
        data: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, ScalarNode):
                self._refuse(path, "must have text as keys, got a list or mapping", key_node)
                continue
            key, here = key_node.value, (*path, key_node.value)
            if key_node.tag == _TAG + "merge":
                self._refuse(here, "must not merge keys; write them out", key_node)
            elif key in data:
                first = self.document.keys[here].line
                message = f"must be given once, got it again; the first is in line {first}"
                self._refuse(here, message, key_node)
            else:
                self.document.keys[here] = self._place(key_node)
                data[key] = self.value(value_node, here)
        return data

    def _place(self, node: Node) -> Place:
        mark = node.start_mark
        return Place(self.document.file, mark.line + 1, mark.column + 1)

    def _refuse(self, path: KeyPath, message: str, node: Node) -> None:
        self.document.problems.append(Problem(message, dotted(path), *self._place(node)))


def _scalar(node: ScalarNode) -> str | float | bool | None:
    """Return the value of a scalar; what is no number, boolean or null is text."""
    kind, text = str(node.tag).removeprefix(_TAG), node.value
    plain = text.replace("_", "").lower()
    try:
        if kind == "null":
            return None
        if kind == "bool":
            return plain in {"true", "yes", "on"}
        if kind == "int":
            based = plain.lstrip("+-")[:2] in {"0x", "0o", "0b"}
            return int(plain, 0 if based else 10)
        if kind == "float":
            return float(plain.replace(".inf", "inf").replace(".nan", "nan"))
    except ValueError:  # 1:30 and other numbers of YAML 1.1, or thousands of digits
        return str(text)
    return str(text)


def text_of(value: object) -> str:
    """Return a value from a file as a message shows it."""
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    if value is None or isinstance(value, bool):
        return {None: "nothing", True: "true", False: "false"}[value]
    return shown(value)
