"""The door: a request becomes an `Offer`, or is refused before it can meet anybody else's."""

from collections.abc import Sequence
from math import isinf

from allocation import MarketError
from mechanisms import Preferences
from runtime.engines.engine import Engine, EngineInfo, Request
from runtime.errors import EngineError, RequestError
from runtime.events import Offer

#: Seconds of delay that a report must be able to price: beyond, money would leave its range for everybody.
_PRICED_S = 60.0


async def admit(
    request: Request,
    preferences: Preferences,
    engines: Sequence[Engine],
    infos: Sequence[EngineInfo],
    alive: Sequence[bool],
    now_s: float,
) -> Offer:
    """Check a request and its report, and tokenise it as each agent would.

    Raises:
        RequestError: it is empty, longer than any context, or its report is beyond what money can say.
        EngineError: no engine of some vocabulary can tokenise.
    """
    longest = max(info.max_model_len for info in infos)
    if not request.messages or request.max_tokens < 1:
        raise RequestError(
            f"request {request.id} has {len(request.messages)} messages, max_tokens {request.max_tokens}; "
            "send at least one message and ask for at least one token"
        )
    if request.max_tokens > longest:
        raise RequestError(
            f"request {request.id} has max_tokens {request.max_tokens}; no engine's context holds more than {longest}"
        )
    _check_report(request, preferences)
    tokens = await _tokenise(request, engines, infos, alive)
    if not any(len(ids) < info.max_model_len for ids, info in zip(tokens, infos, strict=True)):
        raise RequestError(
            f"request {request.id} has {min(map(len, tokens))} prompt tokens; no engine takes more than {longest}"
        )
    turn = sum(message.role == "assistant" for message in request.messages)
    return Offer(request, preferences, tokens, turn, now_s)


def _check_report(request: Request, preferences: Preferences) -> None:
    if not isinstance(preferences, Preferences):
        raise RequestError(f"request {request.id} comes with {preferences!r}; expected Preferences")
    try:
        preferences.value([1.0, 0.0], [0.0, 0.0 if isinf(preferences.delay_cost) else _PRICED_S])
    except MarketError as error:
        raise RequestError(
            f"request {request.id} reports worth {preferences.worth:g} and delay cost {preferences.delay_cost:g} "
            f"credits: {error}"
        ) from None


async def _tokenise(
    request: Request, engines: Sequence[Engine], infos: Sequence[EngineInfo], alive: Sequence[bool]
) -> tuple[tuple[int, ...], ...]:
    """The prompt in each vocabulary, asked of the first of its engines that answers; living ones come first."""
    by_vocabulary: dict[str, tuple[int, ...]] = {}
    for vocabulary in dict.fromkeys(info.tokenizer for info in infos):
        members = [j for j, info in enumerate(infos) if info.tokenizer == vocabulary]
        errors = []
        for j in sorted(members, key=lambda j: not alive[j]):
            try:
                by_vocabulary[vocabulary] = await engines[j].tokenize(request.messages)
                break
            except EngineError as error:
                errors.append(f"{engines[j].name}: {error}")
        else:
            raise EngineError(f"nobody can tokenise request {request.id}: {'; '.join(errors)}")
    return tuple(by_vocabulary[info.tokenizer] for info in infos)
