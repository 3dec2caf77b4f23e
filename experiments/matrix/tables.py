"""Which rows and which properties are shown together."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from experiments.matrix.cells import Row
from experiments.matrix.played import TRUTHFUL, dynamic
from experiments.matrix.rules import OF_AGENTS, OF_BIDDERS, ON_AVERAGE, auctions
from experiments.matrix.settled import HALF, properties, settlements
from mechanisms import MechanismError
from mechanisms.settlement import OnPrediction
from proofs.plays import OVER_ROUNDS


@dataclass(frozen=True)
class Table:
    """Some properties of some rows, under a title that says who lies, and when it is settled."""

    title: str
    properties: tuple[str, ...]
    rows: Callable[[], Sequence[Row]]


TABLES: tuple[Table, ...] = (
    Table("bidders may lie; the house, and welfare", tuple(prop.name for prop in OF_BIDDERS), auctions),
    Table("agents may lie about costs and capacity", tuple(prop.name for prop in OF_AGENTS), auctions),
    Table("on average over a uniform prior, both sides", ON_AVERAGE, auctions),
    Table(
        "once requests have run: truth on average, the rest in every run",
        tuple(prop.name for prop in properties(OnPrediction(), HALF, agents=True)),
        settlements,
    ),
    Table("over two and three rounds with caches", (TRUTHFUL, *OVER_ROUNDS), dynamic),
)


def rows(rule: str | None = None) -> tuple[Row, ...]:
    """Everything in the matrix, or what goes by one name.

    Raises:
        MechanismError: no rule of that name is in the matrix.
    """
    every: tuple[Row, ...] = (*auctions(), *settlements(), *dynamic())
    chosen = tuple(row for row in every if rule in (None, row.rule))
    if not chosen:
        raise MechanismError(
            f"no rule {rule!r} in the matrix; it has {', '.join(dict.fromkeys(r.rule for r in every))}"
        )
    return chosen
