"""The admin API: accounts, keys and balances over HTTP, on a port of its own, under a key of its own.

    GET  /iemas/admin/v1/balances, /accounts, /keys, /accounts/NAME/statement
    POST /iemas/admin/v1/accounts                  {"name", "limit", "preferences"}
    POST /iemas/admin/v1/accounts/NAME/credit      {"amount", "reference", "note"}
    POST /iemas/admin/v1/accounts/NAME/limit       {"limit"}
    POST /iemas/admin/v1/accounts/NAME/preferences {...}
    POST /iemas/admin/v1/accounts/NAME/keys        {"name", "requests_minute", ...}
    POST /iemas/admin/v1/keys/NAME/revoke

Amounts are whole micro-units. Nothing of it is on the clients' port, and no client's key opens it.
"""

import asyncio
import hmac
import json
import re
import socket
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import uvicorn
from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from runtime.accounts.holders import LIMITS, Holders
from runtime.accounts.names import digest_of
from runtime.errors import LedgerBusyError, LedgerError, ServingError
from runtime.gateway.door.connections import TimedProtocol
from runtime.gateway.door.door import given_key
from runtime.gateway.fleet.config import Bid
from runtime.gateway.openapi.operators import operators_document
from runtime.gateway.problems import (
    Problem,
    invalid,
    no_room,
    problem_of,
    too_large,
    unauthorised,
    unknown_path,
    wrong_method,
)

_ROOT = "/iemas/admin/v1"
_BODY_BYTES = 64 << 10
#: Characters of a name, a reference or a note.
_MOST_TEXT = 200
#: What books cannot hold: NUL, and halves of surrogate pairs.
_NO_TEXT = re.compile("[\0\ud800-\udfff]")
_BODY_S = 30.0


class Office:
    """The application, and the server that it runs on.

    Args:
        holders: whom it administers.
        key: what opens it.
        host, port: where it listens.

    Raises:
        ServingError: the address is taken, or none of this machine's.
    """

    def __init__(self, holders: Holders, key: str, host: str = "127.0.0.1", port: int = 0) -> None:
        self._holders, self._digest = holders, digest_of(key)
        try:
            self._bound = socket.create_server((host, port))
        except OSError as error:
            raise ServingError(
                f"cannot listen on {host} port {port} ({error.strerror}); name another [server] admin port"
            ) from None
        routes = [
            Route("/openapi.json", self._get(lambda request: operators_document(_ROOT, LIMITS, _MOST_TEXT))),
            Route(_ROOT + "/balances", self._get(lambda request: holders.balances())),
            Route(_ROOT + "/accounts", self._get(lambda request: holders.accounts())),
            Route(_ROOT + "/accounts", self._post(self._make_account), methods=["POST"]),
            Route(_ROOT + "/accounts/{name}/statement", self._get(lambda request: holders.statement(_name(request)))),
            Route(_ROOT + "/accounts/{name}/credit", self._post(self._credit), methods=["POST"]),
            Route(_ROOT + "/accounts/{name}/limit", self._post(self._limit), methods=["POST"]),
            Route(_ROOT + "/accounts/{name}/preferences", self._post(self._prefer), methods=["POST"]),
            Route(_ROOT + "/accounts/{name}/keys", self._post(self._make_key), methods=["POST"]),
            Route(_ROOT + "/keys", self._get(lambda request: holders.keys(request.query_params.get("account")))),
            Route(
                _ROOT + "/keys/{name}/revoke",
                self._post(lambda request, body: holders.revoke(_name(request))),
                methods=["POST"],
            ),
        ]
        self.app = Starlette(routes=routes, exception_handlers={HTTPException: _no_route, Exception: _failed})

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._bound.getsockname()[1])

    async def tend(self) -> None:
        """Serve until cancelled."""
        config = uvicorn.Config(
            self.app,
            lifespan="off",
            http=TimedProtocol,
            log_config=None,
            access_log=False,
            ws="none",
            proxy_headers=False,
            server_header=False,
        )
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server._serve([self._bound]), name="office")
        try:
            await asyncio.shield(serving)
        finally:
            server.should_exit = server.force_exit = True
            await asyncio.gather(serving, return_exceptions=True)
            self._bound.close()

    def close(self) -> None:
        """Listen no more."""
        self._bound.close()
        self._holders.close()

    def _get(self, act: Callable[[Request], Any]) -> Callable[[Request], Any]:
        return partial(self._answer, act)

    def _post(self, act: Callable[[Request, dict[str, Any]], Any]) -> Callable[[Request], Any]:
        async def answer(request: Request) -> Response:
            return await self._answer(lambda request: partial(_body, request), request, act)

        return answer

    async def _answer(
        self,
        act: Callable[[Request], Any],
        request: Request,
        with_body: Callable[[Request, dict[str, Any]], Any] | None = None,
    ) -> Response:
        try:
            given = given_key(list(request.headers.items()))
            if not hmac.compare_digest(digest_of(given), self._digest):
                raise unauthorised("no valid admin key; send it as `Authorization: Bearer KEY`")
            if with_body is None:
                told = await asyncio.to_thread(act, request)
            else:
                told = await asyncio.to_thread(with_body, request, await act(request)())
        except Problem as problem:
            return _told(problem)
        except LedgerBusyError:
            return _told(no_room("the books cannot be used just now"))
        except LedgerError as error:
            return _told(Problem(409, str(error), "conflict"))
        return JSONResponse(told)

    def _make_account(self, request: Request, body: dict[str, Any]) -> Any:
        _only(body, "name", "limit", "preferences")
        preferences = _figures(body.get("preferences") or {})
        return self._holders.create_account(_text(body, "name"), limit=_limit(body, 0), preferences=preferences)

    def _credit(self, request: Request, body: dict[str, Any]) -> Any:
        _only(body, "amount", "reference", "note")
        amount = body.get("amount")
        if not isinstance(amount, int) or isinstance(amount, bool) or abs(amount) > 1 << 60:
            raise invalid("amount: give whole micro-units", "amount")
        reference, note = (None if body.get(name) is None else _text(body, name) for name in ("reference", "note"))
        return self._holders.credit(_name(request), amount, reference=reference, note=note)

    def _limit(self, request: Request, body: dict[str, Any]) -> Any:
        _only(body, "limit")
        if "limit" not in body:
            raise invalid("limit: missing; give whole micro-units, or null for no limit", "limit")
        return self._holders.limit(_name(request), _limit(body, 0))

    def _prefer(self, request: Request, body: dict[str, Any]) -> Any:
        return self._holders.prefer(_name(request), _figures(body))

    def _make_key(self, request: Request, body: dict[str, Any]) -> Any:
        _only(body, "name", *LIMITS)
        limits = {name: _count(body, name, int(name != "spend_day")) for name in LIMITS}
        name = None if body.get("name") is None else _text(body, "name")
        key, made = self._holders.create_key(_name(request), name, **limits)
        return {"key": key, **made}


async def _body(request: Request) -> dict[str, Any]:
    """The whole body, an object; not a byte more is kept than is taken.

    Raises:
        Problem: 400, 408, 413.
    """
    pieces, size = [], 0
    try:
        async with asyncio.timeout(_BODY_S):
            async for piece in request.stream():
                size += len(piece)
                if size > _BODY_BYTES:
                    raise too_large(_BODY_BYTES)
                pieces.append(piece)
    except TimeoutError:
        raise Problem(408, f"the body did not come within {_BODY_S:g} s", "body_too_slow") from None
    except ClientDisconnect:
        raise Problem(400, "the client hung up before the body's end", "incomplete_body") from None
    try:
        told = json.loads(b"".join(pieces) or b"{}", object_pairs_hook=_once)
    except (ValueError, RecursionError):
        told = None
    if not isinstance(told, dict):
        raise invalid("send the body as a JSON object")
    return told


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object: of two members of one name nobody could say which was meant.

    Raises:
        Problem: 400, there are such.
    """
    found = dict(pairs)
    if len(found) < len(pairs):
        raise invalid("the body names a member twice; name it once", code="duplicate_member")
    return found


def _no_route(request: Request, error: Exception) -> Response:
    allowed = (getattr(error, "headers", None) or {}).get("Allow")
    return _told(unknown_path(request.url.path[:200]) if allowed is None else wrong_method(request.method, allowed))


def _failed(request: Request, error: Exception) -> Response:
    """What nobody thought of: the server logs it, and whoever asked is told as little as of any error of ours."""
    return _told(problem_of(error))


def _told(problem: Problem) -> Response:
    answer = problem.response()
    headers = {name.decode("latin-1"): text.decode("latin-1") for name, text in answer.headers}
    return Response(answer.body, answer.status, headers)


def _name(request: Request) -> str:
    return str(request.path_params["name"])


def _only(body: Mapping[str, Any], *names: str) -> None:
    for name in body:
        if name not in names:
            raise invalid(f"{name[:40]}: no such member; there are {', '.join(names)}", name[:40])


def _text(body: Mapping[str, Any], name: str) -> str:
    text = body.get(name)
    if not isinstance(text, str) or not 0 < len(text) <= _MOST_TEXT or _NO_TEXT.search(text):
        raise invalid(f"{name}: give a text of at most {_MOST_TEXT} characters", name)
    return text


def _count(body: Mapping[str, Any], name: str, least: int) -> int | None:
    count = body.get(name)
    if count is not None and (not isinstance(count, int) or isinstance(count, bool) or not least <= count < 1 << 60):
        raise invalid(f"{name}: give a whole number from {least} on, or null for no limit", name)
    return count


def _limit(body: Mapping[str, Any], default: int) -> int | None:
    return _count(body, "limit", 0) if "limit" in body else default


def _figures(body: Any) -> dict[str, float]:
    try:
        return Bid.model_validate(body).figures()
    except ValidationError as error:
        raise invalid(f"preferences: {error.errors()[0]['msg']}", "preferences") from None
