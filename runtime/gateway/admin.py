"""What an operator may look at, beside the data path: a Starlette application that a `Gateway` hands its paths to.

    GET /metrics

Without `[[keys]]` the gateway listens to its own machine alone, and so does this, whatever a page in a browser there
says of its own name; with keys, any of them is needed.
"""

from ipaddress import ip_address

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from runtime.gateway.problems import Problem
from runtime.metrics.exposition import CONTENT_TYPE, exposition
from runtime.metrics.tally import Tally


class Admin:
    """The application.

    Args:
        tally: what is shown.
    """

    def __init__(self, tally: Tally) -> None:
        self._tally = tally
        routes: list[BaseRoute] = [Route("/metrics", self._metrics)]
        self.paths = frozenset(route.path for route in routes if isinstance(route, Route))
        self._app = Starlette(routes=routes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI, for `paths` alone."""
        await self._app(scope, receive, send)

    def stop(self) -> None:
        """Let nobody wait here for what the gateway does next: it is being stopped."""

    async def _metrics(self, request: Request) -> Response:
        return Response(exposition(self._tally), headers={"content-type": CONTENT_TYPE})


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
