"""What a reader of a study has to know of its runs, by name, as captions and pages say it."""

from collections.abc import Iterable, Sequence
from math import isnan

from experiments.studies.study.cells.cell import Cell
from experiments.studies.study.running.playing import REQUIRED, Played
from experiments.worlds.workloads.mix import Mix
from proofs import Report

#: A cell, a policy, a seed, and what that run came to.
Ran = tuple[Cell, str, int, Played]


def remarks(runs: Sequence[Ran], reports: Sequence[Report]) -> dict[str, str]:
    """What was asked of which engines and bidders, what was measured, what an audit refused, and who served nobody."""
    said = [
        (
            cell,
            cell.workload.name,
            _engines(cell),
            _bidders(cell),
            done.measured,
        )
        for cell, *_, done in runs
    ]
    described = {
        "traffic": "; ".join(dict.fromkeys(traffic for _, traffic, *_ in said)),
        "engines": "simulated: " + _apart((cell, engines) for cell, _, engines, *_ in said),
        "bidders": _apart((cell, bidders) for cell, _, _, bidders, _ in said),
        "quality": _apart((cell, measured) for cell, *_, measured in said),
    }
    churn = _apart((cell, "; ".join(f"{c.agent} {c.event} at {c.at_s:g} s" for c in cell.churn)) for cell, *_ in said)
    described |= {"churn": churn} if churn else {}
    return described | _despite(reports, runs) | _idle(runs)


def _engines(cell: Cell) -> str:
    kinds = dict.fromkeys(f"{agent.step_time.fitted_to}" for agent in cell.fleet)
    return f"{len(cell.fleet)} agents; speeds fitted to " + "; ".join(kinds)


def _bidders(cell: Cell) -> str:
    own = isinstance(cell.workload, Mix) and not cell.workload.shared_bidders
    return f"{cell.bidders.bidders}{' in each part' if own else ''}, {cell.bidders.description}"


def _apart(said: Iterable[tuple[Cell, str]]) -> str:
    """What is said of cells: once where it is of all, else with the cells that it is of."""
    by: dict[str, dict[str, None]] = {}
    for cell, text in said:
        by.setdefault(text, {})[cell.name] = None
    if len(by) == 1:
        return next(iter(by))
    return "; ".join(
        text if list(names) == [text] else f"{text} ({'; '.join(names)})" for text, names in by.items() if text
    )


def _despite(reports: Sequence[Report], runs: Sequence[Ran]) -> dict[str, str]:
    """What a reader must know of a mechanism that was run although it is refuted."""
    lacking = {str(one.subject): [name for name in REQUIRED if not one[name]] for one in reports}
    failed = [f"{subject}: {', '.join(names)} not found to hold" for subject, names in lacking.items() if names]
    found = dict.fromkeys(f"{one}" for *_, done in runs for one in done.contradictions)
    said = {"despite its audit": "; ".join(failed)} if failed else {}
    return said | ({"contradicted": "; ".join(found)} if found else {})


def _idle(runs: Sequence[Ran]) -> dict[str, str]:
    """Policies that served nobody in a cell, at no seed."""
    by: dict[tuple[str, str], list[Played]] = {}
    for cell, policy, _, done in runs:
        by.setdefault((policy, cell.name), []).append(done)
    cells, idle = len({cell.name for cell, *_ in runs}), dict[tuple[str, bool], list[tuple[str, int]]]()
    for (policy, where), each in by.items():
        count = sum(done.score.declined for done in each)
        if count and not any(done.score.served for done in each):
            # Who was never asked has no time that it took.
            never = all(isnan(done.score.decide_ms) for done in each)
            idle.setdefault((policy, never), []).append((where, count))
    texts = []
    for (policy, never), places in idle.items():
        count = sum(one for _, one in places)
        why = ", which was never asked: it was never `ready` for a round" if never else ""
        inside = f" ({'; '.join(where for where, _ in places)})" if len(places) < cells else ""
        texts.append(f"{count} of {count} requests were declined by {policy}{why}{inside}")
    return {"served nobody": "; ".join(texts)} if texts else {}
