"""What each key of a file allows alone and the file as a whole does not."""

import re
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from mechanisms import MechanismError, find_mechanism
from mechanisms.catalogue import find_settlement
from runtime.accounts.names import is_url, shown
from runtime.engines.simulated.step_time import calibration
from runtime.errors import ServingError
from runtime.gateway.fleet.config import Agent, Fleet, Secret

#: The name that stands for every agent.
AUTO = "auto"
#: Ours to give where the file asks for events.
_KV_FLAG = "--kv-events-config"
_ZMQ = re.compile(r"tcp://([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]):[0-9]{1,5}|ipc:///.+")
#: Flags that are ours to give.
_OURS = ("--host", "--port", "--model", "--served-model-name", "--api-key")


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong.

    Args:
        path: the key, such as `agents[1].prices.fresh`.
        why: what is wrong with it, and what to do.
        value: as written; None where it is missing, or nobody's to see.
    """

    path: str
    why: str
    value: object = None

    def __str__(self) -> str:
        shown = "" if self.value is None else f" = {_toml(self.value)}"
        return f"{self.path}{shown}: {self.why}"


def contradictions(fleet: Fleet) -> list[Fault]:
    """All of them, in the file's order."""
    return [
        *_bind(fleet),
        *_agents(fleet),
        *_pools(fleet),
        *_hubs(fleet),
        *_keys(fleet),
        *_auction(fleet),
        *_limits(fleet),
    ]


def nearest(name: str, known: Collection[str]) -> str:
    """What the writer may have meant, as words for a message."""
    near = get_close_matches(name, known, n=1)
    if near:
        return f"did you mean {near[0]}?"
    return f"there are: {', '.join(known)}" if known else "there are none"


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address."""
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def quoted(key: str) -> str:
    """A key as the file must have it: bare, or in quotes."""
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else _toml(key)


def _bind(fleet: Fleet) -> Iterator[Fault]:
    host, ledger = fleet.server.host, fleet.server.ledger
    if not is_loopback(host) and not (fleet.keys or fleet.server.accounts):
        yield Fault("server.host", 'everybody could ask there; add [[keys]], or listen on "127.0.0.1"', host)
    if fleet.server.admin is not None:
        yield from _secret(fleet.server.admin.key, "server.admin.key")
        if fleet.server.admin.port == fleet.server.port:
            why = "clients come in there; choose a port of its own"
            yield Fault("server.admin.port", why, fleet.server.port)
    if is_url(ledger):
        if shown(ledger) != ledger or "password=" in str(ledger):
            yield Fault("server.ledger", "it holds a password; leave it to PGPASSWORD, or to ~/.pgpass")
    elif Path(ledger).is_dir():
        yield Fault("server.ledger", "that is a folder; name a file in it", str(ledger))


def _agents(fleet: Fleet) -> Iterator[Fault]:
    if not fleet.agents:
        yield Fault("agents", "nobody could serve; add an [[agents]]", [])
    for place in _repeated(agent.name for agent in fleet.agents):
        yield Fault(
            f"agents[{place}].name", "another agent has this name; choose one of its own", fleet.agents[place].name
        )
    ports = [agent.port or -1 - i for i, agent in enumerate(fleet.agents)]
    for place in _repeated([fleet.server.port, *ports]):
        yield Fault(
            f"agents[{place - 1}].port", "another server has this port; leave it out for a free one", ports[place - 1]
        )
    for place in _repeated((agent.url or i, agent.model) for i, agent in enumerate(fleet.agents)):
        yield Fault(
            f"agents[{place}].url", "another agent is the same server and model; name it once", fleet.agents[place].url
        )
    for i, agent in enumerate(fleet.agents):
        yield from _agent(agent, f"agents[{i}]")


def _agent(agent: Agent, at: str) -> Iterator[Fault]:
    if agent.simulated is not None:
        yield from _simulated(agent, at)
    elif agent.url is None:
        if agent.model is None:
            yield Fault(f"{at}.model", 'missing; add model = "smollm2-135m" to launch one, or url = "http://..."')
        if agent.key is not None:
            yield Fault(f"{at}.key", "only a server at a `url` asks for one; leave it out")
        for flag in agent.flags:
            name = flag.partition("=")[0]
            if name in _OURS:
                yield Fault(f"{at}.flags", f"{name} is given by the gateway itself; leave it out")
    else:
        yield from _url(agent.url, f"{at}.url")
        if agent.flags:
            yield Fault(f"{at}.flags", "a server at a `url` has its flags already; leave them out")
        if agent.port is not None:
            yield Fault(f"{at}.port", "the port of a server at a `url` stands in it; leave this out", agent.port)
        if agent.capacity is None:
            yield Fault(f"{at}.capacity", "missing, and a server at a `url` does not say it; add capacity = 16")
        if not agent.names:
            yield Fault(f"{at}.serves", 'missing; add serves = ["NAME"] or model = "NAME", by which clients ask for it')
    yield from _kv_events(agent, at)
    if agent.key is not None:
        yield from _secret(agent.key, f"{at}.key")
    for name in agent.names:
        if name == AUTO:
            yield Fault(f"{at}.serves", "`auto` stands for every agent; choose another name", name)


def _simulated(agent: Agent, at: str) -> Iterator[Fault]:
    for name in ("model", "url", "key", "flags", "port", "kv_events", "kv_replay"):
        if getattr(agent, name):
            yield Fault(f"{at}.{name}", "a simulated engine has none; leave this out, or `simulated`")
    if not agent.serves:
        yield Fault(f"{at}.serves", 'missing; add serves = ["NAME"], by which clients ask for it')
    try:
        calibration(agent.simulated or "")
    except ServingError as error:
        yield Fault(f"{at}.simulated", str(error), agent.simulated)


def _kv_events(agent: Agent, at: str) -> Iterator[Fault]:
    told = agent.kv_events
    if agent.url is None and agent.simulated is None:
        if isinstance(told, str):
            yield Fault(f"{at}.kv_events", "we choose where a launched server publishes; write kv_events = true", told)
        if agent.kv_replay is not None:
            yield Fault(f"{at}.kv_replay", "a launched server replays where we choose; leave it out", agent.kv_replay)
        if told and any(flag.partition("=")[0] == _KV_FLAG for flag in agent.flags):
            yield Fault(f"{at}.flags", f"{_KV_FLAG} is given by the gateway itself; leave it out, or kv_events")
    elif agent.url is not None:
        if told is True:
            yield Fault(f"{at}.kv_events", 'where does it publish? Write kv_events = "tcp://HOST:PORT"', told)
        if agent.kv_replay is not None and not isinstance(told, str):
            yield Fault(f"{at}.kv_replay", 'missing beside it: kv_events = "tcp://HOST:PORT"', agent.kv_replay)
        for name, address in (("kv_events", told), ("kv_replay", agent.kv_replay)):
            if isinstance(address, str) and not _ZMQ.fullmatch(address):
                yield Fault(f"{at}.{name}", "no address of ZeroMQ; write tcp://HOST:PORT, or ipc://PATH", address)


def _url(url: str, at: str) -> Iterator[Fault]:
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        yield Fault(at, f"no address ({error}); write http://HOST:PORT")
        return
    if parts.username or parts.password:
        # Not shown: the password would stand in logs.
        yield Fault(at, 'it holds a name or a password; write key = { env = "BIG_KEY" } beside it instead')
    elif parts.scheme not in ("http", "https") or not host:
        yield Fault(at, "no address of a server; write http://HOST:PORT", url)
    elif parts.query or parts.fragment:
        yield Fault(at, "an address has no ? and no #; write http://HOST:PORT")
    elif re.search(r"/v1/?$", parts.path):
        yield Fault(at, "the gateway adds /v1 itself; leave it out", url)


def _secret(secret: Secret, at: str) -> Iterator[Fault]:
    if (secret.env is None) == (secret.file is None):
        yield Fault(at, 'give one of the two: { env = "NAME" } or { file = "PATH" }')


def _pools(fleet: Fleet) -> Iterator[Fault]:
    agents = [agent.name for agent in fleet.agents]
    served = {name for agent in fleet.agents for name in agent.names}
    for pool, members in fleet.pools.items():
        at = f"pools.{quoted(pool)}"
        if pool == AUTO:
            yield Fault(at, "`auto` is every agent already; choose another name", list(members))
        if pool in served:
            yield Fault(at, "agents serve a model of this name; choose another", list(members))
        if not members:
            yield Fault(at, f"nobody is in it; name agents, such as [{_toml(agents[0]) if agents else ''}]", [])
        for i, member in enumerate(members):
            if member not in agents:
                yield Fault(f"{at}[{i}]", f"no agent has this name; {nearest(member, agents)}", member)
            elif member in members[:i]:
                yield Fault(f"{at}[{i}]", "it is in there already; name it once", member)


def _hubs(fleet: Fleet) -> Iterator[Fault]:
    agents = [agent.name for agent in fleet.agents]
    home: dict[str, str] = {}
    for hub, members in fleet.hubs.items():
        at = f"hubs.{quoted(hub)}"
        if not members:
            yield Fault(at, "nobody is in it; name agents, or leave it out", [])
        for i, member in enumerate(members):
            if member not in agents:
                yield Fault(f"{at}[{i}]", f"no agent has this name; {nearest(member, agents)}", member)
            elif member in home:
                yield Fault(f"{at}[{i}]", f"it is in hub {home[member]} already; an agent has one auction", member)
            home.setdefault(member, hub)
    for agent in agents:
        if home and agent not in home:
            yield Fault("hubs", f"agent {agent} is in no hub; put each into one, or leave [hubs] out")


def _keys(fleet: Fleet) -> Iterator[Fault]:
    for place in _repeated(key.name for key in fleet.keys):
        yield Fault(f"keys[{place}].name", "another key has this name; choose one of its own", fleet.keys[place].name)
    places = [(key.key.env, key.key.file) for key in fleet.keys]
    for place in _repeated(places):
        yield Fault(f"keys[{place}].key", "another entry names the same key; one key is one client's")
    for i, key in enumerate(fleet.keys):
        yield from _secret(key.key, f"keys[{i}].key")


def _auction(fleet: Fleet) -> Iterator[Fault]:
    """Names of what ships; code of the operator's own is loaded where it is audited, not here."""
    names = fleet.auction
    if ":" not in names.mechanism + (names.allocator or ""):
        try:
            find_mechanism(names.mechanism)
        except MechanismError as error:
            yield Fault("auction.mechanism", str(error), names.mechanism)
        else:
            try:
                find_mechanism(names.mechanism, names.allocator)
            except MechanismError as error:
                yield Fault("auction.allocator", str(error), names.allocator)
    if ":" not in names.settlement:
        try:
            find_settlement(names.settlement)
        except MechanismError as error:
            yield Fault("auction.settlement", str(error), names.settlement)


def _limits(fleet: Fleet) -> Iterator[Fault]:
    limits = fleet.limits
    for low, high in (
        ("default_max_tokens", "max_tokens"),
        ("requests_per_key", "requests"),
        ("first_byte_s", "request_s"),
    ):
        least, most = getattr(limits, low), getattr(limits, high)
        if least > most:
            yield Fault(f"limits.{low}", f"more than limits.{high} = {most}; lower it, or raise {high}", least)


def _repeated(values: Collection[object] | Iterator[object]) -> list[int]:
    """Places of values that came before."""
    seen: Counter[object] = Counter()
    places = []
    for place, value in enumerate(values):
        if seen[value]:
            places.append(place)
        seen[value] += 1
    return places


def _toml(value: object) -> str:
    """A value nearly as the file has it, short."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        text = '"' + value.encode("unicode_escape").decode("ascii").replace('"', '\\"') + '"'
    elif isinstance(value, dict):
        text = "{ " + ", ".join(f"{key} = {_toml(each)}" for key, each in value.items()) + " }"
    elif isinstance(value, list | tuple):
        text = "[" + ", ".join(map(_toml, value)) + "]"
    else:
        text = str(value)
    return text if len(text) <= 80 else text[:77] + "..."
