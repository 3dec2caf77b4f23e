"""Which rows there are, and which properties are shown together."""

from dataclasses import dataclass

from experiments.studies.matrix.cells import Row
from experiments.studies.matrix.refused import REFUSED
from experiments.studies.matrix.rounds import dynamic
from experiments.studies.matrix.rules import OF_AGENTS, OF_BIDDERS, ON_AVERAGE, auctions, pairs
from experiments.studies.matrix.settlements import HALF, properties, settlements
from mechanisms import MechanismError
from mechanisms.catalogue import ALLOCATORS
from mechanisms.settlement import OnPrediction
from proofs.rounds.sums import OVER_ROUNDS
from proofs.rounds.truthful import TRUTHFUL


@dataclass(frozen=True)
class Table:
    """Some properties, under a title that names who misreports, and when it is settled."""

    title: str
    properties: tuple[str, ...]


TABLES: tuple[Table, ...] = (
    Table("bidders may misreport; the auctioneer, and welfare", tuple(prop.name for prop in OF_BIDDERS)),
    Table("agents may misreport about costs and capacity", tuple(prop.name for prop in OF_AGENTS)),
    Table("on average over a uniform prior, both sides", ON_AVERAGE),
    Table("the rule declines the allocator, whatever the market", (REFUSED,)),
    Table(
        "once requests have run: truth on average, the rest in every run",
        tuple(prop.name for prop in properties(OnPrediction(), HALF, agents=True)),
    ),
    Table("over two and three rounds with caches", (TRUTHFUL, *OVER_ROUNDS)),
)


def rows(rule: str | None = None, allocator: str | None = None, every_pair: bool = False) -> tuple[Row, ...]:
    """What is shown unasked, or what goes by one name.

    Args:
        rule: what goes by this name alone.
        allocator: every rule over this one.
        every_pair: every rule over every allocator besides.

    Raises:
        MechanismError: no rule or no allocator of that name is in the matrix, or the rule is not over that allocator.
    """
    whole: tuple[Row, ...] = (*auctions(), *settlements(), *dynamic())
    rules = tuple(dict.fromkeys(row.rule for row in whole))
    for kind, name, names in (("rule", rule, rules), ("allocator", allocator, tuple(ALLOCATORS))):
        if name is not None and name not in names:
            raise MechanismError(f"no {kind} {name!r} in the matrix; it has {', '.join(names)}")
    if allocator is not None:
        over = tuple(row for row in pairs() if row.beside == allocator)
        chosen: tuple[Row, ...] = tuple(row for row in over if rule in (None, row.rule))
        if not chosen:
            takers = ", ".join(row.rule for row in over)
            raise MechanismError(f"{rule} takes no allocator ({allocator}); those that do are {takers}")
        return chosen
    if every_pair:
        whole = (*pairs(), *(row for row in whole if row not in pairs()))
    return tuple(row for row in whole if rule in (None, row.rule))
