"""Served worlds for questions about reports: who reports what, what each bidder got, and every market on the way.

Agents' speeds were fitted to real vLLM and answers of its models to these very turns were graded beforehand; time is
virtual, and bidders' preferences are drawn. Copies of the same dialogues, held by others at other times, make it busy.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol, cast

from allocation import MICROS, Greedy, Market, MinCostFlow
from experiments.errors import StudyError
from experiments.studies.study.cells.cell import Cell
from experiments.worlds.fleets import simulated_fleet
from experiments.worlds.presets import PRESETS
from experiments.worlds.running.run import hold_traffic
from experiments.worlds.traffic.traffic import Ask, Progress, Traffic
from experiments.worlds.workloads.workload import Dialogues
from mechanisms import VCG, DirectMechanism, Mechanism, Outcome, PayAsBid, PostedPrice, Preferences
from runtime import (
    Agent,
    Auction,
    Decision,
    Declined,
    Event,
    Fleet,
    Ledger,
    Offer,
    PaperAuction,
    Policy,
    Request,
    Served,
    running,
)
from runtime.engines.simulated.virtual_time import run

#: What a bidder reports of a request, given the truth.
Report = Callable[[Request, Preferences], Preferences]

#: Policies whose bidders may gain by what they report, and what makes each of a mechanism's observer.
RULES: dict[str, tuple[type[Auction] | type[PaperAuction], DirectMechanism]] = {
    "iemas": (Auction, Mechanism(MinCostFlow(), VCG())),
    "pay-as-bid": (Auction, Mechanism(MinCostFlow(), PayAsBid())),
    "greedy": (Auction, Mechanism(Greedy(), PostedPrice())),
    "paper-auction": (PaperAuction, Mechanism(MinCostFlow(), VCG())),
}


class Look(Protocol):
    """Sees each round: whose requests, the market that the mechanism was given, what it made of it."""

    def __call__(self, offers: Sequence[Offer], market: Market, outcome: Outcome) -> None:
        """Look at one round."""
        ...


@dataclass(frozen=True, slots=True)
class World:
    """How busy a world is.

    Raises:
        StudyError: a number is not positive.
    """

    copies: int = 4
    rate: float = 10.0
    bidders: int = 10
    slots: int | None = None
    dialogues: int = 20
    turns: int = 12

    def __post_init__(self) -> None:
        for name in ("copies", "rate", "bidders", "dialogues", "turns"):
            if not getattr(self, name) > 0:
                raise StudyError(f"{name} = {getattr(self, name)!r}; expected a number above 0")

    def cell(self) -> Cell:
        """The workload, bidders and fleet."""
        talks = Dialogues(
            ("shipped",) * self.copies,
            rate=self.rate,
            dialogues=self.dialogues,
            turns=self.turns,
            answers="shipped",
        )
        return Cell(talks, bidders=replace(PRESETS["differing"], bidders=self.bidders), slots=self.slots)

    def __str__(self) -> str:
        return (
            f"the shipped dialogues {self.copies} times over, {self.rate:g} begun a second, {self.bidders} bidders "
            "whose worth (2 to 500 credits) and delay cost (.05 to 30 a second) are log-uniform"
        )


@dataclass(slots=True)
class Took:
    """What a run came to, in credits: by bidder, and in all.

    `utility` counts true worth by the measured chance that the agent is right, the measured wait and the charge;
    `welfare` costs in place of charges.
    """

    utility: dict[str, float]
    requests: dict[str, int]
    welfare: float = 0.0
    charges: float = 0.0
    costs: float = 0.0
    declined: int = 0
    rounds: int = 0
    ends: list[Served | Declined] = field(default_factory=list)


def serve(
    cell: Cell,
    policy: Policy,
    seed: int,
    *,
    report: Report | None = None,
    keep: bool = False,
) -> Took:
    """One run of a policy.

    Args:
        report: what is said in place of the truth.
        keep: whether ends are kept.
    """
    load = cell.workload.draw(cell.bidders, seed)
    took = Took(dict.fromkeys(load.types, 0.0), dict.fromkeys(load.types, 0))

    def ended(end: Served | Declined) -> None:
        name = end.request.bidder
        true = load.types[name]
        took.requests[name] += 1
        if keep:
            took.ends.append(end)
        if isinstance(end, Declined):
            gain, charge, cost = -true.delay_cost * end.waited_s, 0.0, 0.0
            took.declined += 1
        else:
            chance = load.quality(cell.fleet[end.agent], end.request.id)
            gain = true.worth * chance - true.delay_cost * end.first_token_s
            charge, cost = end.charge / MICROS, end.cost / MICROS
        took.utility[name] += gain - charge
        took.welfare += gain - cost
        took.charges += charge
        took.costs += cost

    async def hold() -> None:
        engines, prices = simulated_fleet(load, cell.fleet)
        told = load if report is None else cast("Traffic", _Told(load, report))
        async with running(engines):
            with Ledger() as ledger:
                held = await hold_traffic(
                    policy, told, engines, prices, rounds=cell.bidders.rounds(cell.slots), ledger=ledger, ended=ended
                )
        took.rounds = held.statistics.rounds

    run(hold(), virtual=True)
    return took


class _Told:
    """Traffic whose bidders report something else; `hold_traffic` asks for no other part of it."""

    def __init__(self, load: Traffic, report: Report) -> None:
        self._load, self._report = load, report
        self.grade = load.grade

    async def hold(self, ask: Ask, progress: Progress = lambda: None) -> None:
        """As the traffic does."""

        async def told(request: Request, true: Preferences) -> Served | Declined:
            return await ask(request, self._report(request, true))

        await self._load.hold(told, progress)


def looked_at(name: str, look: Look, mechanism: DirectMechanism | None = None) -> Policy:
    """A policy of `RULES` whose every round is shown to `look`, with another mechanism if one is given.

    Raises:
        StudyError: there is none of that name.
    """
    if name not in RULES:
        raise StudyError(f"no policy {name!r} whose rounds could be looked at; there are: {', '.join(RULES)}")
    made, usual = RULES[name]
    seen = _Seen(mechanism or usual, look)
    return _Looked(made(seen, name=name), seen)


class _Seen:
    """A mechanism that shows what it was given and what it made of it."""

    def __init__(self, mechanism: DirectMechanism, look: Look) -> None:
        self._mechanism, self._look = mechanism, look
        self.offers: Sequence[Offer] = ()

    def run(self, market: Market) -> Outcome:
        """As the mechanism does."""
        outcome = self._mechanism.run(market)
        self._look(self.offers, market, outcome)
        return outcome


class _Looked:
    """A policy that says whose requests its mechanism sees."""

    def __init__(self, policy: Policy, seen: _Seen) -> None:
        self._policy, self._seen = policy, seen
        self.name = policy.name

    def attach(self, agents: Sequence[Agent]) -> None:
        """As inside."""
        self._policy.attach(agents)

    def ready(self, fleet: Fleet) -> bool:
        """As inside."""
        return self._policy.ready(fleet)

    def decide(self, offers: Sequence[Offer], fleet: Fleet) -> Decision:
        """As inside."""
        self._seen.offers = offers
        return self._policy.decide(offers, fleet)

    def notice(self, event: Event) -> None:
        """As inside."""
        self._policy.notice(event)


def markets(name: str, cell: Cell, seed: int, mechanism: DirectMechanism | None = None) -> list[Market]:
    """Every market of a run in which all are truthful, fees among costs."""
    found: list[Market] = []
    serve(cell, looked_at(name, lambda offers, market, outcome: found.append(market), mechanism), seed)
    return found


def player(offers: Sequence[Offer], bidder: str) -> int | None:
    """A bidder's number in the market of a round, None where they have no request in it."""
    names = list(dict.fromkeys(offer.request.bidder for offer in offers))
    return names.index(bidder) if bidder in names else None
