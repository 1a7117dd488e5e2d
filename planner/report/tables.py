"""Tables of plain text, columns as wide as what is in them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Between two columns.
GAP = "  "


def text_table(head: Sequence[str], rows: Sequence[Sequence[str]], left: Sequence[int] = ()) -> str:
    """Return rows below a head, numbers to the right; one line a row, none broken.

    Parameters
    ----------
    head : sequence of str
        Names of the columns.
    rows : sequence of sequence of str
        As many texts each as there are names.
    left : sequence of int
        Columns whose texts stand to the left.

    Examples
    --------
    >>> print(text_table(["name", "ms"], [["a", "7"], ["b", "120"]], left=[0]), end="")
    name   ms
    a       7
    b     120
    """
    lines = [list(head), *map(list, rows)]
    widths = [max(len(line[k]) for line in lines) for k in range(len(head))]
    out = []
    for line in lines:
        cells = [
            text.ljust(width) if k in left else text.rjust(width)
            for k, (text, width) in enumerate(zip(line, widths, strict=True))
        ]
        out.append(GAP.join(cells).rstrip() + "\n")
    return "".join(out)
