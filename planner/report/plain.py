"""Text from files and arguments, made safe to print on a terminal."""

from __future__ import annotations

import re

#: Stands for a blank at which no line is to be broken, until the text is laid out: one column.
HELD = "\ue000"
_UNIT = re.compile(r"(?<=[\d.]) (?=%|tokens/step|sequences)")


def held(text: str) -> str:
    """Return text in which no line ends between a number and its unit: ``%`` above all."""
    return _UNIT.sub(HELD, text)


def laid_out(text: str) -> str:
    """Return text that has its lines, every blank a blank again, none at the end of a line."""
    lines = text.replace(HELD, " ").splitlines()
    return "\n".join(line.rstrip() for line in lines) + "\n"


def plain(text: str, keep: str = "") -> str:
    r"""Return `text` with what a terminal would obey, and not show, escaped.

    Parameters
    ----------
    text : str
        Any text, names and paths of strangers in it.
    keep : str
        Characters to leave as they are, e.g. line ends.

    Examples
    --------
    >>> plain("a\x1b[31mb")
    'a\\x1b[31mb'
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        each if each.isprintable() or each in keep else each.encode("unicode_escape").decode()
        for each in text
    )
