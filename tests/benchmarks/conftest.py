"""Options, the table on screen, and the JSON of a benchmark run."""

import json
import platform
from pathlib import Path

import pytest

ROWS: list[dict[str, object]] = []


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--full", action="store_true", help="three seeds, every size and every adversary (half an hour)")
    parser.addoption("--seeds", type=int, default=3, help="seeds per row in the full run")
    parser.addoption("--table", default="runs/bench.json", help="where the rows are written")


@pytest.fixture
def full(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption("--full"))


@pytest.fixture
def seeds(request: pytest.FixtureRequest, full: bool) -> int:
    return int(request.config.getoption("--seeds")) if full else 1


@pytest.fixture
def row() -> "list[dict[str, object]]":
    return ROWS


def pytest_terminal_summary(config: pytest.Config) -> None:
    if not ROWS:
        return
    from rich.console import Console
    from rich.table import Table

    target = Path(str(config.getoption("--table")))
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps({"machine": platform.processor() or platform.machine(), "rows": ROWS}, indent=1))
    console = Console(width=150)
    for title in dict.fromkeys(str(row["table"]) for row in ROWS):
        mine = [{k: v for k, v in row.items() if k != "table"} for row in ROWS if row["table"] == title]
        table = Table(title=title)
        for column in dict.fromkeys(key for row in mine for key in row):
            table.add_column(column, justify="left" if column in ("size", "kind") else "right")
        for line in mine:
            table.add_row(*(_cell(line.get(column.header)) for column in table.columns))  # type: ignore[call-overload]
        console.print(table)
    console.print(f"CPU time, medians; ratios are theirs / ours. Rows: {target}")


def _cell(entry: object) -> str:
    if entry is None:
        return "-"
    return (
        f"{entry:.3g}"
        if isinstance(entry, float) and entry < 1000
        else f"{entry:,.0f}"
        if isinstance(entry, float)
        else str(entry)
    )
