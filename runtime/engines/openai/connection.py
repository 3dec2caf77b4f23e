"""A server's address and its pooled connections; whatever goes wrong there is a typed error.

The pool is aiohttp's. Nothing is followed that a server might send us to, no proxy or password is taken from the
environment, no cookie is kept: what one bidder's answer sets must not travel with another's call.
"""

import asyncio
import json
from collections.abc import Mapping
from math import inf
from typing import Any, NoReturn
from urllib.parse import urlsplit

import aiohttp

from runtime.engines.call import Call
from runtime.engines.openai.answer import Limits, OpenAIAnswer
from runtime.engines.openai.refusals import refusal
from runtime.errors import EngineError, RequestError, Unreachable

#: vLLM's server hangs up after 5 idle seconds; a connection kept longer may be closed as it is used.
_KEEP_S = 2.0
_ERROR_BYTES = 1 << 20
_ERROR_S = 5.0
_PAGE_BYTES = 64 << 20
#: Ours to set, or of one connection alone (RFC 9110, section 7.6.1).
_NOT_PASSED_ON = frozenset(
    {
        *("accept-encoding", "authorization", "connection", "content-encoding", "content-length", "content-type"),
        *("cookie", "expect", "host", "keep-alive", "proxy-authorization", "proxy-connection", "te", "trailer"),
        *("transfer-encoding", "upgrade"),
    }
)


class Connection:
    """One server. `in_flight` counts the calls it has that are neither done nor hung up on.

    It belongs to the event loop that used it first.

    Raises:
        EngineError: what was given is no address, or no key.
    """

    def __init__(self, url: str, api_key: str | None = None, limits: Limits | None = None) -> None:
        self.url = url.rstrip("/").removesuffix("/v1")
        self.limits = limits or Limits()
        self.in_flight = 0
        _check_address(url)
        if api_key is not None and not (api_key.isascii() and api_key.isprintable()):
            raise EngineError(f"the API key for {self.url} holds characters that no header can carry; copy it again")
        self._headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """Close all connections; answers under way break off."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def open(self, call: Call, deadline: float = inf) -> OpenAIAnswer:
        """Send a call; returns once the server's headers are there.

        Raises:
            Refused: with the server's words.
            Busy: the server takes no more for now.
            Unreachable: nobody listens.
            EngineError: the server failed, hung up, was silent for too long, or answered with something else.
        """
        loop = asyncio.get_running_loop()
        began = loop.time()
        until = min(deadline, began + self.limits.total_s)
        # Headers of one body come with it.
        quiet = self.limits.first_token_s
        where = self.url + call.path
        self.in_flight += 1
        response = None
        try:
            async with asyncio.timeout_at(min(until, began + quiet)):
                response = await self._send("POST", call.path, call.body, _passed_on(call.headers))
                if not 200 <= response.status < 300:
                    raise refusal(self.url, response.status, await _words(response), response.headers)
            wanted = "text/event-stream" if call.view.stream else "application/json"
            if response.headers.get("Content-Type") and response.content_type != wanted:
                raise EngineError(f"{where} answered with nonsense ({response.content_type!r} instead of {wanted!r})")
            return OpenAIAnswer(response, call, where, self.limits, began, until, self._free)
        except BaseException as error:
            if response is not None:
                response.close()
            self._free()
            if isinstance(error, aiohttp.ClientError):
                self._fail(error)
            if isinstance(error, TimeoutError):
                seconds = loop.time() - began
                raise EngineError(f"{where} had not begun to answer {seconds:.1f} s after it was asked") from None
            raise

    async def fetch(self, method: str, path: str, question: object = None, within_s: float | None = None) -> bytes:
        """A page, whole.

        Raises:
            Refused, EngineError: as `open` does.
        """
        body = None if question is None else json.dumps(question, ensure_ascii=False).encode()
        response = None
        try:
            async with asyncio.timeout(self.limits.first_token_s if within_s is None else within_s):
                response = await self._send(method, path, body, {})
                if not 200 <= response.status < 300:
                    raise refusal(self.url, response.status, await _words(response), response.headers)
                page = bytearray()
                while piece := await response.content.readany():
                    page += piece
                    if len(page) > _PAGE_BYTES:
                        raise EngineError(f"{self.url}{path} answered with nonsense (more than {_PAGE_BYTES} bytes)")
                return bytes(page)
        except aiohttp.ClientError as error:
            self._fail(error)
        except TimeoutError:
            raise EngineError(f"{self.url}{path} has not answered in time") from None
        finally:
            if response is not None:
                response.close()

    async def status(self, path: str, within_s: float) -> int:
        """The status that a page is answered with, whatever it is; nothing is followed.

        Raises:
            EngineError: there is no answer, or none in time.
        """
        try:
            async with asyncio.timeout(within_s):
                response = await self._send("GET", path, None, {})
                response.close()
                return response.status
        except aiohttp.ClientError as error:
            self._fail(error)
        except TimeoutError:
            raise EngineError(f"{self.url}{path} has not answered in time") from None

    async def fetch_object(self, method: str, path: str, question: object = None) -> dict[str, Any]:
        """A page that is a JSON object; other errors as `fetch`.

        Raises:
            EngineError: it is none.
        """
        page = await self.fetch(method, path, question)
        try:
            answer = json.loads(page)
        except (ValueError, RecursionError):
            raise self.nonsense(path, "no JSON") from None
        if not isinstance(answer, dict):
            raise self.nonsense(path, "no JSON object")
        return answer

    def nonsense(self, path: str, what: str) -> EngineError:
        """The error that says so."""
        return EngineError(f"{self.url}{path} answered with nonsense ({what})")

    def _free(self) -> None:
        self.in_flight -= 1

    async def _send(
        self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]
    ) -> aiohttp.ClientResponse:
        kind = {} if body is None else {"Content-Type": "application/json"}
        return await self._pool().request(
            method, self.url + path, data=body, headers={**headers, **kind}, allow_redirects=False
        )

    def _pool(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=_KEEP_S),
                # Compressed events would wait for one another.
                headers={**self._headers, "Accept-Encoding": "identity"},
                timeout=aiohttp.ClientTimeout(
                    total=None, connect=self.limits.connect_s, sock_connect=self.limits.connect_s
                ),
                cookie_jar=aiohttp.DummyCookieJar(),
                trust_env=False,
            )
        return self._session

    def _fail(self, error: aiohttp.ClientError) -> NoReturn:
        cause = f"{type(error).__name__}: {error}"
        if isinstance(error, aiohttp.InvalidURL):
            raise EngineError(f"{self.url!r} is no address ({cause}); write it as http://host:port") from error
        if isinstance(error, aiohttp.ClientResponseError):
            raise self.nonsense("", f"{type(error).__name__}: {error.message[:80]!r}") from error
        connecting = isinstance(error, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError)
        words = f"{self.url} cannot be reached ({cause}); is the server running?"
        raise (Unreachable(words, sent=False) if connecting else EngineError(words)) from error


async def _words(response: aiohttp.ClientResponse) -> bytes:
    """What a server says beside a status of failure, as far as it comes soon and is of a size to be passed on."""
    words = bytearray()
    try:
        async with asyncio.timeout(_ERROR_S):
            while len(words) <= _ERROR_BYTES and (piece := await response.content.readany()):
                words += piece
    except (aiohttp.ClientError, TimeoutError):
        return b""
    finally:
        response.close()
    return bytes(words) if len(words) <= _ERROR_BYTES else b""


def _passed_on(headers: Mapping[bytes, bytes]) -> dict[str, str]:
    passed = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in headers.items()}
    if any(set("\r\n\0") & set(name + value) for name, value in passed.items()):
        raise RequestError("a header holds the end of a line")
    return {name: value for name, value in passed.items() if name not in _NOT_PASSED_ON}


def _check_address(url: str) -> None:
    try:
        parts = urlsplit(url)
        whole = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError as error:
        raise EngineError(f"{url!r} is no address ({error}); write it as http://host:port") from None
    if not whole:
        raise EngineError(f"{url!r} is no address; write it as http://host:port")
