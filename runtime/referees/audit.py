"""`audit`: everything that books keep of rounds, derived again offline with the objects that serve."""

import random
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator

from mechanisms import MechanismError
from mechanisms.catalogue import find_settlement
from runtime.accounts.archive import Archive, KeptRow
from runtime.accounts.names import seal_of
from runtime.referees.entries import Decision, check_entries, decisions_of
from runtime.referees.kept import Kept, RecordError, read
from runtime.referees.misreports import check_misreports
from runtime.referees.rounds import check_round, exact, mechanism_of
from runtime.referees.verdict import Fault, Verdict

#: Seconds for which a hold may have waited for the books, behind its round.
_BEHIND_S = 6.0

Progress = Callable[[int, int], None]


def audit(
    archive: Archive,
    *,
    since_s: float | None = None,
    misreports: int = 0,
    seed: int = 0,
    progress: Progress = lambda done, total: None,
) -> Verdict:
    """Derive rounds again, and hold the books' entries against them.

    Args:
        archive: the books.
        since_s: look at rounds that were decided since (Unix time) alone.
        misreports: in so many rounds, drawn with `seed`, every bidder's misreports are tried.
        seed: of the draw.
        progress: told how many rounds of how many are done.

    Raises:
        LedgerError: the books cannot be read.
    """
    verdict = Verdict(seed=seed)
    total = archive.count(since_s)
    sampled = frozenset(random.Random(seed).sample(range(total), min(misreports, total)))
    decided: defaultdict[str, list[Decision]] = defaultdict(list)
    whole = since_s is None and not archive.dropped()
    first_s = None
    for k, (row, kept) in enumerate(_read(archive.rounds(since_s), verdict, whole)):
        first_s = row.at_s if first_s is None else min(first_s, row.at_s)
        if kept is not None:
            for request, decision in decisions_of(kept, row.number):
                decided[request].append(decision)
            _check(kept, f"round {row.number}", verdict, tries=k in sampled)
        progress(k + 1, total)
    if first_s is not None:
        from_s = first_s if whole else first_s + _BEHIND_S
        check_entries(archive.entries(first_s), decided, from_s, verdict, find_settlement)
    for name, balance, moved in archive.unlike():
        said = f"its balance is {balance} micro-units, what was moved adds up to {moved}"
        verdict.faults.append(Fault("balance", f"account {name}", said))
    return verdict


def _read(rows: Iterable[KeptRow], verdict: Verdict, whole: bool) -> Iterator[tuple[KeptRow, Kept | None]]:
    """Rounds, after a look at their seals; None for what cannot be read."""
    seals: dict[int, str] = {}
    for row in rows:
        where = f"round {row.number}"
        verdict.rounds += 1
        # The first that is looked at comes after rounds that are not, unless all are.
        before = seals.get(row.writer, "" if whole else row.before)
        if row.before != before:
            verdict.faults.append(Fault("seal", where, "the round that its writer kept before it is not there"))
        if seal_of(row.before, row.record) != row.seal:
            verdict.faults.append(Fault("seal", where, "its record is not the one that was sealed"))
        seals[row.writer] = row.seal
        try:
            kept = read(row.record)
        except RecordError as error:
            verdict.faults.append(Fault("record", where, str(error)))
            yield row, None
            continue
        if kept.at_s != row.at_s:
            said = f"it was decided at {kept.at_s}, and is kept as of {row.at_s}"
            verdict.faults.append(Fault("record", where, said))
        verdict.requests += len(kept.requests)
        yield row, kept


def _check(kept: Kept, where: str, verdict: Verdict, *, tries: bool) -> None:
    if kept.auction is None:
        verdict.unauctioned += 1
        return
    try:
        mechanism = mechanism_of(kept.rules)
    except MechanismError as error:
        verdict.faults.append(Fault("record", where, str(error)))
        return
    name = str(mechanism)
    verdict.mechanisms[name] = verdict.mechanisms.get(name, 0) + 1
    verdict.certified += exact(mechanism)
    verdict.repeated += not exact(mechanism)
    faults = check_round(kept, mechanism, where)
    verdict.faults += faults
    if tries and not faults:
        verdict.sampled += 1
        tried, gains = check_misreports(kept, mechanism, where)
        verdict.misreports += tried
        verdict.faults += gains
