"""Which outcomes of a market a claim speaks of, by how it treats ties: `first`, `all` or `refuse`.

A mechanism that ties stands for many deterministic ones: a *selection* picks one tied outcome in every market, in each
independently of all others.

- `first` speaks of one selection, the mechanism as it runs.
- `all` speaks of every selection. A property of outcomes must hold at every tied outcome. Of a misreport, every tied
  outcome of the truth is held against every tied outcome of the misreport, so that honesty at its worst meets the
  misreport at its best. Several outcomes of one and the same report are no misreport: no selection has two of them.
- `refuse` speaks only of markets with a single outcome: the others are left out, as truths and as misreports. So it
  says less than `first`, which says less than `all`.

What a payment rule asks of its allocator on the way, the allocation without a bidder say, is not selected: there it
gets what `allocate` answers. That is part of the printed claim.
"""

from collections.abc import Mapping
from types import MappingProxyType

from allocation import Market, TieError, stands_for
from mechanisms import DirectMechanism, IrresoluteMechanism, Outcome
from proofs.errors import AuditError
from proofs.subject.subject import checked, outcome_of

#: How ties are treated, and how a scope says so.
TIES: Mapping[str, str] = MappingProxyType(
    {
        "first": "ties as the allocator breaks them (first)",
        "all": "ties broken in every way (all), and as the allocator does where a payment rule runs it again",
        "refuse": "markets with ties left out (refuse), save where a payment rule runs the allocator again",
    }
)


def tie_treatment(ties: object) -> str:
    """`ties`, where it is one of `TIES`.

    Raises:
        AuditError: it is not.
    """
    if not isinstance(ties, str) or ties not in TIES:
        raise AuditError(f"ties = {ties!r}; expected one of {', '.join(TIES)}")
    return ties


def outcomes_of(mechanism: DirectMechanism, market: Market, ties: str = "first") -> tuple[Outcome, ...]:
    """The outcomes of a market that a claim speaks of, each once; that of `run` first. None where ties are refused.

    Raises:
        AuditError: `ties` is none of `TIES`, the mechanism does not say what its ties are, or misbehaves.
        Exception: whatever the mechanism raises, with a note that shows the market.
    """
    if tie_treatment(ties) == "first":
        return (outcome_of(mechanism, market),)
    tied = _tied(mechanism, market)
    return tied if ties == "all" or len(tied) == 1 else ()


def _tied(mechanism: DirectMechanism, market: Market) -> tuple[Outcome, ...]:
    name = type(mechanism).__name__
    if not (isinstance(mechanism, IrresoluteMechanism) and stands_for(mechanism, "outcomes", "run")):
        raise AuditError(
            f"{name} does not say how it might have broken ties; give it a method outcomes(market) that returns every "
            "outcome that some tie-break would give, the one of run(market) first, or audit it with ties='first'"
        )
    try:
        found = mechanism.outcomes(market)
    except TieError as error:
        raise AuditError(f"{error}; or audit with ties='first'") from error
    except Exception as error:
        error.add_note(f"while {name} listed its outcomes on {market}")
        raise
    distinct: dict[tuple[bytes, ...], Outcome] = {}
    for outcome in found:
        owed = checked(mechanism, outcome, market)
        distinct.setdefault(_decided(owed), owed)
    if not distinct:
        raise AuditError(f"{name} lists no outcome of {market}; expected that of run(market) at least")
    return tuple(distinct.values())


def _decided(outcome: Outcome) -> tuple[bytes, ...]:
    payments = outcome.payments
    return outcome.allocation.agents.tobytes(), payments.charges.tobytes(), payments.receipts.tobytes()
