"""Several workloads at the same time, against the same fleet.

Mix([Dialogues("coqa-dev", rate=0.7), Trace("azure-conv", count=500), Questions("llmrouter-train", rate=0.3)])
Mix({"talk": Dialogues("coqa-dev"), "code": Trace("azure-code", count=500)}, shared_bidders=False)
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count

import numpy as np

from experiments.answers import AnswerTable
from experiments.answers.table import joined
from experiments.data import Dialogue
from experiments.errors import StudyError
from experiments.worlds.presets import Preset
from experiments.worlds.traffic.mixed import MixedTraffic
from experiments.worlds.traffic.traffic import ALONE, Within
from experiments.worlds.workload import Dialogues, Questions, Trace
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

    Raises:
        StudyError: there is no part, one is no workload of these kinds, or two are called alike.

    >>> from experiments.worlds.workload import Dialogues
    >>> Mix({"slow": Dialogues(rate=0.1), "fast": Dialogues(rate=2.0)}).name
    'slow: shipped, 0.1/s + fast: shipped, 2/s'
    """

    parts: Mapping[str, "Part | Mix"] | Sequence["Part | Mix"]
    shared_bidders: bool = True

    def __post_init__(self) -> None:
        if not isinstance(self.shared_bidders, bool):
            raise StudyError(f"Mix: shared_bidders = {self.shared_bidders!r}; expected true or false")
        object.__setattr__(self, "parts", dict(_flat(self)))

    @property
    def by_name(self) -> dict[str, Part]:
        """The parts, in order."""
        return self.parts  # type: ignore[return-value]

    @property
    def name(self) -> str:
        """Its parts, and whether they have bidders of their own."""
        parts = self.by_name
        if len(parts) == 1:
            return next(iter(parts.values())).name
        text = " + ".join(f"{name}: {one.name}" for name, one in parts.items())
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
        """Every part, by seeds of their own."""
        same, made = _Same(bidders.draw), {}
        for place, (name, one) in enumerate(self.by_name.items()):
            drawn = replace(bidders, draw=same.again()) if self.shared_bidders else bidders
            made[name] = one.draw(drawn, part_seed(seed, place), self._within(name))
        return MixedTraffic(made)

    def _within(self, name: str) -> Within:
        if len(self.by_name) == 1:
            return ALONE
        graded = any(not _taken_right(one) for other, one in self.by_name.items() if other != name)
        return Within(f"{name}/", "" if self.shared_bidders else f"{name}/", graded)


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


def _flat(mix: Mix) -> list[tuple[str, Part]]:
    """The parts of a mix and of those within it, by name.

    Raises:
        StudyError: as `Mix`.
    """
    given = mix.parts
    if not isinstance(given, (Mapping, list, tuple)):
        raise StudyError(f"Mix: parts = {given!r:.60}; expected workloads, in order or by name")
    named = given.items() if isinstance(given, Mapping) else ((type(one).__name__.lower(), one) for one in given)
    found: dict[str, Part] = {}
    for name, one in named:
        if not isinstance(one, (Dialogues, Questions, Trace, Mix)):
            raise StudyError(f"Mix: {name} is {one!r:.60}; a part is Dialogues, Questions, a Trace or a Mix of these")
        if isinstance(one, Mix) and one.shared_bidders != mix.shared_bidders and len(one.by_name) > 1:
            raise StudyError(
                f"Mix: {name} says shared_bidders = {one.shared_bidders}, and what it is in {mix.shared_bidders}; "
                "bidders are shared by all parts or by none"
            )
        for inner, part in one.by_name.items() if isinstance(one, Mix) else [(name, one)]:
            if not isinstance(inner, str) or _NAME.fullmatch(inner) is None:
                raise StudyError(f"Mix: a part is called {inner!r}; expected letters, digits, - and _")
            if inner in found:
                raise StudyError(f"Mix: two parts are called {inner!r}; give each a name of its own")
            found[inner] = part
    if not found:
        raise StudyError("Mix: there is no part; name one workload at least")
    return list(found.items())
