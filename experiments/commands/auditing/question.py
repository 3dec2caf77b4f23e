"""`Question`: what `iemas audit` was asked, as plain data.

It travels as JSON, so that a question about code that is not ours can be answered in another process.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from experiments.commands.auditing.options import ends, in_options, integers, mask, one_or_many, rows
from experiments.commands.auditing.paper import Paper

if TYPE_CHECKING:
    from proofs import Property, Scope


@dataclass(frozen=True, slots=True)
class Question:
    """The options of `iemas audit`, as they were written; None where not given.

    `suite`: no option says which markets, so the suite of small scopes is meant.
    """

    name: str
    allocator: str | None = None
    suite: bool = False
    bidders: int = 3
    agents: int = 2
    values: str | None = None
    costs: str = "0"
    capacity: str = "1"
    requests_per_bidder: int = 1
    owners: str | None = None
    feasible: str | None = None
    private_costs: str | None = None
    private_capacities: str | None = None
    properties: tuple[str, ...] = ()
    sample: int | None = None
    seed: int = 0
    guided: bool = False
    ties: str = "first"
    reals: bool = False
    second_opinion: bool = False
    workers: int = 1
    ray: bool = False
    resume: str | None = None
    symmetry: bool = False
    limit: int = 1_000_000
    reruns: int | None = None
    allow_unknown: bool = False
    save: str | None = None
    paper: Paper = field(default_factory=Paper)

    @property
    def foreign(self) -> bool:
        """Whether it is about code that is not ours: something named `module:object`."""
        names = (self.name, self.allocator or "", *self.properties)
        return any(":" in name.partition("(")[0] for name in names)

    def scope(self) -> "Scope":
        """The markets that are meant.

        Raises:
            BadParameter: an option is malformed.
            AuditError: no scope has these terms; the message speaks of options.
        """
        import proofs

        try:
            return self._scope()
        except proofs.AuditError as error:
            raise proofs.AuditError(in_options(str(error))) from error

    def _scope(self) -> "Scope":
        import proofs
        from proofs.scopes.suite import SUITE

        if self.suite:
            return SUITE
        costs, capacities = rows(self.costs, "--costs"), one_or_many(self.capacity, "--capacity")
        owners = None if self.owners is None else list(integers(self.owners, "--owners"))
        bidders = self.bidders if owners is None else len(set(owners))
        feasible = None if self.feasible is None else mask(self.feasible)
        hidden_costs = None if self.private_costs is None else integers(self.private_costs, "--private-costs")
        hidden_rooms = (
            None if self.private_capacities is None else integers(self.private_capacities, "--private-capacities")
        )
        if self.reals:
            return proofs.Reals(
                bidders=bidders,
                agents=self.agents,
                capacities=capacities,
                box=None if self.values is None else ends(integers(self.values, "--values")),
                costs=costs,
                owners=owners or [bidder for bidder in range(bidders) for _ in range(self.requests_per_bidder)],
            )
        if self.sample is None:
            return proofs.Grid(
                bidders=bidders,
                agents=self.agents,
                values=integers("0..3" if self.values is None else self.values, "--values"),
                costs=costs,
                capacities=capacities,
                owners=owners,
                feasible=feasible,
                requests_per_bidder=self.requests_per_bidder,
                private_costs=hidden_costs,
                private_capacities=hidden_rooms,
                limit=self.limit,
                ties=self.ties,
            )
        return proofs.Sample(
            bidders=bidders,
            agents=self.agents,
            values=ends(integers("0..1000" if self.values is None else self.values, "--values")),
            costs=costs,
            capacities=capacities,
            owners=owners,
            feasible=feasible,
            requests_per_bidder=self.requests_per_bidder,
            private_costs=None if hidden_costs is None else ends(hidden_costs),
            private_capacities=None if hidden_rooms is None else ends(hidden_rooms),
            draws=self.sample,
            seed=self.seed,
        )

    def claims(self) -> "Sequence[Property | str]":
        """What is examined."""
        from proofs import ALL
        from proofs.properties.agents import AgentsRational, TruthfulAgents
        from proofs.reals.encoding import PROVABLE

        if self.properties:
            return self.properties
        if self.reals:
            return PROVABLE
        two_sided = self.private_costs is not None or self.private_capacities is not None
        return (*ALL, TruthfulAgents(), AgentsRational()) if two_sided else ALL
