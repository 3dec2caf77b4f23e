"""Entries of the books beside the rounds: each hold was decided, each ended once, at what its settlement rule says."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from allocation import MarketError, to_micros
from runtime.accounts.archive import KeptEntry
from runtime.accounts.settling import settled
from runtime.referees.kept import Kept
from runtime.referees.verdict import Fault, Verdict

#: Of settlements that may charge beyond what was held, where an account has no limit.
_BEYOND = ("on-measurement", "on-delivery")


@dataclass(frozen=True, slots=True)
class Decision:
    """A round gave a request to an agent: what the books must have of it."""

    round: int
    account: str
    agent: str
    charge: int
    predicted: tuple[float, float, float] | None
    settlement: str


def decisions_of(kept: Kept, number: int) -> Iterator[tuple[str, Decision]]:
    """Requests that a round gave to agents, with what it decided."""
    settlement = str(kept.rules.get("settlement"))
    for i, agent in enumerate(kept.placed.tolist()):
        if 0 <= agent < len(kept.agents):
            name, charge = kept.agents[agent], int(kept.charges[i])
            yield (
                kept.requests[i],
                Decision(number, kept.bidders[i], name, charge, kept.predicted[i], settlement),
            )


def check_entries(
    entries: Iterable[KeptEntry],
    decided: dict[str, list[Decision]],
    from_s: float,
    verdict: Verdict,
    settlement: Any,
) -> None:
    """Hold entries against decisions, and endings against holds.

    Args:
        entries: in order, those of a request together.
        decided: of each request, what rounds decided, in order.
        from_s: holds before (Unix time) may be of rounds that are not looked at.
        verdict: gets counts and faults.
        settlement: finds a settlement by its name.
    """
    by_request: defaultdict[str, list[KeptEntry]] = defaultdict(list)
    for entry in entries:
        by_request[entry.request].append(entry)
    for request, held in by_request.items():
        left = list(decided.get(request, ()))
        verdict.faults += _endings(request, held)
        for entry in held:
            one = _decision(entry, left)
            if one is None:
                if entry.at_s >= from_s or request in decided:
                    said = f"{entry.charge} micro-units are held for {entry.account} at {entry.agent}; no round says so"
                    verdict.faults.append(Fault("undecided", f"request {request}", said))
                continue
            verdict.holds += 1
            verdict.settled += entry.state == "settled"
            verdict.released += entry.state == "released"
            verdict.open += entry.state is None
            if entry.state == "settled":
                verdict.faults += _settlement(entry, one, settlement)
        verdict.refused += len(left)
    verdict.refused += sum(len(left) for request, left in decided.items() if request not in by_request)


def _decision(entry: KeptEntry, left: list[Decision]) -> Decision | None:
    """The first decision that is the hold's, of those that are left; decisions before it were not held."""
    for k, one in enumerate(left):
        if (one.account, one.agent, one.charge) == (entry.account, entry.agent, entry.charge):
            del left[k]
            return one
    return None


def _endings(request: str, held: Sequence[KeptEntry]) -> Iterator[Fault]:
    where = f"request {request}"
    if sum(entry.state == "settled" for entry in held) > 1:
        yield Fault("ending", where, "it is settled more than once")
    for entry in held:
        which = f"{where}, attempt {entry.attempt}"
        if entry.amount != max(entry.charge, 0):
            yield Fault("ending", which, f"{entry.amount} micro-units are held for a charge of {entry.charge}")
        if (entry.state is None) != entry.open:
            said = "it ended, and counts as held" if entry.open else "it neither ended nor counts as held"
            yield Fault("ending", which, said)
        due = (entry.final or 0, entry.receipt or 0)
        if entry.moved != due:
            yield Fault("movement", which, f"{list(entry.moved)} micro-units were moved; settled are {list(due)}")


def _settlement(entry: KeptEntry, decision: Decision, find: Any) -> Iterator[Fault]:
    where = f"request {entry.request}, attempt {entry.attempt}"
    assert entry.final is not None and entry.cost is not None and entry.receipt is not None
    if entry.final > entry.amount and (entry.capped or decision.settlement not in _BEYOND):
        said = f"{entry.final} micro-units are charged, {entry.amount} were held"
        yield Fault("settlement", where, said)
    try:
        allowed = _allowed(entry, decision, find(decision.settlement))
    except (MarketError, ValueError, RuntimeError) as error:
        yield Fault("settlement", where, f"settlement {decision.settlement!r} cannot be applied: {error}")
        return
    # Of an account with a limit never more than was held; the auctioneer bears the rest.
    capped = {(min(charge, entry.amount), receipt) for charge, receipt in allowed}
    if (entry.final, entry.receipt) not in allowed | capped:
        said = (
            f"charge {entry.final} and receipt {entry.receipt} at a measured cost of {entry.cost} micro-units; by "
            f"{decision.settlement} they are {' or '.join(map(str, sorted(allowed)))}"
        )
        yield Fault("settlement", where, said)


def _allowed(entry: KeptEntry, decision: Decision, settlement: Any) -> set[tuple[int, int]]:
    """Charges and receipts that the rule may come to: books do not say how an answer was graded, if it was."""
    cost = entry.cost
    assert cost is not None
    if decision.predicted is None:
        return {(decision.charge, cost)}
    _, credits, chance = decision.predicted
    predicted = int(to_micros(credits, name="predicted cost"))

    def one(quality: float | None) -> tuple[int, int]:
        return settled(
            settlement, charge=decision.charge, predicted=predicted, measured=cost, chance=chance, quality=quality
        )

    ended = {one(None), one(1.0), one(0.0)}
    # Who hung up pays what the auction said.
    return ended | {(decision.charge, one(None)[1])}
