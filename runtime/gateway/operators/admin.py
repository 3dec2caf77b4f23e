"""What an operator may look at, beside the data path: a Starlette application that a `Gateway` hands its paths to.

    GET /metrics            for Prometheus
    GET /iemas/v1/events    what happens, as server-sent events
    GET /                   the same as a page, with its files under /iemas/page/

Without `[[keys]]` the gateway listens to its own machine alone, and so does this, whatever a page in a browser there
says of its own name; with keys, any of them is needed for all but the page's files, which hold no figure.
"""

import asyncio
from importlib.resources import files
from ipaddress import ip_address

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from runtime.gateway.problems import Problem, no_room
from runtime.metrics.exposition import CONTENT_TYPE, exposition
from runtime.metrics.feed import Feed, Listener
from runtime.metrics.tally import Tally

_PAGE = "/iemas/page/"
#: Of a scope: whose key opened it, where there are keys.
LISTENER = "iemas.bidder"
_KINDS = {
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "css": "text/css; charset=utf-8",
}
#: Nothing from anywhere else, and nothing written into the page runs.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)
_EVENT_STREAM = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"cache-control", b"no-store")]
#: Seconds to say goodbye to a listener who may not read any more.
_PARTING_S = 1.0


class Admin:
    """The application.

    Args:
        tally: what is shown.
    """

    def __init__(self, tally: Tally) -> None:
        self._tally = tally
        self.feed = Feed(tally)
        self._files = _page_files()
        names = {"/": "index.html"} | {_PAGE + name: name for name in self._files if name != "index.html"}
        routes = [
            Route("/metrics", self._metrics),
            Route("/iemas/v1/events", _Events(self.feed), methods=["GET"]),
            *(Route(path, self._file) for path in names),
        ]
        self._names = names
        #: All that is answered here, and what of it needs no key.
        self.paths = frozenset(route.path for route in routes)
        self.open = frozenset(names)
        self._app = Starlette(routes=routes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI, for `paths` alone."""
        await self._app(scope, receive, send)

    def stop(self) -> None:
        """Let nobody wait here for what the gateway does next: it is being stopped."""
        self.feed.stop()

    async def _metrics(self, request: Request) -> Response:
        return Response(exposition(self._tally), headers={"content-type": CONTENT_TYPE})

    async def _file(self, request: Request) -> Response:
        name = self._names[request.url.path]
        headers = {
            "content-type": _KINDS[name.rpartition(".")[2]],
            "cache-control": "no-cache",
            "content-security-policy": _POLICY,
            "x-content-type-options": "nosniff",
            "referrer-policy": "no-referrer",
        }
        return Response(self._files[name], headers=headers)


class _Events:
    """The feed over HTTP, for as long as somebody listens."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] == "HEAD":
            await send({"type": "http.response.start", "status": 200, "headers": _EVENT_STREAM})
            await send({"type": "http.response.body", "body": b""})
            return
        listener = self._feed.join(scope.get(LISTENER) or (scope.get("client") or ("",))[0])
        if listener is None:
            told = no_room("too many listen already, of yours or in all, or the gateway is being stopped").response()
            await send({"type": "http.response.start", "status": told.status, "headers": list(told.headers)})
            await send({"type": "http.response.body", "body": told.body})
            return
        tasks = [
            asyncio.ensure_future(some)
            for some in (_pass_on(listener, send), _hung_up(receive), listener.closed.wait())
        ]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._feed.leave(listener)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        if listener.closed.is_set():
            try:
                async with asyncio.timeout(_PARTING_S):
                    await send({"type": "http.response.body", "body": b""})
            except TimeoutError:
                # They do not read; the server hangs up.
                return


async def _pass_on(listener: Listener, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": _EVENT_STREAM})
    async for message in listener:
        await send({"type": "http.response.body", "body": message, "more_body": True})


async def _hung_up(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _page_files() -> dict[str, bytes]:
    """The page's files by name."""
    folder = files("runtime.gateway.operators") / "page"
    return {one.name: one.read_bytes() for one in folder.iterdir() if one.name.rpartition(".")[2] in _KINDS}


def check_local(scope: Scope, host: str) -> None:
    """For a gateway without keys: only this machine, under a name of this machine, may look.

    A page of somebody else's whose name was made to mean this machine asks from here too, but under that name.

    Args:
        host: where the file says that we listen.

    Raises:
        Problem: 403.
    """
    peer = (scope.get("client") or ("", 0))[0]
    name = next((text.decode("latin-1") for key, text in scope["headers"] if key.lower() == b"host"), "")
    if not _is_local(peer) or not (_is_local(_hostname(name)) or _hostname(name) == host.strip("[]").lower()):
        raise Problem(403, "without [[keys]] only this machine may look here, as localhost", "not_local")


def _hostname(text: str) -> str:
    """Of a Host header.

    Example:
        >>> _hostname("LOCALHOST:80"), _hostname("[::1]:80"), _hostname("::1")
        ('localhost', '::1', '::1')
    """
    text = text.strip().lower()
    if text.startswith("["):
        return text[1:].partition("]")[0]
    return text.partition(":")[0] if text.count(":") == 1 else text


def _is_local(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
