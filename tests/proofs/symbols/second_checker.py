"""A second checker of certificates, written from docs/certificates.md alone; the standard library alone."""

import re
from fractions import Fraction
from typing import Any

Number = int | Fraction
Terms = dict[tuple[str, int, int], Number]

NUMBER = re.compile(r"[1-9][0-9]*(/[1-9][0-9]*)?")
FIXED = {"scope": "all real values and costs, every tie-break", "choice": "optimal", "payments": "clarke"}


class RefusedError(Exception):
    """The file is no proof."""


def need(condition: bool, what: str) -> None:
    if not condition:
        raise RefusedError(what)


def whole(value: Any, low: int, high: int) -> bool:
    return type(value) is int and low <= value <= high


def assignments(n: int, left: list[int]) -> list[list[int]]:
    """Lexicographic, by filling request after request."""
    if n == 0:
        return [[]]
    found = [[-1, *rest] for rest in assignments(n - 1, left)]
    for agent, room in enumerate(left):
        if room > 0:
            fewer = [*left[:agent], room - 1, *left[agent + 1 :]]
            found += [[agent, *rest] for rest in assignments(n - 1, fewer)]
    return found


def exact(number: str) -> Number:
    """Fractions are slow, and few numbers are any."""
    return Fraction(number) if "/" in number else int(number)


def add(total: Terms, factor: Number, agents: list[int], skip: set[int], other: set[int]) -> None:
    """Add `factor` times W(agents), without the requests in `skip`, with w' for those in `other`."""
    for i, j in enumerate(agents):
        if j >= 0 and i not in skip:
            key = ("w'" if i in other else "w", i, j)
            total[key] = total.get(key, 0) + factor


def accepts(file: Any) -> int:
    """The number of obligations, all proved.

    Raises:
        RefusedError: the file is no proof.
    """
    need(isinstance(file, dict) and set(file) - {"about"} == {"format", "claim", "proof"}, "keys")
    need(file["format"] == "iemas certificate 1", "format")
    if "about" in file:
        about = file["about"]
        need(isinstance(about, dict) and set(about) == {"mechanism", "sources", "agreement"}, "about")
        need(all(isinstance(text, str) for text in about.values()), "about")
    claim, proof = file["claim"], file["proof"]
    need(isinstance(claim, dict) and isinstance(proof, list), "kinds")
    need(set(claim) == {"property", "owners", "capacities", *FIXED}, "claim")
    need(all(claim[key] == text for key, text in FIXED.items()), "claim")
    owners, capacities = claim["owners"], claim["capacities"]
    need(isinstance(owners, list) and isinstance(capacities, list) and bool(owners), "owners, capacities")
    n, met = len(owners), 0
    for owner in owners:
        need(whole(owner, 0, met), "owners")
        met = max(met, owner + 1)
    need(all(whole(room, 0, n) for room in capacities), "capacities")
    all_of_them = assignments(n, capacities)
    mine = [{i for i in range(n) if owners[i] == bidder} for bidder in range(met)]
    without = [[a for a in all_of_them if all(a[i] < 0 for i in own)] for own in mine]
    place = 0

    def entry() -> list[Any]:
        nonlocal place
        need(place < len(proof), "too few")
        place += 1
        triples = proof[place - 1]
        need(isinstance(triples, list), "triples")
        for triple in triples:
            need(isinstance(triple, list) and len(triple) == 3, "triple")
            number = triple[2]
            need(isinstance(number, str) and NUMBER.fullmatch(number) is not None, "number")
            need(str(exact(number)) == number, "lowest terms")
        return triples

    if claim["property"] in ("truthful", "individually-rational"):
        truthful = claim["property"] == "truthful"
        for bidder in range(met):
            for a in all_of_them:
                for b in all_of_them if truthful else without[bidder]:
                    rest: Terms = {}
                    add(rest, 1, a, set(), set())
                    add(rest, -1, b, set(), set())
                    for optimum, rival, number in entry():
                        need(whole(optimum, 0, 1 if truthful else 0), "optimum")
                        need(whole(rival, 0, len(all_of_them) - 1), "rival")
                        changed = mine[bidder] if optimum else set()
                        add(rest, -exact(number), b if optimum else a, set(), changed)
                        add(rest, exact(number), all_of_them[rival], set(), changed)
                    need(not any(rest.values()), "sum")
    elif claim["property"] == "no-deficit":
        for a in all_of_them:
            rest = {("h", bidder, 0): 1 for bidder in range(met)}
            for bidder in range(met):
                add(rest, -1, a, mine[bidder], set())
            for optimum, rival, number in entry():
                need(whole(optimum, 0, met - 1), "optimum")
                need(whole(rival, 0, len(without[optimum]) - 1), "rival")
                rest["h", optimum, 0] -= exact(number)
                add(rest, exact(number), without[optimum][rival], set(), set())
            need(not any(rest.values()), "sum")
    else:
        raise RefusedError("property")
    need(place == len(proof), "too many")
    return place
