"""A request served whole by a server: `generate` in terms of `open`."""

from collections.abc import Callable
from math import inf

from runtime.engines.call import Call, Usage, collect
from runtime.engines.openai.connection import Connection
from runtime.engines.openai.refusals import of_one_attempt
from runtime.engines.request import Completion, Request
from runtime.errors import Broken, Refused, RequestError


async def attempt(
    connection: Connection, call: Call, first_token: Callable[[], None] | None = None, deadline: float = inf
) -> tuple[Completion, Usage | None]:
    """What was served and how it was counted; as nothing of it was handed on, what broke may be tried elsewhere.

    Raises:
        RequestError, ModelError, EngineError: never `Broken`.
    """
    try:
        answer = await connection.open(call, deadline)
        return await collect(answer, first_token), answer.usage
    except (Broken, Refused) as error:
        raise of_one_attempt(connection.url, error) from error


def check_request(request: Request) -> None:
    """Refuse what no server need be asked.

    Raises:
        RequestError: no messages, or no token is asked for.
    """
    if not request.messages:
        raise RequestError(f"request {request.id!r} has no messages")
    if request.max_tokens < 1:
        raise RequestError(f"request {request.id!r} asks for {request.max_tokens} tokens; ask for at least 1")
