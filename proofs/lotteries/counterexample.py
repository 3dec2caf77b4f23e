"""`LotteryCounterexample`: one market in which a claim about lotteries fails, by an exact amount."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

from numpy.typing import ArrayLike

from allocation import Market
from mechanisms import MechanismError, load_object
from mechanisms.lottery import Lottery, LotteryMechanism
from proofs.errors import AuditError
from proofs.evidence.counterexample import Answer
from proofs.evidence.evidence import replayed
from proofs.evidence.json import built, market_as_dict, market_from, plain
from proofs.evidence.simpler import simpler, simplicity
from proofs.lotteries.claims import Claim, TruthfulInExpectation, find_claim
from proofs.misreports.misreport import Misreport
from proofs.scopes.grid import public_terms
from proofs.subject.subject import owed, to_expression

#: Each answer that may be drawn, with its weight.
Answers = tuple[tuple[Answer, int], ...]


def lottery_of(mechanism: LotteryMechanism, market: Market) -> Lottery:
    """Let the mechanism draw, and hold every outcome to what every mechanism owes.

    Raises:
        AuditError: it returned no lottery, or an outcome that this market cannot have.
        Exception: whatever the mechanism raises, with a note that shows the market.
    """
    kind = type(mechanism).__name__
    try:
        lottery = mechanism.draw(market)
    except SystemExit as error:
        raise AuditError(f"{kind} ends the process ({error!r}) on {market}; let it raise") from error
    except Exception as error:
        error.add_note(f"while {kind} drew on {market}")
        raise
    if not isinstance(lottery, Lottery):
        raise AuditError(f"{kind} returned {type(lottery).__name__} on {market}; expected a Lottery")
    return Lottery(tuple(owed(outcome, market, kind) for outcome in lottery.outcomes), lottery.weights)


@dataclass(frozen=True, slots=True, eq=False)
class LotteryCounterexample:
    """A claim fails in the market `truth` by `amount` micro-units (> 0, exact); with a `misreport`, because of it.

    `text` says what happened; `honest` and `deviating` are the answers that may be drawn, with weights.
    """

    claim: Claim
    truth: Market
    misreport: Misreport | None
    amount: Fraction
    text: str
    honest: Answers
    deviating: Answers | None

    @classmethod
    def of(
        cls, claim: Claim, mechanism: LotteryMechanism, truth: Market, misreport: Misreport | None = None
    ) -> "LotteryCounterexample | None":
        """Draw from scratch on the truth, and on the misreport if there is one: a counterexample, or None.

        Raises:
            AuditError: a claim about misreports came without one or the other way round, or the mechanism misbehaves.
        """
        honest = lottery_of(mechanism, truth)
        if isinstance(claim, TruthfulInExpectation):
            if misreport is None:
                raise AuditError(f"{claim.name} needs a misreport")
            deviating = lottery_of(mechanism, misreport.applied(truth))
            found = claim.compare(truth, misreport, honest, deviating)
            told = _answers(deviating)
        else:
            if misreport is not None:
                raise AuditError(f"{claim.name} takes no misreport")
            found, told = claim.check(honest, truth), None
        return None if found is None else cls(claim, truth, misreport, found.amount, found.text, _answers(honest), told)

    def replay(self, mechanism: LotteryMechanism) -> Fraction:
        """Compute everything again from the market and the misreport alone, and return the amount.

        Raises:
            ReplayError: amount or answers differ from what is written here.
        """
        return replayed(self, mechanism).amount

    @property
    def recorded(self) -> Mapping[str, object]:
        """The amount and the answers."""
        return {"amount": self.amount, "honest": self.honest, "deviating": self.deviating}

    @property
    def simplicity(self) -> tuple[int, ...]:
        """That of the market and the misreport."""
        return simplicity(self.truth, self.misreport)

    def simpler(self) -> Iterator["LotteryCounterexample"]:
        """The same claim in markets one step away, with what the misreport is there."""
        for truth, misreport in simpler(self.truth, self.misreport):
            if misreport is None or isinstance(misreport, Misreport):
                yield replace(self, truth=truth, misreport=misreport)

    def again(self, mechanism: LotteryMechanism) -> "LotteryCounterexample | None":
        """The same market and misreport, drawn from scratch."""
        return LotteryCounterexample.of(self.claim, mechanism, self.truth, self.misreport)

    def expression(self, mechanism: LotteryMechanism | str) -> str:
        """One Python expression, for a fresh interpreter, whose value is the amount.

        Raises:
            AuditError: the mechanism or the claim cannot be written down.
        """
        shipped = type(self.claim).__module__ == TruthfulInExpectation.__module__
        parts = [repr(self.claim.name) if shipped else to_expression(self.claim)]
        parts.append(repr(mechanism) if isinstance(mechanism, str) else to_expression(mechanism))
        parts += [f"{name}={rows}" for name, rows in market_as_dict(self.truth).items() if rows is not None]
        if self.misreport is not None:
            parts += [f"bidder={self.misreport.bidder}", f"misreport={[list(row) for row in self.misreport.rows]}"]
        return f'__import__("proofs").lottery_violation({", ".join(parts)})'

    def as_dict(self) -> dict[str, object]:
        """Plain lists, numbers and strings, ready for JSON; the amount as a fraction in a string, such as "1/3"."""
        return {
            "property": self.claim.name,
            "truth": market_as_dict(self.truth),
            "misreport": plain(self.misreport),
            "amount": str(self.amount),
            "text": self.text,
            "honest": _as_dicts(self.honest),
            "deviating": None if self.deviating is None else _as_dicts(self.deviating),
        }

    def to_json(self) -> str:
        """The counterexample as a JSON object; `from_json` reads it back."""
        return json.dumps(self.as_dict())

    @classmethod
    def from_json(cls, text: str) -> "LotteryCounterexample":
        """Read what `to_json` wrote, of a claim that ships.

        Raises:
            AuditError: the text is no counterexample, or the claim does not ship.
        """
        try:
            data = json.loads(text)
            misreport = built(data["misreport"])
            if misreport is not None and not isinstance(misreport, Misreport):
                raise AuditError(f"{misreport!r} is no misreport of one bidder; expected what to_json wrote")
            return cls(
                find_claim(str(data["property"])),
                market_from(**data["truth"]),
                misreport,
                Fraction(data["amount"]),
                str(data["text"]),
                _from_dicts(data["honest"]),
                None if data["deviating"] is None else _from_dicts(data["deviating"]),
            )
        except AuditError:
            raise
        except (ValueError, TypeError, AttributeError, LookupError, ArithmeticError) as error:
            raise AuditError(
                f"not a counterexample, {type(error).__name__}: {error}; expected what to_json wrote"
            ) from error

    def __str__(self) -> str:
        truth = self.truth
        owned = "" if truth.players == tuple(range(truth.shape[0])) else f", requests owned by {truth.bidders.tolist()}"
        deviating = "" if self.deviating is None else f"\ndeviating: {_shown(self.deviating)}"
        return (
            f"{self.claim.name} fails: {self.text}\n"
            f"true values {truth.values.tolist()}, {public_terms(truth)}{owned}\n"
            f"honest: {_shown(self.honest)}{deviating}"
        )


def lottery_violation(
    claim: Claim | str,
    mechanism: LotteryMechanism | str,
    *,
    values: ArrayLike,
    costs: ArrayLike,
    capacities: ArrayLike,
    feasible: ArrayLike | None = None,
    owners: ArrayLike | None = None,
    bidder: int | None = None,
    misreport: Sequence[Sequence[int]] | None = None,
) -> Fraction:
    """Micro-units, exact, by which a claim about lotteries fails in one market, 0 where it holds; for expressions.

    Args:
        claim, mechanism: objects; or a shipped name, and `module:object`.
        values, costs, capacities, feasible, owners: the true market, as in `Market`; `owners` are its bidders.
        bidder, misreport: who misreports, and the (K, M) reported values.

    Example:
        >>> from allocation import MinCostFlow
        >>> from mechanisms import VCG, Mechanism, Mixture, PayAsBid
        >>> mixed = Mixture((Mechanism(MinCostFlow(), VCG()), Mechanism(MinCostFlow(), PayAsBid())), (2, 1))
        >>> lottery_violation("truthful-in-expectation", mixed, values=[[2]], costs=[[0]], capacities=[1],
        ...                   bidder=0, misreport=[[1]])
        Fraction(1, 3)
    """
    truth = Market(values, costs, capacities, feasible, owners)
    deviation = None if bidder is None or misreport is None else Misreport.of(bidder, misreport)
    found = LotteryCounterexample.of(find_claim(claim), lottery_mechanism(mechanism), truth, deviation)
    return Fraction(0) if found is None else found.amount


def lottery_mechanism(mechanism: LotteryMechanism | str) -> LotteryMechanism:
    """The object, or what `module:object` stands for.

    Raises:
        AuditError: it draws no lotteries.
    """
    try:
        found = load_object(mechanism) if isinstance(mechanism, str) else mechanism
    except MechanismError as error:
        raise AuditError(str(error)) from error
    if isinstance(found, type) or not isinstance(found, LotteryMechanism):
        raise AuditError(f"{found!r} has no draw(market); a sure mechanism is audited by `audit`, or put in a Mixture")
    return found


def _answers(lottery: Lottery) -> Answers:
    return tuple(
        (Answer.of(outcome), weight) for outcome, weight in zip(lottery.outcomes, lottery.weights, strict=True)
    )


def _as_dicts(answers: Answers) -> list[dict[str, object]]:
    return [
        {
            "weight": weight,
            "agents": list(answer.agents),
            "charges": list(answer.charges),
            "receipts": list(answer.receipts),
        }
        for answer, weight in answers
    ]


def _from_dicts(answers: Sequence[Mapping[str, Any]]) -> Answers:
    return tuple(
        (Answer(tuple(one["agents"]), tuple(one["charges"]), tuple(one["receipts"])), int(one["weight"]))
        for one in answers
    )


def _shown(answers: Answers) -> str:
    total = sum(weight for _, weight in answers)
    return " or ".join(f"({answer}) with {Fraction(weight, total)}" for answer, weight in answers)
