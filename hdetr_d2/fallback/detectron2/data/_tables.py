"""Tables of many short rows for the log."""

from collections.abc import Sequence
from typing import Any

from tabulate import tabulate

_SIDE_BY_SIDE = 3


def many_rows(rows: Sequence[tuple[str, Any]], headers: tuple[str, str]) -> str:
    """A table of (name, value) pairs, three pairs in a line: a thousand classes stay readable."""
    columns = max(1, min(_SIDE_BY_SIDE, len(rows)))
    lines = [
        [cell for pair in rows[i : i + columns] for cell in pair]
        for i in range(0, len(rows), columns)
    ]
    return tabulate(
        lines, headers=headers * columns, tablefmt="pipe", floatfmt=".3f", numalign="left"
    )
