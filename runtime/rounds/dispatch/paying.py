"""What a request that was served costs whom, and whether its engine read what was foretold."""

import asyncio
import logging
from collections.abc import Callable, Sequence

from allocation import to_micros
from mechanisms.settlement import Settlement
from runtime.accounts.settling import settled
from runtime.engines.engine import Completion, Request
from runtime.events import Offer, Served
from runtime.policies.policy import Agent
from runtime.rounds.requests.waiting import Placed

_log = logging.getLogger(__name__)

#: Grades an answer in [0, 1], or None where there is nothing to grade it by.
Grade = Callable[[Request, str], float | None]


class Paying:
    """Turns what an auction decided and an engine measured into money.

    Args:
        agents: whose prices hold; more may join.
        settlement: final charges and receipts.
        grade: of answers.
    """

    def __init__(self, agents: Sequence[Agent], settlement: Settlement, grade: Grade) -> None:
        self._agents, self._settlement, self._grade = agents, settlement, grade

    def served(self, placed: Placed, completion: Completion) -> Served:
        """A request that was served, and what it costs whom."""
        request = placed.waiting.offer.request
        quality = None if placed.live is not None else self._grade(request, completion.text)
        charge, micros, receipt = self.settled(placed, completion, quality)
        assert placed.sent_s is not None
        return Served(
            at_s=asyncio.get_running_loop().time(),
            offer=placed.waiting.offer,
            agent=placed.agent,
            completion=completion,
            decided_s=placed.decided_s,
            dispatched_s=placed.sent_s,
            charge=charge,
            cost=micros,
            receipt=receipt,
            quality=quality,
            predicted=placed.predicted,
            note=placed.note,
            round=placed.round,
        )

    def settled(self, placed: Placed, completion: Completion, quality: float | None = None) -> tuple[int, int, int]:
        """Charge, measured cost and receipt, in micro-units."""
        prices = self._agents[placed.agent].prices
        cost = prices.cost(completion.prompt_tokens, completion.cached_tokens, completion.output_tokens)
        micros = int(to_micros(cost, name="measured cost"))
        if placed.predicted is None:
            return placed.charge, micros, micros
        charge, receipt = settled(
            self._settlement,
            charge=placed.charge,
            predicted=int(to_micros(placed.predicted.cost, name="predicted cost")),
            measured=micros,
            chance=placed.predicted.quality,
            quality=quality,
        )
        return charge, micros, receipt

    def final(self, placed: Placed, completion: Completion) -> tuple[int, int]:
        """Final charge and measured cost, in micro-units."""
        charge, cost, _ = self.settled(placed, completion)
        return charge, cost


def compare_tokens(name: str, offer: Offer, served: Served, mistokenised: dict[str, int]) -> None:
    """Notice a tokenizer that is not the server's: what it says of a prompt's prefix, no cache will hold.

    `mistokenised` counts by engine; of an engine's first it is logged.
    """
    said, seen = offer.tokens[served.agent], served.completion.token_ids[: served.completion.prompt_tokens]
    if not seen or said == seen:
        return
    mistokenised[name] = count = mistokenised.get(name, 0) + 1
    if count == 1:
        _log.warning(
            "engine %s served request %s as %d prompt tokens, not as the %d it had tokenised: cache hits cannot be "
            "predicted there; look at its chat template",
            name,
            served.request.id,
            len(seen),
            len(said),
        )
