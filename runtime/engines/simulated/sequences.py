"""What the simulated scheduler runs: a sequence that grows token by token."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from runtime.engines.request import Completion
from runtime.engines.simulated.block_cache import Holding
from runtime.engines.simulated.tokens import END

FirstToken = Callable[[], None]
#: Called with the moment at which a token was computed.
EachToken = Callable[[float], None]


@dataclass(slots=True, eq=False)
class RunningSequence:
    """A prompt and the tokens that are to follow it, as far as they were computed.

    `arrived` and `first_token` are moments on the loop's clock; `cached` is what its first admission found. `pieces`
    are the texts of the answer's tokens; `stopped` says that a text before which it was to end came.
    """

    prompt: tuple[int, ...]
    answer: tuple[int, ...]
    ticket: int
    arrived: float
    done: "asyncio.Future[Completion]"
    on_first_token: FirstToken | None = None
    on_token: EachToken | None = None
    salt: str = ""
    holding: Holding | None = None
    computed: int = 0
    produced: int = 0
    first_token: float = 0.0
    cached: int | None = None
    pieces: tuple[str, ...] = ()
    stopped: bool = False
    #: Nobody looks at it between its first token and its last.
    quiet: bool = False

    @property
    def end(self) -> str:
        """Why it ends."""
        return "stop" if self.stopped or self.answer[-1] == END else "length"

    @property
    def tokens(self) -> tuple[int, ...]:
        """All that there is of it so far."""
        return self.prompt + self.answer[: self.produced]

    @property
    def length(self) -> int:
        """How many tokens that are."""
        return len(self.prompt) + self.produced
