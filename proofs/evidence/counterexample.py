"""`Counterexample`: one market in which a property fails; it can be computed again anywhere, and travels as JSON."""

import builtins
import dataclasses
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import cast

from numpy.typing import ArrayLike

from allocation import UNSERVED, Market
from allocation.notebook import Marked, counted, html_line, html_table, marked, scrolling
from mechanisms import DirectMechanism, Outcome
from proofs.arguments import require_market, require_method
from proofs.claims.property import (
    DeviationProperty,
    ExpectedProperty,
    OutcomeProperty,
    Property,
    Violation,
    find_property,
    property_name,
)
from proofs.errors import AuditError
from proofs.evidence.evidence import replay
from proofs.evidence.json import built, market_as_dict, market_from, plain
from proofs.evidence.simpler import simpler, simplicity
from proofs.misreports.misreport import Deviation, Misreport
from proofs.moved import with_todays_names
from proofs.scopes.grid import public_terms
from proofs.subject.subject import Subject, outcome_of, to_expression
from proofs.subject.tie_outcomes import outcomes_of, tie_treatment


@dataclass(frozen=True, slots=True)
class Answer:
    """What a mechanism answered: `agents` (N,), `charges` (N,) and `receipts` (M,), as plain integers."""

    agents: tuple[int, ...]
    charges: tuple[int, ...]
    receipts: tuple[int, ...]

    @classmethod
    def of(cls, outcome: Outcome) -> "Answer":
        """The decisions of an outcome, and nothing of the report it was computed from."""
        payments = outcome.payments
        return cls(
            tuple(outcome.allocation.agents.tolist()),
            tuple(payments.charges.tolist()),
            tuple(payments.receipts.tolist()),
        )

    def __str__(self) -> str:
        paid = f", receipts {list(self.receipts)}" if any(self.receipts) else ""
        return f"agents {list(self.agents)}, charges {list(self.charges)}{paid}"


@dataclass(frozen=True, slots=True, eq=False)
class Counterexample:
    """A property fails in the market `truth` by `amount` micro-units (> 0); with a `misreport`, because of it.

    `text` says what happened; `honest` and `deviating` are what the mechanism answered: with `ties` of `all`, those of
    its tied answers at which the property fails most.
    """

    property: Property
    truth: Market
    misreport: Deviation | None
    amount: int
    text: str
    honest: Answer
    deviating: Answer | None
    ties: str = "first"

    @classmethod
    def of(
        cls,
        prop: Property,
        mechanism: DirectMechanism,
        truth: Market,
        misreport: Deviation | None = None,
        ties: str = "first",
    ) -> "Counterexample | None":
        """Run the mechanism from scratch on the truth, and on the misreport if there is one: a counterexample, or None.

        Args:
            ties: which outcomes count, as in `Grid`; of several counterexamples the greatest, ties to the first.

        Raises:
            AuditError: a property of deviations came without a misreport or the other way round, or the mechanism
                misbehaves, or does not say what its ties are.
        """
        if isinstance(prop, type) or not isinstance(getattr(prop, "name", None), str):
            raise AuditError(f"{prop!r} is no property; give an object, such as Truthful()")
        require_method(mechanism, "run", "mechanism", "a mechanism, such as Mechanism(MinCostFlow(), VCG())")
        require_market(truth)
        if misreport is not None:
            require_method(misreport, "applied", "misreport", "a deviation, such as Misreport(0, ((1,),)), or None")
        honest = outcomes_of(mechanism, truth, ties)
        seen = None if misreport is None else misreport.applied(truth)
        deviating = None if seen is None else outcomes_of(mechanism, seen, ties)
        cases: list[tuple[Violation | None, Outcome, Outcome | None]]
        if isinstance(prop, ExpectedProperty) and ties == "first":
            average = prop.violated(partial(outcome_of, mechanism), truth, misreport)
            cases = [(average, honest[0], None if deviating is None else deviating[0])]
        elif (
            isinstance(prop, DeviationProperty) and misreport is not None and seen is not None and deviating is not None
        ):
            pairs = zip(honest, deviating, strict=True) if truth == seen else product(honest, deviating)
            cases = [(prop.compare(truth, misreport, here, there), here, there) for here, there in pairs]
        elif isinstance(prop, OutcomeProperty) and misreport is None:
            cases = [(prop.check(outcome, truth), outcome, None) for outcome in honest]
        elif isinstance(prop, ExpectedProperty):
            raise AuditError(f"{prop.name} is about averages over many markets at once; audit it with ties='first'")
        else:
            raise AuditError(f"{prop.name} {'needs a' if misreport is None else 'takes no'} misreport")
        failures = [
            cls.from_violation(prop, truth, misreport, found, here, there, ties)
            for found, here, there in cases
            if found is not None
        ]
        return max(failures, key=lambda one: one.amount, default=None)

    @classmethod
    def from_violation(
        cls,
        prop: Property,
        truth: Market,
        misreport: Deviation | None,
        found: Violation,
        honest: Outcome,
        deviating: Outcome | None,
        ties: str = "first",
    ) -> "Counterexample":
        """The counterexample of a violation that a property has just found in these outcomes."""
        answer = None if deviating is None else Answer.of(deviating)
        return cls(prop, truth, misreport, found.amount, found.text, Answer.of(honest), answer, ties)

    def replay(self, mechanism: DirectMechanism) -> int:
        """Compute everything again from the market and the misreport alone, and return the amount.

        Raises:
            ReplayError: amount, allocation or payments differ from what is written here.
        """
        return replay(self, mechanism)

    @builtins.property
    def recorded(self) -> Mapping[str, object]:
        """The amount and both answers."""
        return {"amount": self.amount, "honest": self.honest, "deviating": self.deviating}

    @builtins.property
    def simplicity(self) -> tuple[int, ...]:
        """That of the market and the misreport."""
        return simplicity(self.truth, self.misreport)

    def simpler(self) -> "Iterator[Counterexample]":
        """The same property in markets one step away, with what the misreport is there."""
        for truth, misreport in simpler(self.truth, self.misreport):
            yield dataclasses.replace(self, truth=truth, misreport=misreport)

    def again(self, mechanism: DirectMechanism) -> "Counterexample | None":
        """The same market and misreport, run from scratch."""
        return Counterexample.of(self.property, mechanism, self.truth, self.misreport, self.ties)

    def expression(self, mechanism: DirectMechanism | str, allocator: str | None = None) -> str:
        """One Python expression, for a fresh interpreter, whose value is the amount.

        Args:
            mechanism: the object, or its name, which makes for the shorter expression.
            allocator: for names alone, as in `audit`.

        Raises:
            AuditError: the object cannot be written down as an expression.
        """
        name, parameters = property_name(self.property), _parameters(self.property)
        prop = to_expression(self.property) if ":" in name or parameters else repr(name)
        truth = self.truth
        arguments = [prop, Subject.of(mechanism, allocator).to_expression()]
        if allocator is not None:
            arguments.append(f"allocator={allocator!r}")
        arguments += [f"{name}={rows}" for name, rows in market_as_dict(truth).items() if rows is not None]
        if self.misreport is not None and not isinstance(self.misreport, Misreport):
            arguments.append(f"deviation={to_expression(self.misreport)}")
        elif self.misreport is not None:
            arguments += [f"bidder={self.misreport.bidder}", f"misreport={[list(row) for row in self.misreport.rows]}"]
        if self.ties != "first":
            arguments.append(f"ties={self.ties!r}")
        return f'__import__("proofs").violation({", ".join(arguments)})'

    def to_json(self) -> str:
        """The counterexample as a JSON object; `from_json` reads it back."""
        return json.dumps(self.as_dict())

    def as_dict(self) -> dict[str, object]:
        """Plain lists, numbers and strings, ready for JSON."""
        prop = self.property
        return {
            "property": {"name": property_name(prop), "parameters": _parameters(prop)},
            "truth": market_as_dict(self.truth),
            "misreport": plain(self.misreport),
            "amount": self.amount,
            "text": self.text,
            "honest": dataclasses.asdict(self.honest),
            "deviating": None if self.deviating is None else dataclasses.asdict(self.deviating),
            "ties": self.ties,
        }

    @classmethod
    def from_json(cls, text: str) -> "Counterexample":
        """Read what `to_json` wrote. A property named `module:Class` is imported: read only files that you trust.

        Raises:
            AuditError: the text is no counterexample.
        """
        try:
            data = with_todays_names(json.loads(text))
            parameters = {name: built(value) for name, value in data["property"]["parameters"].items()}
            misreport = built(data["misreport"])
            if misreport is not None and not hasattr(misreport, "applied"):
                raise AuditError(f"the misreport {misreport!r} is no deviation; expected what to_json wrote")
            return cls(
                find_property(data["property"]["name"], **parameters),
                market_from(**data["truth"]),
                cast("Deviation | None", misreport),
                int(data["amount"]),
                str(data["text"]),
                _answer(data["honest"]),
                None if data["deviating"] is None else _answer(data["deviating"]),
                tie_treatment(data.get("ties", "first")),
            )
        except AuditError:
            raise
        except (ValueError, TypeError, AttributeError, LookupError, ArithmeticError) as error:
            raise AuditError(
                f"not a counterexample, {type(error).__name__}: {error}; expected what to_json wrote"
            ) from error

    def __str__(self) -> str:
        lines = [f"{self.property.name} fails: {self.text}"]
        lines.append(f"true values {self.truth.values.tolist()}, {public_terms(self.truth)}{_owned(self.truth)}")
        selected = "" if self.ties == "first" else f"; ties: {self.ties}"
        lines.append(
            f"honest: {self.honest}" + ("" if self.deviating is None else f"; deviating: {self.deviating}") + selected
        )
        return "\n".join(lines)

    def __repr__(self) -> str:
        return f"<{self}>"

    def _repr_html_(self) -> str:
        by = counted(self.amount, "micro-unit")
        named = html_line(marked(f"✗ {self.property.name} fails by {by}:", "bad"), self.text)
        return scrolling(named, Marked(self.truth._repr_html_("The true market")), _answers(self))


def violation(
    prop: Property | str,
    mechanism: DirectMechanism | str,
    *,
    values: ArrayLike,
    costs: ArrayLike,
    capacities: ArrayLike,
    feasible: ArrayLike | None = None,
    owners: ArrayLike | None = None,
    bidder: int | None = None,
    misreport: ArrayLike | None = None,
    deviation: Deviation | None = None,
    lie: ArrayLike | None = None,
    allocator: str | None = None,
    ties: str = "first",
) -> int:
    """Micro-units by which a property fails in one market, 0 where it holds; what expressions of counterexamples call.

    Args:
        prop, mechanism: objects or names.
        values, costs, capacities, feasible, owners: the true market, as in `Market`; `owners` are its bidders.
        bidder, misreport: who misreports, and the (K, M) reported values; for properties of one bidder's misreport.
        deviation: any other deviation, in place of `bidder` and `misreport`.
        lie: what version 0.1.0 called `misreport`.
        allocator: as in `audit`.
        ties: as in `Grid`.

    Example:
        >>> violation("truthful", "pay-as-bid", values=[[2]], costs=[[0]], capacities=[1], bidder=0, misreport=[[1]])
        1
    """
    rows = lie if misreport is None else misreport
    found = Counterexample.of(
        find_property(prop) if isinstance(prop, str) else prop,
        Subject.of(mechanism, allocator).mechanism,
        Market(values, costs, capacities, feasible, owners),
        deviation if bidder is None or rows is None else Misreport.of(bidder, rows),
        ties,
    )
    return 0 if found is None else found.amount


def _parameters(prop: Property) -> dict[str, object]:
    if not dataclasses.is_dataclass(prop):
        return {}
    return {field.name: plain(getattr(prop, field.name)) for field in dataclasses.fields(prop) if field.init}


def _answer(data: dict[str, list[int]]) -> Answer:
    return Answer(tuple(data["agents"]), tuple(data["charges"]), tuple(data["receipts"]))


def _owned(market: Market) -> str:
    return "" if market.players == tuple(range(market.shape[0])) else f", requests owned by {market.bidders.tolist()}"


def _answers(found: Counterexample) -> Marked:
    """What becomes of each request when everybody is honest, and when somebody deviates."""
    honest, other, truth = found.honest, found.deviating, found.truth
    agents = ["unserved" if agent == UNSERVED else f"agent {agent}" for agent in honest.agents]
    heads = ["", "", "honest", "charge"]
    rows: list[list[object]] = [
        [f"request {i}", f"bidder {truth.bidders[i]}", agents[i], f"{honest.charges[i]:,}"] for i in range(len(agents))
    ]
    if other is None:
        return html_table(heads, rows, "What the mechanism answered")
    for i, row in enumerate(rows):
        there = i < len(other.agents)
        row.append("gone" if not there else "unserved" if other.agents[i] == UNSERVED else f"agent {other.agents[i]}")
        row.append(f"{other.charges[i]:,}" if there else "")
    said = "What the mechanism answered"
    if isinstance(found.misreport, Misreport):
        reported = "; ".join(", ".join(map(str, values)) for values in found.misreport.rows)
        said += f"; the deviation: bidder {found.misreport.bidder} reports {reported}"
    elif found.misreport is not None:
        said += f"; the deviation: {found.misreport}"
    return html_table([*heads, "deviating", "charge"], rows, said)
