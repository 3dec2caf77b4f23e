"""What is written after options of `iemas audit`: numbers, rows, masks; a scope's complaint in their words."""

import re
from collections.abc import Sequence
from typing import TypeAlias

import typer

#: More numbers than this are no list of one per agent.
_MANY = 10_000

Integers: TypeAlias = "int | list[int] | list[list[int]]"

#: What a scope calls its parameters -> the option that sets it.
_OPTIONS = {
    "requests_per_bidder": "--requests-per-bidder",
    "private_capacities": "--private-capacities",
    "private_costs": "--private-costs",
    "capacities": "--capacity",
    "feasible": "--feasible",
    "bidders": "--bidders",
    "agents": "--agents",
    "values": "--values",
    "owners": "--owners",
    "costs": "--costs",
    "draws": "--sample",
    "seed": "--seed",
    "ties": "--ties",
    "box": "--values",
}


def in_options(message: str) -> str:
    """A scope's complaint in the words of the command line: `--bidders`, where Python has `bidders = 0`."""
    for name, option in _OPTIONS.items():
        message = re.sub(rf"(?<![-\w]){name}(?= (?:=|\[|reach|repeat|holds|is empty|of shape|must))", option, message)
    for ours, theirs in (
        ("a Grid or Sample", "a grid, or --sample N"),
        (", or Sample(...)", ", or --sample N"),
        ("raise limit", "raise --limit"),
        (", limit ", ", --limit "),
    ):
        message = message.replace(ours, theirs)
    return message


def integers(text: str, option: str) -> Sequence[int]:
    """`0..3` or `0,2,5`, at least one."""
    first, dots, last = text.partition("..")
    try:
        if dots and int(first) <= int(last):
            return range(int(first), int(last) + 1)
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise typer.BadParameter(f"{text!r}; expected integers such as 0..3 or 0,2,5", param_hint=option) from None


def ends(values: Sequence[int]) -> tuple[int, int]:
    """The least and the greatest; of a range without listing it."""
    found = (values[0], values[-1]) if isinstance(values, range) else values
    return min(found), max(found)


def one_or_many(text: str, option: str) -> int | list[int]:
    """One integer, or one per agent."""
    numbers = integers(text, option)
    if isinstance(numbers, range) and numbers[-1] - numbers[0] >= _MANY:
        raise typer.BadParameter(f"{text!r}; expected one integer, or one per agent", param_hint=option)
    return numbers[0] if len(numbers) == 1 else list(numbers)


def rows(text: str, option: str) -> Integers:
    """One integer, one per agent, or rows of one per agent: `0,2/3,1`, a row per request."""
    if "/" not in text:
        return one_or_many(text, option)
    found = [list(integers(row, option)) for row in text.split("/")]
    if len({len(row) for row in found}) > 1:
        raise typer.BadParameter(f"{text!r}; expected rows of equally many integers", param_hint=option)
    return found


def mask(text: str) -> list[list[bool]]:
    """`11,01`: a row per request, a digit per agent."""
    found = text.split(",")
    if not set(text) <= {"0", "1", ","} or len({len(row) for row in found}) > 1 or not found[0]:
        raise typer.BadParameter(
            f"{text!r}; expected a row of 0 and 1 per request, a digit per agent, such as 11,01",
            param_hint="--feasible",
        )
    return [[digit == "1" for digit in row] for row in found]
