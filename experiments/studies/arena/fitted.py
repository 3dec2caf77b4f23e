"""Tables that fit a terminal: columns that do not fit beside the others go to a further table below."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.table import Table


def fitted(
    title: str,
    headings: Sequence[tuple[str, ...]],
    rows: Mapping[str, Sequence[str]],
    width: int,
    *,
    caption: str = "",
    first: str = "policy",
) -> "list[Table]":
    """One row a name, the first in bold; as many tables as `width` characters ask for.

    Args:
        headings: lines above each column.
        rows: a cell for each of the headings, by name.
        caption: goes below the widest table, where it wraps least.
        first: heading of the names.
    """
    from rich import box
    from rich.table import Table
    from rich.text import Text

    hero = next(iter(rows))
    widths = [
        2 + max(len(text) for text in (*headings[k], *(cells[k] for cells in rows.values())))
        for k in range(len(headings))
    ]
    left = 2 + max(map(len, (first, *rows)))
    groups: list[list[int]] = [[]]
    for k, needed in enumerate(widths):
        if groups[-1] and left + sum(widths[i] for i in groups[-1]) + needed > width:
            groups.append([])
        groups[-1].append(k)
    widest = max(groups, key=lambda group: sum(widths[k] for k in group))
    made = []
    for group in groups:
        table = Table(
            title=Text(title, "bold") if group is groups[0] else None,
            title_justify="left",
            caption=Text(caption, "dim") if caption and group is widest else None,
            caption_justify="left",
            box=box.SIMPLE_HEAD,
            padding=(0, 1, 0, 0),
        )
        table.add_column(first, overflow="fold")
        for k in group:
            table.add_column(Text("\n".join(headings[k])), justify="right", no_wrap=True)
        for name, cells in rows.items():
            table.add_row(Text(name, "bold" if name == hero else ""), *(Text(cells[k]) for k in group))
        made.append(table)
    return made
