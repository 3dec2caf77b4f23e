"""What a request is worth to its bidder, and who said so.

Each figure is taken from the first who states it: the body's member `iemas`, headers `x-iemas-*`, the operator's
mapping of `service_tier`, the key's own defaults, the operator's published default. That default is a real bid, which
the client can change and sees on the receipt; it is never infinite and never guessed from what is asked. `user`,
`metadata` and the text decide nothing: only a key identifies a bidder.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from math import inf
from typing import Final

from allocation.money import MAX_AMOUNT, MICROS
from mechanisms import Preferences
from runtime.gateway.problems import Problem, invalid

#: What a client may state, and its unit.
FIGURES: Final[Mapping[str, str]] = {
    "worth": "credits at quality 1",
    "delay_cost": "credits per second",
    "deadline_s": "seconds",
    "max_price": "credits",
    "stake": "credits",
}
#: OpenAI's words; those that the operator maps to nothing promise nothing.
TIERS: Final = ("auto", "default", "flex", "priority", "scale")

_PREFIX = "x-iemas-"
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?")
#: As admission has it: seconds of delay that a report must be able to price.
_PRICED_S = 3600.0
#: What money can say, in credits.
_MOST = MAX_AMOUNT / MICROS

Figures = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Stated:
    """A request's preferences, and where each figure comes from.

    `sources` names for each figure that somebody stated `body`, `header`, `service_tier`, `key` or `operator`;
    `max_price` is the client's cap on the charge, None without one; `capped` says that it lowered worth or stake.
    """

    preferences: Preferences
    sources: Mapping[str, str]
    max_price: float | None = None
    capped: bool = False

    @property
    def source(self) -> str:
        """Who stated the worth: welfare over anything but `body`, `header` and `key` is not revealed welfare."""
        return self.sources["worth"]


@dataclass(frozen=True, slots=True)
class Defaults:
    """What the operator publishes.

    Args:
        default: figures for whoever states nothing; `worth` and `delay_cost` at least.
        tiers: figures for each service tier that means something here.
    """

    default: Figures
    tiers: Mapping[str, Figures] = field(default_factory=dict)


def state(
    member: object,
    headers: Iterable[tuple[str, str]],
    service_tier: str | None,
    defaults: Defaults,
    key: Figures | None = None,
) -> Stated:
    """The preferences of one request.

    `max_price` lowers `worth` to itself, and `stake` to what is left of it: the value reported is at most `max_price`
    (to a micro-unit), and so is the charge of every mechanism that is individually rational. That is the client's own
    truncation, a report like any other; where quality is below 1 it bids less than `min(value, max_price)` would.

    Args:
        member: the body's member `iemas`, None without one.
        headers: the request's headers, names in any case; those that do not begin with `x-iemas-` are not read.
        service_tier: as the client named it.
        defaults: what the operator publishes.
        key: the figures that the key's account has set for itself.

    Raises:
        Problem: 400 for a figure that is none, negative, or beyond what money can say, and for an unknown name.

    Example:
        >>> published = Defaults({"worth": 1.0, "delay_cost": 0.1})
        >>> stated = state({"worth": 5}, [("X-Iemas-Max-Price", "2")], None, published)
        >>> stated.preferences, stated.source
        (Preferences(worth=2.0, delay_cost=0.1, deadline=inf, stake=0.0), 'body')
    """
    layers = {
        "body": _from_member(member),
        "header": _from_headers(headers),
        "service_tier": _from_tier(service_tier, defaults.tiers),
        "key": key or {},
        "operator": defaults.default,
    }
    sources: dict[str, str] = {}
    for layer, figures in layers.items():
        for name in figures:
            sources.setdefault(name, layer)
    said = {name: layers[layer][name] for name, layer in sources.items()}
    cap = said.get("max_price")
    worth, stake = said["worth"], said.get("stake", 0.0)
    capped = cap is not None and worth + stake > cap
    if cap is not None and capped:
        worth = min(worth, cap)
        stake = min(stake, cap - worth)
    preferences = Preferences(worth, said["delay_cost"], said.get("deadline_s", inf), stake)
    if max(worth + stake, _PRICED_S * said["delay_cost"]) > _MOST:
        told = f"worth and stake, or an hour of delay_cost, come to more than {_MOST:,.0f} credits; rescale"
        raise invalid(told, "iemas")
    return Stated(preferences, sources, cap, capped)


def header_of(name: str) -> str:
    """The header that states a figure.

    Example:
        >>> header_of("max_price")
        'x-iemas-max-price'
    """
    return _PREFIX + name.replace("_", "-")


def most_of(name: str) -> float | None:
    """The most that a figure may be by itself, in its unit; None for seconds, which are no money.

    Example:
        >>> most_of("worth") == 3600 * most_of("delay_cost"), most_of("deadline_s")
        (True, None)
    """
    if name == "deadline_s":
        return None
    return _MOST / _PRICED_S if name == "delay_cost" else _MOST


def check_figures(figures: Mapping[str, object], where: str = "iemas") -> dict[str, float]:
    """Figures that somebody stated, checked one by one; None is as good as absent.

    Raises:
        Problem: 400 with the name of the figure.
    """
    return {
        name: _figure(name, value, f"{where}.{name}") for name, value in figures.items() if _given(name, value, where)
    }


def _given(name: str, value: object, where: str) -> bool:
    if name not in FIGURES:
        raise _unknown(name, f"{where}.{name}", list(FIGURES))
    return value is not None


def _figure(name: str, value: object, param: str) -> float:
    """One figure in its unit, finite and not negative."""
    expected = f"expected {FIGURES[name]}, a number {'> 0' if name == 'deadline_s' else '>= 0'}"
    if isinstance(value, bool) or not isinstance(value, int | float):
        kind = "a boolean" if isinstance(value, bool) else "no number"
        raise invalid(f"{param} is {kind}; {expected}", param)
    try:
        number = float(value)
    except OverflowError:
        number = inf
    if not 0.0 <= number < inf or (name == "deadline_s" and number == 0.0):
        raise invalid(f"{param} is {number:g}; {expected}", param)
    if name != "deadline_s" and number > _MOST:
        raise invalid(f"{param} is {number:g}; more than {_MOST:,.0f} credits is beyond money; rescale", param)
    return number


def _from_member(member: object) -> Figures:
    if member is None:
        return {}
    if not isinstance(member, dict):
        raise invalid('iemas is no object; send for instance {"worth": 2.0, "delay_cost": 0.1}', "iemas")
    return check_figures(member)


def _from_headers(headers: Iterable[tuple[str, str]]) -> Figures:
    known = {header_of(name): name for name in FIGURES}
    found: dict[str, float] = {}
    for header, text in headers:
        header = header.lower()
        if not header.startswith(_PREFIX):
            continue
        if header not in known:
            raise _unknown(header, header, list(known))
        name = known[header]
        if name in found:
            raise invalid(f"{header} comes twice; send it once", header)
        if _NUMBER.fullmatch(text.strip(" \t")) is None:
            raise invalid(f"{header} is no number; send {FIGURES[name]}, such as 2.5", header)
        found[name] = _figure(name, float(text), header)
    return found


def _from_tier(tier: str | None, mapped: Mapping[str, Figures]) -> Figures:
    if tier is None or tier in mapped:
        return mapped.get(tier or "", {})
    if tier not in TIERS:
        known = ", ".join(dict.fromkeys([*TIERS, *mapped]))
        raise invalid(f"there is no such service_tier; there are: {known}", "service_tier")
    return {}


def _unknown(name: str, param: str, known: list[str]) -> Problem:
    near = get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]}?" if near else f"there are: {', '.join(known)}"
    shown = name if len(name) <= 40 and name.isprintable() else "one"
    return invalid(f"{shown} is nothing that is read; {hint}", param if shown == name else "iemas")
