"""What no policy may decide."""

import numpy as np

from allocation import UNSERVED
from runtime.errors import ServingError
from runtime.policies.policy import WAITING, Decision


def check_decision(decision: Decision, offers: int, agents: int) -> None:
    """Refuse what no policy may decide, before anybody is told.

    Raises:
        ServingError: no decision, an array of another length, an agent that is none, or charges that are no money;
            only a mechanism's outcome may charge less than nothing, as one with rebates does.
    """
    if not isinstance(decision, Decision):
        raise ServingError(f"the policy decided {decision!r:.60}; expected a Decision")
    arrays = {"agents": decision.agents, "charges": decision.charges, "positions": decision.positions}
    for name, array in arrays.items():
        if array is not None and np.shape(array) != (offers,):
            raise ServingError(f"the policy's {name} have shape {np.shape(array)}; expected ({offers},)")
    for name, some in {"predicted": decision.predicted, "notes": decision.notes, "refusals": decision.refusals}.items():
        if len(some) not in (0, offers):
            raise ServingError(f"the policy gave {len(some)} {name}; expected {offers}, or none")
    chosen = np.asarray(decision.agents).tolist()
    if not all(isinstance(j, int) and (j in (WAITING, UNSERVED) or 0 <= j < agents) for j in chosen):
        raise ServingError(
            f"the policy chose agents {chosen} of {agents}; expected whole numbers below {agents}, UNSERVED or WAITING"
        )
    charges = np.asarray(decision.charges)
    if charges.dtype.kind not in "iu":
        raise ServingError(f"the policy's charges are {charges.tolist()} ({charges.dtype}); expected int64 micro-units")
    if decision.outcome is None and (charges < 0).any():
        raise ServingError(f"the policy's charges are {charges.tolist()}; expected 0 or more")
