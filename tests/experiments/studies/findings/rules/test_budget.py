"""Wrong predictions and who bears them: the auctioneer on prediction, nobody else's surplus on measurement."""

import numpy as np
import pytest

from experiments.errors import StudyError
from experiments.studies.findings.rules.budget import ERRORS, SETTLEMENTS, Part, answer, budget, run
from experiments.studies.findings.rules.served import World

SMALL = World(copies=1, rate=20.0, bidders=3, dialogues=3, turns=2)


def test_a_budget_covers_all_but_one_in_twenty_sequences() -> None:
    assert budget([-0.5], 4) == 2.0
    assert budget([1.0], 4) == 0.0
    # Half the rounds lose one: 100 of them end 60 below zero less often than once in 20 times.
    assert 45.0 < budget([0.0, -1.0], 100) < 60.0
    # A loss before the gain counts, though the sum ends above zero.
    assert budget(np.array([-1.0, 5.0]), 2) == 2.0


def test_who_bears_what_is_as_each_settlement_says() -> None:
    found = answer(Part(0, SMALL, 20))
    assert set(found) == {(error, settlement) for error in ERRORS for settlement in SETTLEMENTS}
    for error in ERRORS:
        # Agents are paid what was measured, unless they bear it; the auction's own surplus is never below zero.
        assert found[error, "on-prediction"][1] == found[error, "on-measurement"][1] == 0.0
        assert found[error, "on-measurement"][0] >= 0.0 == found[error, "on-measurement"][4]
        assert found[error, "on-delivery"][0] >= 0.0 == found[error, "on-delivery"][4]
    cheap, shipped = (found[error, "on-prediction"] for error in ("cost x 0.7", "as shipped"))
    assert cheap[0] < shipped[0] and cheap[4] > 0.0


def test_bad_input_is_refused() -> None:
    with pytest.raises(StudyError, match="0 rounds"):
        run(seeds=[0], workers=0, progress=lambda done, total: None, horizon=0)
