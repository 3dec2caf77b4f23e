"""The door: a request becomes an `Offer`, or is refused before it can meet anybody else's."""

import asyncio
from collections.abc import Sequence

from allocation.money import MAX_AMOUNT, MICROS
from mechanisms import Preferences
from runtime.engines.engine import Engine, EngineInfo, Request
from runtime.errors import EngineError, ModelError, RequestError
from runtime.events import Offer
from runtime.rounds.requests.relay import Relayed

#: Seconds of delay that a report must be able to price: beyond, money would leave its range for everybody.
_PRICED_S = 3600.0
#: Credits that are well within money's range, three times over.
_PLAIN = MAX_AMOUNT / MICROS / 4
#: Seconds after which a replica that does not tokenise is passed over.
_TOKENISE_WITHIN_S = 10.0


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
        EngineError: no engine can tokenise.
    """
    longest = max(info.max_model_len for info in infos)
    if not request.messages or not _is_count(request.max_tokens):
        raise RequestError(
            f"request {request.id} has {len(request.messages)} messages, max_tokens {request.max_tokens!r}; "
            "send at least one message and ask for at least one token"
        )
    if request.max_tokens > longest:
        raise RequestError(
            f"request {request.id} has max_tokens {request.max_tokens}; no engine's context holds more than {longest}"
        )
    _check_report(request, preferences)
    tokens, silent = await _tokenise(request, engines, infos, alive)
    fits = [len(tokens[j]) < info.max_model_len for j, info in enumerate(infos) if j not in silent]
    if not any(fits):
        shortest = min(len(ids) for j, ids in enumerate(tokens) if j not in silent)
        raise RequestError(f"request {request.id} has {shortest} prompt tokens; no engine takes more than {longest}")
    turn = sum(message.role == "assistant" for message in request.messages)
    return Offer(request, preferences, tokens, turn, now_s, silent)


def admit_relayed(relayed: Relayed, preferences: Preferences, infos: Sequence[EngineInfo], now_s: float) -> Offer:
    """Check a request that is passed on, and its report; nobody is asked anything.

    Its pieces are not tokens: where they are more than any context that it may go to, the longest may still hold it.

    Raises:
        RequestError: it asks for more tokens than any context holds, or its report is beyond what money can say.
    """
    request = relayed.request
    longest = max(infos[j].max_model_len for j in relayed.agents)
    if request.max_tokens > longest:
        raise RequestError(
            f"max_tokens is {request.max_tokens}; no engine that could serve this holds more than {longest}"
        )
    _check_report(request, preferences)
    pieces, allowed = relayed.pieces[: longest - 1], frozenset(relayed.agents)
    barred = frozenset(j for j in range(len(infos)) if j not in allowed)
    return Offer(request, preferences, (pieces,) * len(infos), relayed.turn, now_s, barred)


def _plainly_priced(preferences: Preferences) -> bool:
    """Whether a report is finite floats that money can say with room to spare: then nothing else need be looked at."""
    worth, delay_cost, stake = preferences.worth, preferences.delay_cost, preferences.stake
    if not (type(worth) is type(delay_cost) is type(stake) is type(preferences.deadline) is float):
        return False
    return (
        0 <= worth <= _PLAIN
        and 0 <= stake <= _PLAIN
        and 0 <= delay_cost * _PRICED_S <= _PLAIN
        and preferences.deadline > 0
    )


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _check_report(request: Request, preferences: Preferences) -> None:
    """Refuse what `Preferences` would have refused, were it built as it should be, and what money cannot say."""
    if not isinstance(preferences, Preferences):
        raise RequestError(f"request {request.id} comes with {preferences!r}; expected Preferences")
    try:
        if type(preferences) is Preferences and _plainly_priced(preferences):
            return
        again = Preferences(preferences.worth, preferences.delay_cost, preferences.deadline, preferences.stake)
        for reported in (preferences, again):
            reported.value([1.0, 0.0, 1.0, 0.0], [0.0, 0.0, _PRICED_S, _PRICED_S])
    except Exception as error:
        raise RequestError(f"request {request.id} comes with a report that no auction can take: {error}") from error


async def _tokenise(
    request: Request, engines: Sequence[Engine], infos: Sequence[EngineInfo], alive: Sequence[bool]
) -> tuple[tuple[tuple[int, ...], ...], frozenset[int]]:
    """The prompt in each vocabulary, asked of the first of its engines that answers; living ones come first.

    Agents of a vocabulary that nobody could tell come second: they are not asked to serve this request.
    """
    by_vocabulary: dict[str, tuple[int, ...]] = {}
    errors: list[str] = []
    for vocabulary in dict.fromkeys([info.tokenizer for info in infos]):
        members = [j for j, info in enumerate(infos) if info.tokenizer == vocabulary]
        for j in sorted(members, key=lambda j: not alive[j]):
            try:
                async with asyncio.timeout(_TOKENISE_WITHIN_S):
                    by_vocabulary[vocabulary] = tuple(await engines[j].tokenize(request.messages))
                break
            except (EngineError, ModelError, TimeoutError) as error:
                errors.append(f"{engines[j].name}: {str(error) or 'no answer in time'}")
    if not by_vocabulary:
        raise EngineError(f"nobody can tokenise request {request.id}: {'; '.join(errors)}")
    tokens = tuple(by_vocabulary.get(info.tokenizer, ()) for info in infos)
    return tokens, frozenset(j for j, info in enumerate(infos) if info.tokenizer not in by_vocabulary)
