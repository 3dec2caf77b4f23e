"""Several workloads at the same time, against the same fleet.

Mix([Dialogues("coqa-dev", rate=0.7), Trace("azure-conv", count=500), Questions("llmrouter-train", rate=0.3)])
Mix({"talk": Dialogues("coqa-dev"), "code": Trace("azure-code", count=500)}, shared_bidders=False)
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count
from math import isinf

import numpy as np

from experiments.answers import AnswerTable
from experiments.answers.table import joined
from experiments.data import Dialogue
from experiments.errors import StudyError
from experiments.worlds.presets import Preset
from experiments.worlds.traffic.mixed import MixedTraffic
from experiments.worlds.traffic.traffic import ALONE, Within
from experiments.worlds.workloads.fields import weight, written
from experiments.worlds.workloads.workload import Dialogues, Questions, Trace
from mechanisms import Preferences

#: What a mix may be made of.
Part = Dialogues | Questions | Trace

_NAME = re.compile(r"[A-Za-z0-9_-]+")


@dataclass(frozen=True, slots=True)
class Mix:
    """Workloads that are played at the same time: rates add up, caches and agents are shared.

    Each part is drawn by the seed and its place; the first is drawn as it would be alone. A mix of one is that one.

    Args:
        parts: by name, or in order, when each is called by its kind (`dialogues`, `questions`, `trace`). A mix among
            them counts as its parts.
        shared_bidders: whether the same bidders ask in all parts; else each part has as many of its own.
        share: of arrivals, each part's in any unit, by name or in order: of the conversations that begin (each question
            is one, and each request of a trace), in a second as in all. The sum of rates stays, and as many come as the
            part that has fewest for its share allows. Without, each part has its own rate and size.

    Raises:
        StudyError: there is no part, one is no workload of these kinds, two are called alike, or shares are no numbers
            above 0 or not of each part.

    >>> from experiments.worlds.workloads.workload import Dialogues
    >>> Mix({"slow": Dialogues(rate=0.1), "fast": Dialogues(rate=2.0)}).name
    'slow: shipped, 0.1/s + fast: shipped, 2/s'
    """

    parts: Mapping[str, "Part | Mix"] | Sequence["Part | Mix"]
    shared_bidders: bool = True
    share: Mapping[str, float] | Sequence[float] | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.shared_bidders, bool):
            raise StudyError(f"Mix: shared_bidders = {self.shared_bidders!r}; expected true or false")
        found = _flat(self)
        object.__setattr__(self, "parts", {name: part for name, part, _ in found})
        shares = {name: share for name, _, share in found if share is not None}
        object.__setattr__(self, "share", shares or None)

    @property
    def by_name(self) -> dict[str, Part]:
        """The parts, in order."""
        return self.parts  # type: ignore[return-value]

    @property
    def by_share(self) -> dict[str, float]:
        """Shares of arrivals by part, in the unit in which they were given; empty where each has its own."""
        return dict(self.share or {})  # type: ignore[arg-type]

    @property
    def name(self) -> str:
        """Its parts, and whether they have bidders of their own."""
        parts = self.by_name
        if len(parts) == 1:
            return next(iter(parts.values())).name
        shares = {name: f", share {written(value)}" for name, value in self.by_share.items()}
        text = " + ".join(f"{name}: {one.name}{shares.get(name, '')}" for name, one in parts.items())
        return text if self.shared_bidders else f"{text}, bidders of their own"

    @property
    def sources(self) -> tuple[tuple[str, str], ...]:
        """The files of all parts."""
        return tuple(dict.fromkeys(found for one in self.by_name.values() for found in one.sources))

    @property
    def held_out(self) -> tuple[Dialogue, ...]:
        """The dialogues to warm up on: what parts keep out and no part holds."""
        talks = [one for one in self.by_name.values() if isinstance(one, Dialogues)]
        played = {dialogue.id for one in talks for dialogue in one.played}
        found = {dialogue.id: dialogue for one in talks for dialogue in one.held_out}
        return tuple(dialogue for name, dialogue in found.items() if name not in played)

    @property
    def scored(self) -> AnswerTable | None:
        """What parts ask of tables of answers, on the models that all of these have; None without a table."""
        found = [table for table in self.tables.values() if table is not None]
        return joined(found, self.models) if found else None

    @property
    def training(self) -> AnswerTable | None:
        """What parts keep out of their tables and no part asks; None where nothing is left."""
        found = [one.training for one in self.by_name.values()]
        kept = [table for table in found if table is not None]
        if not kept:
            return None
        asked = set[str]() if len(self.by_name) == 1 or self.scored is None else set(self.scored.questions)
        table = joined(kept, self.models)
        rows = [k for k, question in enumerate(table.questions) if question not in asked]
        return table.rows(np.array(rows, np.intp)) if rows else None

    @property
    def tables(self) -> dict[str, AnswerTable | None]:
        """By part, the table by which its answers are right, as far as it is asked."""
        return {name: one.scored for name, one in self.by_name.items()}

    @property
    def models(self) -> tuple[str, ...]:
        """Those that all tables have, in the first one's order; none where there is no table.

        Raises:
            StudyError: two tables have none in common.
        """
        found: tuple[str, ...] = ()
        first = ""
        for name, table in self.tables.items():
            if table is None:
                continue
            common = tuple(model for model in found if model in table.models) if first else table.models
            if not common:
                raise StudyError(
                    f"workload.mix: no agent could answer both {first} and {name}: {table.title} has the models "
                    f"{', '.join(table.models)}, and before there were {', '.join(found)}"
                )
            found, first = common, first or name
        return found

    def draw(self, bidders: Preset, seed: int) -> MixedTraffic:
        """Every part, by seeds of their own.

        Raises:
            StudyError: a part has a share, and all of it comes at one moment.
        """
        same, made = _Same(bidders.draw), {}
        for place, (name, within) in enumerate(self._within().items()):
            drawn = replace(bidders, draw=same.again()) if self.shared_bidders else bidders
            made[name] = self.by_name[name].draw(drawn, part_seed(seed, place), within)
        return MixedTraffic(made)

    def _within(self) -> dict[str, Within]:
        parts = self.by_name
        if len(parts) == 1:
            return dict.fromkeys(parts, ALONE)
        found = {}
        for name in parts:
            graded = any(not _taken_right(one) for other, one in parts.items() if other != name)
            found[name] = Within(f"{name}/", "" if self.shared_bidders else f"{name}/", graded)
        return self._portioned(found) if self.share else found

    def _portioned(self, given: Mapping[str, Within]) -> dict[str, Within]:
        """The same, with so many arrivals at such a pace that parts have their shares."""
        found = {name: one.arrivals for name, one in self.by_name.items()}
        for name, (_, per_s) in found.items():
            if isinf(per_s):
                raise StudyError(f"Mix: all of {name} comes at one moment, which is no share of a second; say none")
        together, whole = sum(per_s for _, per_s in found.values()), sum(self.by_share.values())
        shares = {name: value / whole for name, value in self.by_share.items()}
        most = min(count / shares[name] for name, (count, _) in found.items())
        return {
            name: replace(
                one,
                arrivals=max(1, round(most * shares[name])),
                pace=together * shares[name] / found[name][1],
            )
            for name, one in given.items()
        }


def part_seed(seed: int, place: int) -> int:
    """By what the part in this place is drawn: the first by the seed itself, and no two alike."""
    return seed if place == 0 else int(np.random.SeedSequence([seed, place]).generate_state(1, np.uint64)[0])


class _Same:
    """Draws bidders so that whoever is drawn in the same place of any part is one bidder."""

    def __init__(self, draw: Callable[[np.random.Generator], Preferences]) -> None:
        self._draw = draw
        self._held: list[Preferences] = []

    def again(self) -> Callable[[np.random.Generator], Preferences]:
        """From the first bidder on. A part draws by its own generator all the same: what follows is as alone."""
        places = count()

        def drawn(rng: np.random.Generator) -> Preferences:
            one, place = self._draw(rng), next(places)
            if place == len(self._held):
                self._held.append(one)
            return self._held[place]

        return drawn


def _taken_right(one: Part) -> bool:
    """Whether nobody grades its answers, which are taken to be right."""
    return isinstance(one, Trace) and one.answers is None


def _flat(mix: Mix) -> list[tuple[str, Part, float | None]]:
    """The parts of a mix and of those within it, by name, each with its share where shares are said.

    Raises:
        StudyError: as `Mix`.
    """
    given = mix.parts
    if not isinstance(given, (Mapping, list, tuple)):
        raise StudyError(f"Mix: parts = {given!r:.60}; expected workloads, in order or by name")
    named = given.items() if isinstance(given, Mapping) else [(type(one).__name__.lower(), one) for one in given]
    shares = _shares(mix.share, [name for name, _ in named])
    found: dict[str, tuple[Part, float | None]] = {}
    for (name, one), share in zip(named, shares, strict=True):
        if not isinstance(one, (Dialogues, Questions, Trace, Mix)):
            raise StudyError(f"Mix: {name} is {one!r:.60}; a part is Dialogues, Questions, a Trace or a Mix of these")
        if isinstance(one, Mix) and one.shared_bidders != mix.shared_bidders and len(one.by_name) > 1:
            raise StudyError(
                f"Mix: {name} says shared_bidders = {one.shared_bidders}, and what it is in {mix.shared_bidders}; "
                "bidders are shared by all parts or by none"
            )
        for inner, part, portion in _within_share(name, one, share):
            if not isinstance(inner, str) or _NAME.fullmatch(inner) is None:
                raise StudyError(f"Mix: a part is called {inner!r}; expected letters, digits, - and _")
            if inner in found:
                raise StudyError(f"Mix: two parts are called {inner!r}; give each a name of its own")
            found[inner] = (part, portion)
    if not found:
        raise StudyError("Mix: there is no part; name one workload at least")
    return [(name, part, portion) for name, (part, portion) in found.items()]


def _within_share(name: str, one: Part | Mix, share: float | None) -> list[tuple[str, Part, float | None]]:
    """A part, or those of a mix, which divide its share as they divide their own.

    Raises:
        StudyError: shares are said of a mix and not in it, or in it alone.
    """
    if not isinstance(one, Mix):
        return [(name, one, share)]
    if len(one.by_name) > 1 and (share is None) != (not one.by_share):
        lacks = f"{name} has no share" if share is None else f"the parts of {name} have no share"
        raise StudyError(f"Mix: {lacks} of arrivals, and others have; say it of each part or of none")
    whole = sum(one.by_share.values())
    return [
        (inner, part, None if share is None else share * one.by_share.get(inner, 1.0) / (whole or 1.0))
        for inner, part in one.by_name.items()
    ]


def _shares(given: object, names: Sequence[str]) -> list[float | None]:
    """Of parts of these names, in order; None where nothing is said.

    Raises:
        StudyError: as `Mix`.
    """
    if given is None:
        return [None] * len(names)
    if not isinstance(given, (Mapping, list, tuple)):
        raise StudyError(f"Mix: share = {given!r:.60}; expected a number for each part, in order or by name")
    if not isinstance(given, Mapping):
        if len(given) != len(names):
            raise StudyError(f"Mix: {len(given)} shares of {len(names)} parts; say it of each part or of none")
        return [weight(value, f"Mix: share of {name}") for name, value in zip(names, given, strict=True)]
    for name in (*names, *given):
        if name not in given or name not in names:
            kind = "part" if name in given else "share"
            raise StudyError(f"Mix: share: {name!r} has no {kind}; there are the parts {', '.join(map(str, names))}")
    return [weight(given[name], f"Mix: share of {name}") for name in names]
