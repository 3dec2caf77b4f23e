"""An outcome in a sentence that a reader can work out again with a pencil."""

from math import inf

from experiments.audits.play import Decided, Profile, Table
from experiments.audits.reference import MICROS
from mechanisms import Preferences


def of_type(one: Preferences) -> str:
    """`worth 6, delay 1.5/s`."""
    deadline = "" if one.deadline == inf else f", deadline {one.deadline:g} s"
    stake = f", stake {one.stake:g}" if one.stake else ""
    return f"worth {one.worth:g}, delay {one.delay_cost:g}/s{deadline}{stake}"


def outcome(table: Table, decided: Decided, i: int, true: Preferences) -> str:
    """`agent 0, place 0: 6 x 0.5 - 1.5 x 0.92 s = 1.62, pays 1.35: 0.27`."""
    j, k = int(decided.agents[i]), int(decided.places[i])
    charge = int(decided.charges[i]) / MICROS
    if j < 0:
        return "unserved" + (f", pays {charge:g}" if charge else "")
    seconds, quality = table.reference.latency[i, j, k], table.reference.quality[j]
    value = table.reference.value(i, j, k, true)
    stake = f" + {true.stake:g}" if true.stake else ""
    worked = f"{true.worth:g} x {quality:g} - {true.delay_cost:g} x {seconds:.4f} s{stake} = {value:.4f}"
    if seconds + table.reference.waited[i] > true.deadline:
        worked = f"{seconds:.4f} s, too late{stake} = {value:g}"
    cost = table.reference.cost[i, j]
    return f"agent {j}, place {k}: {worked}, pays {charge:.4f} (cost {cost:.4f}): {value - charge:.4f}"


def profile_text(table: Table, truth: Profile, reported: Profile | None = None, also: str = "") -> str:
    """Every request: its true type, what is reported instead where something is, and what it gets."""
    said = truth if reported is None else reported
    decided = table.decided(said)
    lines = []
    for i, one in enumerate(table.asked):
        true = table.types[truth[i]]
        lie = "" if said[i] == truth[i] else f", reports {of_type(table.types[said[i]])}"
        lines.append(f"    {one.bidder} ({of_type(true)}{lie}): {outcome(table, decided, i, true)}")
    return "\n".join([*lines, *([also] if also else [])])


def credits_of(micros: int) -> str:
    """Credits."""
    return f"{micros / MICROS:.6f}"
