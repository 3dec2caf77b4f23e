"""Small simulated fleets for tests."""

from collections.abc import Callable

from prediction import TokenPrices
from runtime import EngineShape, Message, Request, SimulatedEngine, StepTime

STEP = StepTime(0.01, 0.001, 0.0005, 0.0, 0.002, "a test's own figures", 0.0, 0.0)
PRICES = TokenPrices(fresh=0.001, cached=0.0001, output=0.002)


def engine(name: str = "a", reply: Callable[[Request], str] | None = None, **shape: int) -> SimulatedEngine:
    return SimulatedEngine(name, reply or (lambda request: "yes indeed"), STEP, EngineShape(**shape))


def request(name: str, *texts: str, bidder: str = "", max_tokens: int = 16) -> Request:
    """A conversation in which user and assistant speak in turn, beginning with the user."""
    roles = ("user", "assistant")
    messages = tuple(Message(roles[k % 2], text) for k, text in enumerate(texts))  # type: ignore[arg-type]
    return Request(name, bidder or name, messages, max_tokens)
