"""`SumsLedger`: books that only add up, for simulations: the ledger's checks without its journals.

A simulated run asks nothing of its books afterwards but their sums, and a million of its requests need not be kept.
Money that is somebody's is never entered here: there are no accounts, no limits, no keys, and nothing survives.
"""

from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self

from runtime.accounts.ledger import MOST, Totals, not_held
from runtime.errors import LedgerError

#: Requests that were settled and are remembered, so that none of them is charged twice.
REMEMBERED = 100_000


class SumsLedger:
    """As `Ledger` for one run: a charge is held, then settled or released once, and the sums of what is settled kept.

    Args:
        remembered: settled requests of which a second charge is refused; the oldest are forgotten beyond.

    Example:
        >>> with SumsLedger() as ledger:
        ...     ledger.hold("r1", bidder="alice", agent="a", charge=5)
        ...     ledger.settle("r1", cost=3)
        ...     ledger.totals().surplus
        2
    """

    #: Nothing here waits for a disk or a network.
    waits = False

    def __init__(self, remembered: int = REMEMBERED) -> None:
        self._held: dict[str, tuple[str, int]] = {}
        self._settled: OrderedDict[str, None] = OrderedDict()
        self._remembered = remembered
        self._sums: dict[str, list[int]] = {}

    def hold(
        self, request: str, *, bidder: str, agent: str, charge: int, limit: int | None = None, key: str | None = None
    ) -> None:
        """Reserve a charge in micro-units for a request that is being dispatched.

        Raises:
            LedgerError: the request is held or settled already, the charge is beyond what can be summed, or there is a
                limit or a key, for which there are no accounts here.
        """
        charge = int(charge)
        if not -MOST <= charge <= MOST:
            raise LedgerError(f"the books cannot be written (a charge of {charge} micro-units is beyond them)")
        if limit is not None or key is not None:
            raise LedgerError(f"request {request} comes with a limit or a key; SumsLedger has no accounts, take Ledger")
        if request in self._held or request in self._settled:
            raise LedgerError(f"request {request} was charged before; a request id may be used once")
        self._held[request] = bidder, charge

    def settle(self, request: str, *, cost: int, charge: int | None = None, receipt: int | None = None) -> None:
        """Make a held charge final, with the measured cost of serving; all in micro-units.

        Args:
            request: whose charge is held.
            cost: what serving was measured to cost.
            charge: the final charge, if it differs from the one that is held.
            receipt: what the agent receives; default: the measured cost.

        Raises:
            LedgerError: no such charge is held, or an amount is beyond what can be summed.
        """
        bidder, held = self._found(request)
        final = (held if charge is None else int(charge), int(cost), int(cost if receipt is None else receipt))
        for amount in final:
            if not -MOST <= amount <= MOST:
                raise LedgerError(f"the books cannot be written ({amount} micro-units are beyond them)")
        del self._held[request]
        self._settled[request] = None
        if len(self._settled) > self._remembered:
            self._settled.popitem(last=False)
        sums = self._sums.setdefault(bidder, [0, 0, 0, 0])
        sums[0] += 1
        for k, amount in enumerate(final, 1):
            sums[k] += amount

    def release(self, request: str) -> None:
        """Cancel a held charge: the request was not served.

        Raises:
            LedgerError: no such charge is held.
        """
        self._found(request)
        del self._held[request]

    def keep(self, record: str, at_s: float) -> None:
        """Sums have no rounds.

        Raises:
            LedgerError: always.
        """
        raise LedgerError("SumsLedger keeps no rounds; take Ledger, whose rounds a referee can derive again")

    def totals(self, bidder: str | None = None) -> Totals:
        """Sums over what is settled, for one bidder or for all."""
        if bidder is not None:
            return Totals(*self._sums.get(bidder, (0, 0, 0, 0)))
        return Totals(*(sum(one[k] for one in self._sums.values()) for k in range(4)))

    def held(self) -> int:
        """How many charges are neither settled nor released."""
        return len(self._held)

    @contextmanager
    def together(self) -> Iterator[None]:
        """What is entered inside is there at once: nobody else could see half of it."""
        yield

    def close(self) -> None:
        """Nothing is open."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _found(self, request: str) -> tuple[str, int]:
        found = self._held.get(request)
        if found is None:
            raise not_held(request)
        return found
