"""Check a certificate: `python -m proofs.check FILE`; the standard library alone.

A claim: if requests, each owned by a bidder, go to agents within their capacities so that W, the sum of their weights
(value minus cost), is greatest, ties broken in any way, and each pays the cost plus what the others lose by them
(Clarke), then for all real values and costs the property holds. It splits into obligations:

  truthful               for bidder i, choice a on the truth, b on any report of theirs: W_a >= W_b at the true weights
                         (they get W minus the others' optimum without them, which no report of theirs moves)
  individually-rational  for bidder i, choice a, choice b without i: W_a >= W_b
  no-deficit             for choice a, h_i the others' optimum without i: sum over i of h_i - W_a(others) >= 0

Optimality gives rows "optimum minus a rival >= 0"; rows times numbers > 0 must add up to the obligation (Farkas 1902).
Rows and obligations are derived here; the file brings triples [optimum, rival, number] for each obligation.
"""

import json
import os
import sys
from collections.abc import Iterable, Iterator
from fractions import Fraction
from itertools import product
from pathlib import Path
from typing import Any

FORMAT = "iemas certificate 1"
SENSE = {"scope": "all real values and costs, every tie-break", "choice": "optimal", "payments": "clarke"}
Expression = dict[tuple[str, int, int], int | Fraction]  # unknown -> coefficient, none of them 0
Optimum = tuple[Expression, list[Expression]]  # what is greatest, among what
Obligation = tuple[Expression, list[Optimum]]  # conclusion, from what


def minus(left: Expression, right: Expression, factor: int | Fraction = 1) -> Expression:
    """`left - factor * right`."""
    total = left | {key: left.get(key, 0) - factor * number for key, number in right.items()}
    return {key: number for key, number in total.items() if number}


def welfare(agents: tuple[int, ...], requests: Iterable[int], misreport: Iterable[int] = ()) -> Expression:
    """W of the requests; the weights of those in `misreport` are the reported ones."""
    return {("misreport" if i in misreport else "true", i, agents[i]): 1 for i in requests if agents[i] >= 0}


def obligations(name: str, owners: list[int], capacities: list[int]) -> Iterator[Obligation]:
    """Everything that the claim comes to."""
    requests, bidders = range(len(owners)), range(max(owners) + 1)
    options = product(range(-1, len(capacities)), repeat=len(owners))
    choices = [a for a in options if all(a.count(j) <= room for j, room in enumerate(capacities))]
    size, total = len(choices), [welfare(a, requests) for a in choices]
    own = [[i for i in requests if owners[i] == bidder] for bidder in bidders]
    absent = [[b for b, agents in enumerate(choices) if all(agents[i] < 0 for i in mine)] for mine in own]
    if name == "truthful":
        for mine in own:
            told = [welfare(a, requests, mine) for a in choices]
            for a, b in product(range(size), repeat=2):
                yield minus(total[a], total[b]), [(total[a], total), (told[b], told)]
    elif name == "individually-rational":
        for a, b in (pair for away in absent for pair in product(range(size), away)):
            yield minus(total[a], total[b]), [(total[a], total)]
    elif name == "no-deficit":
        rows: list[Optimum] = [({("without", i, i): 1}, [total[b] for b in absent[i]]) for i in bidders]
        for agents in choices:
            surplus: Expression = {("without", i, i): 1 for i in bidders}
            for mine in own:
                surplus = minus(surplus, welfare(agents, [i for i in requests if i not in mine]))
            yield surplus, rows


def verify(file: Any) -> int:
    """The number of obligations of a certificate (parsed JSON) that proves its claim; ValueError for any other."""
    claim, proof = file["claim"], file["proof"]
    owners, capacities = claim["owners"], claim["capacities"]
    stated = {"property": claim["property"], "owners": owners, "capacities": capacities, **SENSE}
    told = {key: str(file["about"][key]) for key in ("mechanism", "sources", "agreement")} if "about" in file else None
    if file != {"format": FORMAT, "claim": stated, "proof": proof} | ({"about": told} if told else {}):
        raise ValueError(f"expected format {FORMAT!r}, a proof, and a claim about {SENSE}")
    numbered = list(dict.fromkeys(owners)) == list(range(max(owners) + 1))
    if not numbered or not all(type(number) is int and 0 <= number <= len(owners) for number in owners + capacities):
        raise ValueError(f"owners {owners} must count from 0 in order, capacities {capacities} up to {len(owners)}")
    steps = 0
    for steps, (rest, optima) in enumerate(obligations(claim["property"], owners, capacities), 1):
        for best, rival, by in proof[steps - 1]:
            if {type(best), type(rival)} != {int} or min(best, rival) < 0 or str(Fraction(by)) != by or by < "1":
                raise ValueError(f"obligation {steps}: {by!r} times row {best, rival}: no row, or no number > 0")
            rest = minus(rest, minus(optima[best][0], optima[best][1][rival]), Fraction(by) if "/" in by else int(by))
        if rest:
            raise ValueError(f"obligation {steps}: the rows do not add up to it; left is {rest}")
    if steps != len(proof) or not steps:
        raise ValueError(f"{len(proof)} proofs for {steps} obligations of {claim['property']!r}")
    return steps


if __name__ == "__main__":
    if __spec__ is not None:  # run with -m, which loads the package: begin again without it
        os.execv(sys.executable, [sys.executable, "-I", "-S", __file__, *sys.argv[1:]])
    try:
        certificate = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
        print(f"PROVED: {json.dumps(certificate['claim'])}: {verify(certificate)} obligations")
    except (OSError, LookupError, TypeError, AttributeError, ValueError, ArithmeticError, RecursionError) as error:
        sys.exit(f"refused, {type(error).__name__}: {error}")
