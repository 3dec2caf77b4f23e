"""Tables that fit: no column is lost, and what is said below is said once."""

import pytest

from experiments.studies.arena.fitted import fitted

HEADINGS = [("one",), ("two", "of them"), ("a third and wide one",)]
ROWS = {"first": ["1", "2", "3"], "second": ["4", "5", "6"]}


@pytest.mark.parametrize(("width", "count"), [(200, 1), (30, 2), (1, 3)])
def test_columns_that_do_not_fit_go_below(width: int, count: int) -> None:
    made = fitted("title", HEADINGS, ROWS, width, caption="said once")
    assert len(made) == count
    columns = [column for table in made for column in table.columns]
    assert [str(column.header) for column in columns if str(column.header) != "policy"] == [
        "\n".join(lines) for lines in HEADINGS
    ]
    cells = [[str(cell) for cell in column.cells] for column in columns if str(column.header) != "policy"]
    assert cells == [["1", "4"], ["2", "5"], ["3", "6"]]
    assert [str(table.title) for table in made] == ["title", *["None"] * (count - 1)]
    assert [str(table.caption) for table in made].count("said once") == 1


def test_the_widest_table_has_the_caption() -> None:
    narrow, wide = fitted("title", HEADINGS, ROWS, 30, caption="said once")
    assert narrow.caption is None and str(wide.caption) == "said once"
