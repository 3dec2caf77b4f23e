"""What may change while a fleet runs, and what needs a restart.

What the gateway reads anew for each request may change at once, and agents may come and go. What engines that stay were
started with, what the policy has learnt on, what the books and the socket are bound to, may not.
"""

from dataclasses import dataclass
from typing import Any

from runtime.gateway.fleet.config import Fleet

#: Beginnings of paths that may change live; inside an agent that stays, its key `serves`.
LIVE = ("pools", "keys", "preferences", "service_tiers", "limits")
#: Of those, what is bound at the start: the socket's own limit of headers, and what engines are built with.
_BOUND = ("limits.header_bytes", "limits.connect_s", "limits.first_byte_s", "limits.idle_s")


@dataclass(frozen=True, slots=True)
class Changes:
    """Where one fleet differs from another, as paths; agents and keys stand under their names, `agents.small.port`."""

    live: tuple[str, ...]
    restart: tuple[str, ...]


def changes(old: Fleet, new: Fleet) -> Changes:
    """What differs, and whether a running gateway can take it over.

    A gateway takes over all of `live` or nothing where `restart` is not empty: half a file is no fleet.

    Example:
        >>> from pathlib import Path
        >>> from runtime.gateway.fleet.file import parse_fleet
        >>> def fleet(port: int, worth: float) -> Fleet:
        ...     agent = {"name": "small", "model": "m", "prices": {"fresh": 1, "cached": 1, "output": 1}}
        ...     file = {"server": {"port": port}, "agents": [agent], "preferences": {"worth": worth}}
        ...     return parse_fleet(file, Path("fleet.toml"))
        >>> changes(fleet(8080, 1.0), fleet(8081, 2.0))
        Changes(live=('preferences.worth',), restart=('server.port',))
    """
    before, after = _flat(old), _flat(new)
    differ = sorted(
        {_whole(path, old, new) for path in before.keys() | after.keys() if before.get(path) != after.get(path)}
    )
    names = [[agent.name for agent in fleet.agents] for fleet in (old, new)]
    whole = {f"agents.{name}" for name in set(names[0]) ^ set(names[1])}
    hubs = _homes(old, new, set(names[0]) & set(names[1]))
    differ = sorted({path for path in differ if not path.startswith("hubs")} | hubs)
    live = tuple(path for path in differ if path in whole or is_live(path))
    return Changes(live, tuple(path for path in differ if path not in live))


def _homes(old: Fleet, new: Fleet, stayed: set[str]) -> set[str]:
    """Hubs of agents that stay, where these differ: an auction cannot hand over what it has learnt."""
    homes = [[sorted(set(members) & stayed) for members in fleet.hubs.values()] for fleet in (old, new)]
    return {"hubs"} if homes[0] != homes[1] else set()


def is_live(path: str) -> bool:
    """Whether a key may change while the fleet runs."""
    parts = path.split(".")
    return (parts[0] in LIVE and path not in _BOUND) or (parts[0] == "agents" and parts[-1] == "serves")


def _whole(path: str, old: Fleet, new: Fleet) -> str:
    """The path of an agent or a key that only one of both has, for all the paths in it."""
    for table, ones, others in (("agents", old.agents, new.agents), ("keys", old.keys, new.keys)):
        for name in {each.name for each in ones} ^ {each.name for each in others}:
            if path.startswith(f"{table}.{name}."):
                return f"{table}.{name}"
    return path


def _flat(fleet: Fleet) -> dict[str, object]:
    """Values by path; agents and keys stand under their names; the order of keys says nothing."""
    data: dict[str, Any] = fleet.model_dump(mode="json")
    for name in ("agents", "keys"):
        data[name] = {each["name"].replace(".", "·"): each for each in data[name]}
    flat: dict[str, object] = {}
    _flatten(data, "", flat)
    return {path.replace("·", "."): value for path, value in flat.items()}


def _flatten(value: object, path: str, flat: dict[str, object]) -> None:
    if isinstance(value, dict) and value:
        for key, each in value.items():
            _flatten(each, f"{path}.{key}" if path else key, flat)
    else:
        flat[path] = value
