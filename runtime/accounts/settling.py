"""Final charge and receipt of one served request.

Requests of a round end at different times, and each is settled when it ends. So a settlement must look at one request
at a time; `ExecutionContingent`, whose receipts depend on a whole round, cannot serve here. Agents receive
amounts for the requests that they serve, one by one: a receipt beyond their predicted cost is left out.
"""

import numpy as np

from allocation import Allocation, Market
from mechanisms import Outcome, Payments
from mechanisms.settlement import CERTAIN, Execution, OnPrediction, Settlement
from prediction import RIGHT
from runtime.errors import EngineError


def require_per_request(settlement: Settlement) -> None:
    """Refuse settlements that need to see a whole round.

    Raises:
        EngineError: the settlement does not look at single requests (`per_request`).
    """
    if not getattr(settlement, "per_request", False):
        raise EngineError(
            f"{type(settlement).__name__} settles whole rounds, and requests of a round end at different times; take "
            "OnPrediction, OnMeasurement or OnDelivery (or one of yours with per_request = True)"
        )


def settled(
    settlement: Settlement, *, charge: int, predicted: int, measured: int, chance: float, quality: float | None
) -> tuple[int, int]:
    """(charge, receipt) in micro-units once a request was served.

    Args:
        settlement: looks at single requests.
        charge: what the auction decided.
        predicted, measured: cost of serving, in micro-units.
        chance: predicted probability that the answer is right.
        quality: as graded, right from `prediction.RIGHT` on; None where there was nothing to grade it by: then serving
            it was all there was to succeed in, and that was certain.
    """
    if type(settlement) is OnPrediction:
        # What it comes to, of one request.
        return charge, measured
    outcome = Outcome(
        Market([[0]], [[predicted]], [1]),
        Allocation(np.array([0])),
        Payments(np.array([charge]), np.array([predicted])),
    )
    odds = CERTAIN if quality is None else min(CERTAIN, max(1, round(chance * CERTAIN)))
    payments = settlement.settle(outcome, Execution([measured], [quality is None or quality >= RIGHT], [odds]))
    return int(payments.charges[0]), int(payments.receipts[0])
