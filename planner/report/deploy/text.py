"""YAML that every reader takes alike, comments that stay comments, names that are names."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING, Any, NamedTuple

from ruamel.yaml import YAML
from ruamel.yaml.scalarstring import DoubleQuotedScalarString, LiteralScalarString

from planner.report.plain import plain

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

#: Text that no version of YAML takes for anything else.
_SAFE = re.compile(r"[A-Za-z][A-Za-z0-9/_.-]*", re.ASCII)
#: Words that YAML 1.1 reads as something else than text.
_WORDS = {"y", "n", "yes", "no", "on", "off", "true", "false", "null", "nan", "inf"}
#: Columns of a comment.
WIDTH = 98


class Written(NamedTuple):
    """A deployment in the form of one target.

    Parameters
    ----------
    notices : list of str
        What this form cannot say, beside what the engine cannot be told.
    text : str
        The form, without comments.
    """

    notices: list[str]
    text: str


def comments(lines: Iterable[str]) -> list[str]:
    """Return lines as comments of a shell or of YAML, folded, with nothing that could end one."""
    out = []
    for line in lines:
        words, row = plain(line).split(" "), "#"
        for word in words:
            if len(row) + 1 + len(word) > WIDTH and row not in {"#", "#  "}:
                out.append(row)
                row = "#  "
            row += f" {word}"
        out.append(row)
    return out


def yaml_text(documents: Sequence[dict[str, Any]]) -> str:
    """Return documents as YAML, text in quotes unless it cannot be mistaken.

    Parameters
    ----------
    documents : sequence of dict
        Mappings, lists, text, numbers and booleans.
    """
    yaml = YAML()
    yaml.default_flow_style = False
    yaml.width = 1_000_000
    yaml.indent(mapping=2, sequence=4, offset=2)
    out = io.StringIO()
    for number, document in enumerate(documents):
        if number:
            out.write("---\n")
        yaml.dump(_quoted(document), out)
    return out.getvalue()


def _quoted(data: Any) -> Any:  # noqa: ANN401 - data of any kind
    if isinstance(data, dict):
        return {key: _quoted(value) for key, value in data.items()}
    if isinstance(data, list):
        return [_quoted(value) for value in data]
    if isinstance(data, str) and not isinstance(data, LiteralScalarString):
        safe = _SAFE.fullmatch(data) and data.lower() not in _WORDS
        return data if safe else DoubleQuotedScalarString(data)
    return data


def block(text: str) -> LiteralScalarString:
    """Return text of several lines that YAML shows as they are."""
    literal: LiteralScalarString = LiteralScalarString(text)
    return literal


def resource_name(name: str) -> str:
    """Return a name that Kubernetes and compose take: a DNS label of at most 40 characters.

    Examples
    --------
    >>> resource_name("My chat/bot #2"), resource_name("2024"), resource_name("---")
    ('my-chat-bot-2', 'llm-2024', 'llm')
    """
    label = re.sub(r"[^a-z0-9]+", "-", name.lower().encode("ascii", "ignore").decode()).strip("-")
    if not label:
        return "llm"
    if not label[0].isalpha():
        label = f"llm-{label}"
    return label[:40].rstrip("-")
