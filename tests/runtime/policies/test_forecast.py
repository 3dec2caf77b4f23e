"""A model of quality may be anybody's: what it says is looked at before anything is made of it."""

from typing import Any

import numpy as np
import pytest

from runtime import ServingError
from runtime.policies.forecast import Forecaster
from tests.runtime.policies.test_paper import agent, fleet, offer


class Says:
    """Foretells whatever it was given."""

    def __init__(self, said: Any) -> None:
        self.said = said

    def predict(self, offers: Any) -> Any:
        return self.said

    def doubt(self) -> Any:
        return np.zeros(2)

    def learn(self, offer: Any, agent: int, right: bool | None) -> None:
        """Nothing."""


@pytest.mark.parametrize(
    "said, words",
    [
        (np.full((1, 3), 0.5), r"shape \(1, 3\); expected \(1, 2\)"),
        (np.full(2, 0.5), r"shape \(2,\); expected \(1, 2\)"),
        ([[0.5, np.nan]], "nan for request 0 on agent b"),
        ([[1.5, 0.5]], "1.5 for request 0 on agent a"),
        ([[-1e-9, 0.5]], "on agent a"),
        ([["good", "bad"]], "expected chances"),
        (None, "Says.predict"),
    ],
)
def test_what_are_no_chances_of_each_request_on_each_agent_is_refused_by_name(said: Any, words: str) -> None:
    forecaster, agents = Forecaster(lambda agents: Says(said)), [agent("a"), agent("b")]
    forecaster.attach(agents)
    with pytest.raises(ServingError, match=words):
        forecaster.look([offer("r", "who?")], fleet(agents))


def test_chances_of_any_type_are_taken() -> None:
    forecaster, agents = Forecaster(lambda agents: Says([[1, 0]])), [agent("a"), agent("b")]
    forecaster.attach(agents)
    assert forecaster.look([offer("r", "who?")], fleet(agents)).quality.tolist() == [[1.0, 0.0]]


def test_a_model_that_lacks_a_method_is_refused_before_anything_is_served() -> None:
    class Half:
        predict = learn = Says.learn

    with pytest.raises(ServingError, match="Half is no model of quality: it has no doubt"):
        Forecaster(lambda agents: Half()).attach([agent("a")])  # type: ignore[arg-type, return-value]
