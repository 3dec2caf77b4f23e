"""Fleets as files hold them."""

from pathlib import Path
from typing import Any

from runtime.gateway.fleet.config import Fleet
from runtime.gateway.fleet.file import parse_fleet

PRICES = {"fresh": 0.4, "cached": 0.1, "output": 1.0}
SMALL: dict[str, Any] = {"name": "small", "model": "tiny", "prices": PRICES}
BIG: dict[str, Any] = {
    "name": "big",
    "url": "http://10.0.0.5:8000",
    "serves": ["wide"],
    "capacity": 4,
    "prices": PRICES,
}


def fleet(*agents: dict[str, Any], **tables: Any) -> Fleet:
    return parse_fleet({"agents": list(agents or (SMALL, BIG)), **tables}, Path("/etc/iemas/fleet.toml"))
