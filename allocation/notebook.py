"""How things look in a notebook: small tables of HTML, escaped, that read on a light page and on a dark one.

Colours of the page are left alone; what is said aside is fainter, and what is bad is of a red that reads on both.
"""

from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

from numpy.typing import NDArray

from allocation.money import Money

#: More requests or agents than this are not written out.
MOST_ROWS, MOST_COLUMNS = 12, 10

_RED = "#d9484f"
_GREEN = "#2f9e60"
_SHADES = {"bad": f"color:{_RED};font-weight:600", "good": f"color:{_GREEN};font-weight:600", "aside": "opacity:.65"}


class Marked(str):
    """HTML already: goes into a table as it is."""

    __slots__ = ()


def marked(text: object, how: str) -> Marked:
    """A text as `bad`, `good` or `aside`."""
    return Marked(f'<span style="{_SHADES[how]}">{escape(str(text))}</span>')


def html_table(heads: Sequence[object], rows: Iterable[Sequence[object]], caption: object = "") -> Marked:
    """A table below what it shows; whatever is not `Marked` is escaped. The first cell of each row is its heading."""
    left, right = "text-align:left", "text-align:right"
    head = "".join(f'<th style="{right if k else left}">{_html(one)}</th>' for k, one in enumerate(heads))
    body = "".join(
        "<tr>"
        + "".join(
            f'<td style="{right}">{_html(cell)}</td>' if k else f'<th style="{left}">{_html(cell)}</th>'
            for k, cell in enumerate(row)
        )
        + "</tr>"
        for row in rows
    )
    # A caption would be no wider than its table.
    said = html_line(caption) if caption else ""
    return Marked(f"{said}<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>")


def html_line(*parts: object) -> Marked:
    """A line beside tables."""
    return Marked(f'<p style="margin:.3em 0">{" ".join(_html(part) for part in parts)}</p>')


def scrolling(*parts: Marked) -> Marked:
    """Parts one below the other; what is too wide scrolls by itself."""
    return Marked(f'<div style="overflow-x:auto">{"".join(parts)}</div>')


def market_table(
    values: Money,
    costs: Money,
    capacities: NDArray[Any],
    feasible: NDArray[Any] | None,
    bidders: NDArray[Any],
    title: str = "",
) -> Marked:
    """Requests by agents: what it is worth to the bidder less what it costs; a large market's first alone."""
    n, m = values.shape
    rows_shown, columns = min(n, MOST_ROWS), min(m, MOST_COLUMNS)
    more = [marked("…", "aside")] * (m > columns)

    def pair(i: int, j: int) -> object:
        if feasible is not None and not feasible[i, j]:
            return marked("forbidden", "aside")
        return Marked(f"{values[i, j]:,} {marked(f'− {costs[i, j]:,}', 'aside')}")

    rows: list[list[object]] = [
        [f"request {i}", f"bidder {bidders[i]}", *(pair(i, j) for j in range(columns)), *more]
        for i in range(rows_shown)
    ]
    if n > rows_shown:
        rows.append([marked(f"… {n - rows_shown:,} more", "aside"), *[""] * (1 + columns + len(more))])
    rows.append(["capacity", "", *(f"{capacity:,}" for capacity in capacities[:columns].tolist()), *more])
    heads = ["", "", *(f"agent {j}" for j in range(columns)), *more]
    said = f"{title or 'Market'}: {counted(n, 'request')}, {counted(m, 'agent')}; value − cost, micro-units"
    return html_table(heads, rows, said)


def counted(number: int, what: str) -> str:
    """As in `1 agent`, `2 agents`."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _html(given: object) -> str:
    return given if isinstance(given, Marked) else escape(str(given))
