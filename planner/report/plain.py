"""Text from files and arguments, made safe to print on a terminal."""

from __future__ import annotations


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
