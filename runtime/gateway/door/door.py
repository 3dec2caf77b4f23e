"""Who comes in: a key becomes a bidder, a body within the operator's limits a request."""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from secrets import token_hex

from runtime.accounts.names import digest_of
from runtime.errors import ServingError
from runtime.gateway.door.clients import Client, found
from runtime.gateway.fleet.config import Fleet, Limits
from runtime.gateway.fleet.file import read_secret
from runtime.gateway.fleet.models import Models
from runtime.gateway.problems import insufficient_quota, invalid, queue_full, unauthorised
from runtime.gateway.requests.backend import Asked
from runtime.gateway.requests.preferences import Defaults, state
from runtime.gateway.requests.splice import Body, read, salted

EMBEDDINGS = "/v1/embeddings"
#: What agents serve.
SERVED = ("/v1/chat/completions", "/v1/completions", EMBEDDINGS)
#: Where what is asked lies, if not in `messages`.
ASKS = {"/v1/completions": "prompt", EMBEDDINGS: "input"}
#: The bidder of a gateway without keys, which listens to its own machine alone.
LOCAL = "local"
#: Headers of a client that an engine may see. Never the key, and nothing that could choose an engine.
_PASSED = frozenset(("traceparent", "tracestate", "user-agent"))

Headers = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Door:
    """What of a fleet is read anew for each request; another fleet is another door.

    Keys are kept as SHA-256 alone, and looked up by it: what is compared tells nothing about a key.
    """

    models: Models
    defaults: Defaults
    limits: Limits
    keys: Mapping[bytes, Client]
    refuse: tuple[str, ...] = ()
    #: Whether accounts share no cached prefixes.
    salts: bool = False

    @classmethod
    def of(cls, fleet: Fleet) -> "Door":
        """The door of a fleet; reads its clients' keys.

        Raises:
            ServingError: a key is not where the file says, or two entries hold the same.
        """
        keys: dict[bytes, Client] = {}
        for i, key in enumerate(fleet.keys):
            digest = digest_of(read_secret(key.key, f"keys[{i}].key"))
            if digest in keys:
                raise ServingError(f"keys[{i}].key: it is the key of {keys[digest].name} too; give one of its own")
            keys[digest] = Client(key.name, key.bidder, digest, key.preferences.figures())
        server = fleet.server
        models = Models.of(fleet, int(time.time()))
        return cls(models, fleet.defaults(), fleet.limits, keys, server.refuse, server.salt_accounts)

    def key(self, headers: Headers, stored: Mapping[bytes, Client] | None = None) -> Client | None:
        """Whose request it is; None where the gateway has no keys.

        Args:
            headers: of the request.
            stored: keys beside the file's; None where there are none to be.

        Raises:
            Problem: 401.
        """
        if not self.keys and stored is None:
            return None
        digest = digest_of(given_key(headers))
        client = found(self.keys, digest) or found(stored or {}, digest)
        if client is None:
            raise unauthorised()
        return client

    def published(self) -> bytes:
        """The body of GET /iemas/v1/defaults: what a request is worth here of which nobody says it."""
        said = {"preferences": dict(self.defaults.default), "service_tiers": dict(self.defaults.tiers)}
        return json.dumps(said, separators=(",", ":")).encode()

    def admit(self, path: str, headers: Headers, raw: bytes, key: Client | None) -> Asked:
        """A request, or why it is none.

        Raises:
            Problem: 400, 404, 413.
        """
        body = read(raw, limit=self.limits.body_bytes, asks=ASKS.get(path, "messages"))
        self._refuse(body)
        if body.generated * body.prompts > self.limits.choices:
            of = "n" if body.generated == body.n else "best_of"
            many = (
                f"{body.generated} answers to {body.prompts} prompts"
                if body.prompts > 1
                else f"{of} is {body.generated}"
            )
            raise invalid(f"{many}; at most {self.limits.choices} answers are given at once", of)
        embeds = path == EMBEDDINGS
        max_tokens = self.limits.default_max_tokens if body.max_tokens is None else body.max_tokens
        if max_tokens > self.limits.max_tokens and not embeds:
            raise invalid(f"max_tokens is {max_tokens}; ask for at most {self.limits.max_tokens}", "max_tokens")
        if body.min_tokens > max_tokens and not embeds:
            raise invalid(f"min_tokens is {body.min_tokens}; at most {max_tokens} are given (max_tokens)", "min_tokens")
        own = None if key is None else key.figures
        bidder = LOCAL if key is None else key.bidder
        if self.salts and not embeds:
            body = salted(body, bidder)
        return Asked(
            id=f"req-{token_hex(12)}",
            bidder=bidder,
            path=path,
            body=body,
            agents=self.models.resolve(body.model, "embed" if embeds else "generate"),
            stated=state(body.iemas, headers, body.service_tier, self.defaults, own),
            max_tokens=None if embeds else max_tokens,
            headers={name: text for name, text in headers if name in _PASSED},
            key=None if key is None or key.known is None else key.name,
            least_tokens=0 if embeds else max_tokens if body.ignore_eos else body.min_tokens,
        )

    def _refuse(self, body: Body) -> None:
        """What no client may use: a place in an engine's queue is what the auction gives, and nobody else."""
        if body.priority:
            raise invalid("priority is nothing that clients may choose; say what it is worth in `iemas`", "priority")
        for name in self.refuse:
            if name in body.given:
                raise invalid(f"{name} is not taken here; leave it out, or ask the operator ([server] refuse)", name)


class Inside:
    """How many requests are inside, all together and of each key; used as `with inside.enter(key, limits)`."""

    def __init__(self) -> None:
        self.requests = 0
        self._by_key: dict[str, int] = {}

    def enter(self, key: Client | None, limits: Limits) -> "_Place":
        """A place inside.

        Raises:
            Problem: 429, there is none.
        """
        name = "" if key is None else key.name
        of_key = limits.requests if key is None else limits.requests_per_key
        if key is not None and key.known is not None and key.known.concurrency is not None:
            of_key = min(of_key, key.known.concurrency)
        if of_key < 1:
            raise insufficient_quota("this key may have fewer requests at once than there are gateways")
        if self.requests >= limits.requests:
            raise queue_full(
                f"{self.requests} requests of all clients are inside, the most that are taken ([limits] requests)"
            )
        if self._by_key.get(name, 0) >= of_key:
            whose = "[limits] requests_per_key" if of_key == limits.requests_per_key else "its own concurrency"
            raise queue_full(f"{of_key} requests of this key are inside, the most that it may have ({whose})")
        self.requests += 1
        self._by_key[name] = self._by_key.get(name, 0) + 1
        return _Place(self, name)

    def leave(self, name: str) -> None:
        """For `_Place`."""
        self.requests -= 1
        self._by_key[name] -= 1
        if not self._by_key[name]:
            del self._by_key[name]


class _Place:
    def __init__(self, inside: Inside, name: str) -> None:
        self._inside, self._name = inside, name

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        self._inside.leave(self._name)


def given_key(headers: Headers) -> str:
    """The key that a request brings, "" if none."""
    given = [text for name, text in headers if name == "authorization"]
    scheme, _, key = (given[0] if len(given) == 1 else "").partition(" ")
    return key.strip() if scheme.lower() == "bearer" else ""
