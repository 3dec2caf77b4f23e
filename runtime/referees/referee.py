"""A second referee, of the standard library alone: `python -I -S referee.py ROUNDS.jsonl`.

The file is what `iemas ledger rounds --export ROUNDS.jsonl` writes. Of every round in it this derives again: its seal,
and the seal before; the values, from what was stated and predicted; that the allocation is optimal, by its prices
(feasible dual, complementary slackness: Shapley and Shubik 1971); what each bidder's presence costs the others, and
that it is their charge (Clarke 1971): of a bidder with one request by the lowest prices (Leonard 1983), of one with
several by solving the market without them; that the auctioneer does not lose and nobody pays beyond their value. Of the
books: each hold was decided, each ended once, at what its settlement says.

Charges of rules other than VCG, and optima that an allocator does not claim, are counted as left alone. Exit code 0 if
nothing is wrong, 1 if something is, 2 for a file that holds no round, or is none.
"""

import hashlib
import json
import os
import sys
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from struct import pack
from typing import Any

FORMAT, EXPORT = "iemas round 1", "iemas rounds 1"
MICROS, MAX_AMOUNT, MAX_PRICE, CERTAIN = 1_000_000, 2**40, 2**60, 1_000_000
EXACT = (None, "min-cost-flow", "linear-program", "convex-program", "network-flow", "or-tools", "brute-force")
#: Seconds for which a hold may have waited for the books, behind its round.
BEHIND_S = 6.0
MEMBERS = (
    *("format", "round", "at_s", "rules", "agents", "requests", "bidders", "stated", "basis", "market"),
    *("placed", "positions", "charges", "predicted"),
)
Table = list[list[int]]
Weights = list[list[int | None]]
Said = Iterator[tuple[str, str]]


def micros(credits: float) -> int:
    """Credits, quantised."""
    return round(credits * MICROS)


def values_of(told: dict[str, Any]) -> Table:
    """The values of a round, from what was stated and predicted."""
    basis = told["basis"]
    if basis is None:
        return told["market"]["values"]  # type: ignore[no-any-return]
    most, table = MAX_AMOUNT / MICROS, []
    for i, (worth, delay, _, stake) in enumerate(told["stated"]):
        chances, row = basis["chances"].get(str(i)), []
        for c, j in enumerate(basis["columns"]):
            value = worth * basis["quality"][i][j] - delay * (basis["start"][c] + basis["service"][i][j])
            value = value * (chances[c] if chances is not None and value > 0 else 1.0) + stake
            row.append(micros(min(max(value, -most), most)))
        table.append(row)
    return table


def spread(table: Table, columns: list[int]) -> Table:
    """A table by agent as one by column."""
    return [[row[j] for j in columns] for row in table]


class Round:
    """A round's market, and what came of it."""

    def __init__(self, told: dict[str, Any]) -> None:
        market, basis = told["market"], told["basis"]
        self.bidders, self.names = told["bidders"], told["requests"]
        n, c = len(self.names), len(market["capacities"])
        self.columns = list(range(c)) if basis is None else basis["columns"]
        if not all(0 <= j < len(told["agents"]) for j in self.columns):
            raise ValueError(f"columns are of agents {self.columns}; there are {len(told['agents'])}")
        self.values = values_of(told)
        self.costs: Table = market["costs"] if basis is None else spread(basis["costs"], self.columns)
        fees = None if basis is None or basis["fees"] is None else spread(basis["fees"], self.columns)
        self.fees: Table = fees or [[0] * c for _ in range(n)]
        able = market["feasible"] if basis is None else spread(basis["possible"], self.columns)
        self.capacities, self.agents, self.prices = market["capacities"], market["agents"], market["prices"]
        self.charges, self.receipts, self.rules = told["charges"], market["receipts"], told["rules"]
        self.weights: Weights = [
            [self.values[i][k] - self.costs[i][k] - self.fees[i][k] if able is None or able[i][k] else None
             for k in range(c)] for i in range(n)
        ]  # fmt: skip
        shapes = {len(row) for table in (self.values, self.costs, self.fees) for row in table}
        if not shapes <= {c} or {len(self.values), len(self.bidders), len(self.agents), len(self.charges)} != {n}:
            raise ValueError("its tables do not fit together")

    def at(self, table: Table, i: int) -> int:
        """A table's entry where request i is served, 0 if it is not."""
        return table[i][self.agents[i]] if self.agents[i] >= 0 else 0

    def allocation(self) -> Said:
        """Whether the prices prove it optimal."""
        loads = [self.agents.count(k) for k in range(len(self.capacities))]
        for i, k in enumerate(self.agents):
            if not -1 <= k < len(loads) or (k >= 0 and self.weights[i][k] is None):
                yield "allocation", f"request {self.names[i]} is given to column {k}, which may not serve it"
                return
        if any(load > room for load, room in zip(loads, self.capacities, strict=True)):
            yield "allocation", f"columns serve {loads} requests, their capacities are {self.capacities}"
            return
        if self.rules["allocator"] not in EXACT:
            return
        if self.prices is None or len(self.prices) != len(loads):
            yield "allocation", "there are no prices to prove it"
            return
        for k, price in enumerate(self.prices):
            if not 0 <= price < MAX_PRICE or (price and loads[k] < self.capacities[k]):
                yield "allocation", f"column {k} has price {price}, {loads[k]} of {self.capacities[k]} places taken"
                return
        for i, row in enumerate(self.weights):
            nets = [0, *(w - p for w, p in zip(row, self.prices, strict=True) if w is not None)]
            k = self.agents[i]
            if max(nets) > (0 if k < 0 else (row[k] or 0) - self.prices[k]):
                yield "allocation", f"request {self.names[i]} would rather have another column at prices {self.prices}"
                return

    def externalities(self) -> list[int]:
        """Each request's charge: cost and fee, and what its bidder's presence costs the others."""
        lowest = lowest_prices(self.weights, self.agents)
        charges = [self.at(self.costs, i) + self.at(self.fees, i) for i in range(len(self.agents))]
        for bidder in dict.fromkeys(self.bidders):
            mine = [i for i, name in enumerate(self.bidders) if name == bidder]
            served = [i for i in mine if self.agents[i] >= 0]
            if len(mine) == 1 and served:
                charges[mine[0]] += lowest[self.agents[mine[0]]]
            elif served:
                others = [i for i in range(len(self.agents)) if i not in mine]
                alone = greatest([self.weights[i] for i in others], self.capacities)
                gain = alone - sum(self.weights[i][self.agents[i]] or 0 for i in others if self.agents[i] >= 0)
                for i in served:
                    charges[i] += gain // len(served)
                charges[served[0]] += gain % len(served)
        return charges

    def payments(self) -> Said:
        """Whether charges and receipts are those of the rule."""
        for i, due in enumerate(self.externalities()):
            if self.charges[i] != due:
                yield "charges", f"request {self.names[i]} is charged {self.charges[i]}; its externality is {due}"
        due_to = [0] * len(self.capacities)
        for i, k in enumerate(self.agents):
            if k >= 0:
                due_to[k] += self.costs[i][k]
        if due_to != self.receipts:
            yield "receipts", f"columns receive {self.receipts}; by the rule it is {due_to}"

    def balance(self) -> Said:
        """Whether the auctioneer loses, or a bidder."""
        surplus = sum(self.charges) - sum(self.receipts)
        if surplus < sum(min(self.at(self.fees, i), 0) for i in range(len(self.agents))):
            yield "deficit", f"charges less receipts are {surplus}"
        for bidder in dict.fromkeys(self.bidders):
            mine = [i for i, name in enumerate(self.bidders) if name == bidder]
            if sum(self.at(self.values, i) - self.charges[i] for i in mine) < 0:
                yield "rationality", f"bidder {bidder} pays more than they stated it is worth"


def lowest_prices(weights: Weights, agents: list[int]) -> list[int]:
    """What the others would gain by one place more in each column, of an optimal allocation; ValueError if it is none.

    Somebody moves in, somebody else where they were, and so on: longest paths, which exist as no cycle gains.
    """
    columns = len(weights[0]) if weights else 0
    prices = [0] * columns
    for _ in range(columns + 2):
        before = list(prices)
        for i, row in enumerate(weights):
            k = agents[i]
            now = 0 if k < 0 else (row[k] or 0) - prices[k]
            for j in range(columns):
                w = row[j]
                if w is not None and j != k and w - now > prices[j]:
                    prices[j] = w - now
        if prices == before:
            return prices
    raise ValueError("moving requests in a circle gains welfare: the allocation is not optimal")


def greatest(weights: Weights, capacities: list[int]) -> int:
    """The greatest welfare: requests come in one by one, each along the best path (successive shortest paths)."""
    agents: list[int] = []
    for i in range(len(weights)):
        # What welfare changes by if a column takes one more, and who of it then goes where.
        change: list[int | None] = [0 if agents.count(k) < room else None for k, room in enumerate(capacities)]
        moves: list[tuple[int, int] | None] = [None] * len(capacities)
        moving = True
        while moving:
            moving = False
            for other, k in enumerate(agents):
                if k < 0 or agents.count(k) < capacities[k]:
                    continue
                own = weights[other][k] or 0
                ways = [(-own, -1)] + [
                    (w - own + d, j)
                    for j, (w, d) in enumerate(zip(weights[other], change, strict=True))
                    if j != k and w is not None and d is not None
                ]
                best, j = max(ways)
                known = change[k]
                if known is None or best > known:
                    change[k], moves[k], moving = best, (other, j), True
        ways = [(0, -1)] + [
            (w + d, j)
            for j, (w, d) in enumerate(zip(weights[i], change, strict=True))
            if w is not None and d is not None
        ]
        _, j = max(ways)
        agents.append(j)
        while j >= 0 and (move := moves[j]) is not None:
            other, j = move
            agents[other] = j
    return sum(weights[i][k] or 0 for i, k in enumerate(agents) if k >= 0)


def placement(told: dict[str, Any], columns: list[int]) -> Said:
    """Whether requests went where their columns are, in their order, and what was predicted is of there."""
    basis, chosen, positions = told["basis"], told["market"]["agents"], told["positions"]
    lines: dict[int, list[int]] = {}
    for i, k in enumerate(chosen):
        agent = columns[k] if k >= 0 else -1
        placed = told["placed"][i]
        if max(placed, -1) != agent:
            yield "placement", f"request {told['requests'][i]} went to agent number {placed}; its column is of {agent}"
        if agent >= 0:
            lines.setdefault(agent, []).append(i)
    for agent, members in lines.items():
        order = [positions[i] for i in sorted(members, key=lambda i: (chosen[i], i))] if positions else []
        if order != list(range(len(order))):
            yield "placement", f"places in the line of {told['agents'][agent]} are {order}"
    for i, agent in enumerate(told["placed"] if basis is not None else ()):
        if not 0 <= agent < len(told["agents"]):
            continue
        place = sum(j < agent for j in columns) + (positions[i] if positions else 0)
        if told["predicted"][i] is None:
            yield "prediction", f"nothing is predicted of request {told['requests'][i]}"
            continue
        if not 0 <= place < len(columns):
            continue
        latency, cost, quality = told["predicted"][i]
        expected = (basis["start"][place] + basis["service"][i][agent], basis["quality"][i][agent])
        if (latency, quality) != expected or micros(cost) != basis["costs"][i][agent]:
            yield "prediction", f"of request {told['requests'][i]} another cost, latency or quality was predicted"


def settlements(entry: dict[str, Any], told: dict[str, Any], i: int) -> set[tuple[int, int]]:
    """Charges and receipts that the settlement may come to: served, graded right or wrong, hung up."""
    charge, cost, predicted, rule = told["charges"][i], entry["cost"], told["predicted"][i], told["rules"]["settlement"]
    if predicted is None or rule == "on-prediction":
        return {(charge, cost)}
    at = micros(predicted[1])
    if rule == "on-measurement":
        return {(charge + cost - at, cost), (charge, cost)}
    if rule == "on-delivery":
        odds = min(CERTAIN, max(1, round(predicted[2] * CERTAIN)))
        return {(charge, at), (-(-charge * CERTAIN // odds), at * CERTAIN // odds), (0, 0)}
    raise ValueError(f"settlement {rule!r} is not known here")


def check_entries(entries: list[dict[str, Any]], rounds: list[dict[str, Any]], from_s: float) -> Iterator[list[str]]:
    """Holds against rounds, endings against holds."""
    decided: dict[str, list[tuple[dict[str, Any], int]]] = {}
    for told in rounds:
        for i, (name, agent) in enumerate(zip(told["requests"], told["placed"], strict=True)):
            if 0 <= agent < len(told["agents"]):
                decided.setdefault(name, []).append((told, i))
    settled: dict[str, int] = {}
    for entry in entries:
        name = entry["request"]
        where, final = f"request {name}, attempt {entry['attempt']}", entry["final"]
        settled[name] = settled.get(name, 0) + (entry["state"] == "settled")
        if entry["amount"] != max(entry["charge"], 0):
            yield ["ending", where, f"{entry['amount']} is held for a charge of {entry['charge']}"]
        if (entry["state"] is None) != entry["open"]:
            yield ["ending", where, f"its ending is {entry['state']}, and it counts as held: {entry['open']}"]
        if entry["moved"] != [final or 0, entry["receipt"] or 0]:
            yield ["movement", where, f"{entry['moved']} was moved; settled are {[final or 0, entry['receipt'] or 0]}"]
        hold = (entry["account"], entry["agent"], entry["charge"])
        left = decided.get(name, [])
        match = next((k for k, (told, i) in enumerate(left) if _decided(told, i) == hold), None)
        if match is None:
            if entry["at_s"] >= from_s or name in decided:
                yield ["undecided", f"request {name}", f"{hold} is held; no round says so"]
            continue
        told, i = left.pop(match)
        if entry["state"] != "settled":
            continue
        beyond = ("on-measurement", "on-delivery")
        if final > entry["amount"] and (entry["capped"] or told["rules"]["settlement"] not in beyond):
            yield ["settlement", where, f"{final} is charged, {entry['amount']} was held"]
        allowed = settlements(entry, told, i)
        capped = {(min(charge, entry["amount"]), receipt) for charge, receipt in allowed}
        if (final, entry["receipt"]) not in allowed | capped:
            yield ["settlement", where, f"{(final, entry['receipt'])} is settled; by the rule it is {sorted(allowed)}"]
    for name, count in settled.items():
        if count > 1:
            yield ["ending", f"request {name}", "it is settled more than once"]


def _decided(told: dict[str, Any], i: int) -> tuple[str, str, int]:
    return told["bidders"][i], told["agents"][told["placed"][i]], told["charges"][i]


def check_round(told: dict[str, Any], counts: dict[str, int]) -> Said:
    """Everything about one auction."""
    made = Round(told)
    crc = zlib.crc32(b"".join(pack(f"<{len(row)}q", *row) for row in made.values))
    if crc != told["market"]["values_crc"]:
        yield "values", "what was stated and predicted makes other values than the market had"
    wrong = list(made.allocation())
    yield from wrong
    if all(-1 <= k < len(made.columns) for k in made.agents):
        yield from placement(told, made.columns)
    if wrong:
        return
    yield from made.balance()
    if (told["rules"]["mechanism"], told["rules"]["allocator"] in EXACT) == ("vcg", True):
        counts["priced"] += 1
        yield from made.payments()
    else:
        counts["left alone"] += 1


def check(lines: Iterable[str]) -> tuple[dict[str, int], list[list[str]]]:
    """Counts, and what is wrong: which check, where, and how; ValueError for what is no export."""
    counts = dict.fromkeys(("rounds", "auctions", "priced", "left alone", "entries"), 0)
    faults: list[list[str]] = []
    seals: dict[int, str] = {}
    rounds: list[dict[str, Any]] = []
    entries: list[dict[str, Any]] = []
    head: dict[str, Any] = {}
    first_s: float | None = None
    for number, line in enumerate(lines, 1):
        one = json.loads(line)
        if number == 1:
            if one.get("export") != EXPORT:
                raise ValueError(f"line 1 does not begin an export, {EXPORT!r}")
            head = one
        elif "entry" in one:
            counts["entries"] += 1
            entries.append(one["entry"])
        else:
            counts["rounds"] += 1
            where = f"round {one['number']}"
            before = seals.get(one["writer"], "" if head["whole"] else one["before"])
            if one["before"] != before:
                faults.append(["seal", where, "the round that its writer kept before it is not there"])
            if hashlib.sha256(f"{one['before']}\n{one['record']}".encode()).hexdigest() != one["seal"]:
                faults.append(["seal", where, "its record is not the one that was sealed"])
            seals[one["writer"]] = one["seal"]
            first_s = one["at_s"] if first_s is None else min(first_s, one["at_s"])
            try:
                told = json.loads(one["record"])
                if missing := [name for name in MEMBERS if name not in told]:
                    raise ValueError(f"{', '.join(missing)} is not there")
                if told["format"] != FORMAT or told["at_s"] != one["at_s"]:
                    faults.append(["record", where, f"it is no {FORMAT!r}, or of another time"])
                found = list(check_round(told, counts)) if told["market"] is not None else []
                counts["auctions"] += told["market"] is not None
                rounds.append(told)
                faults += [[name, where, said] for name, said in dict.fromkeys(found)]
            except (ValueError, LookupError, TypeError, AttributeError, OverflowError) as error:
                faults.append(["record", where, f"it makes no round: {type(error).__name__}: {error}"])
    if first_s is not None:
        faults += check_entries(entries, rounds, first_s if head["whole"] else first_s + BEHIND_S)
    return counts, faults


if __name__ == "__main__":
    if __spec__ is not None:  # run with -m, which loads the package: begin again without it
        os.execv(sys.executable, [sys.executable, "-I", "-S", __file__, *sys.argv[1:]])
    try:
        with Path(sys.argv[1]).open(encoding="utf-8") as file:
            counted, wrong = check(file)
        if not counted["auctions"]:
            raise ValueError("no auction is in it, and a verdict over nothing is none")
    except (OSError, LookupError, TypeError, AttributeError, ValueError) as error:
        print(f"refused, {type(error).__name__}: {error}", file=sys.stderr)
        sys.exit(2)
    for name, where, said in wrong:
        print(f"{where}: {name}: {said}")
    print(f"{'REFUTED' if wrong else 'HOLDS'}: " + ", ".join(f"{count} {name}" for name, count in counted.items()))
    sys.exit(bool(wrong))
