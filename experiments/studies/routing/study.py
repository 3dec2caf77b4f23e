"""The study behind `iemas routers`: which table, which vectors, which routers; users with tastes beside it."""

import importlib.util
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from experiments.answers import AnswerTable
from experiments.errors import StudyError
from experiments.routers.catalogue import make_own
from experiments.routers.learned.embedding import BatchEmbedder, Counted, MiniLM, Vector, table_vectors
from experiments.routers.learned.router import QueryRouter
from experiments.studies.routing.comparison import (
    LEARNED,
    PERSONAL,
    REFERENCES,
    WITH_TORCH,
    Asked,
    Make,
    Row,
    compare,
    resplit,
)
from experiments.studies.routing.invented import invented
from prediction import HashedNgrams
from runtime.models import Progress as Fetching

#: Told what is done, how much, and of how much.
Progress = Callable[[str, int, int], None]

EMBEDDERS = ("minilm", "hashed")
#: Users of the invented table with tastes: each has asked some twenty questions.
_USERS = 20


@dataclass(frozen=True, slots=True)
class Compared:
    """Rows of one table of questions; `about` says which, `left_out` who could not be trained here, and why."""

    about: str
    rows: tuple[Row, ...]
    left_out: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, object]:
        """For JSON."""
        rows = [{**asdict(row), "better": row.better} for row in self.rows]
        return {"about": self.about, "left_out": list(self.left_out), "rows": rows}


class Hashed:
    """`prediction.HashedNgrams` for whole tables: no download, and no meaning beyond letters."""

    def __init__(self) -> None:
        self._grams = HashedNgrams()
        self.name, self.size = "hashed", self._grams.size

    def embed(self, text: str) -> Vector:
        """(size,) float32."""
        return self._grams.embed(text)

    def embed_all(self, texts: Sequence[str], progress: Counted = lambda done, total: None) -> Vector:
        """(N, size)."""
        vectors = np.zeros((len(texts), self.size), np.float32)
        for k, text in enumerate(texts):
            vectors[k] = self.embed(text)
            progress(k + 1, len(texts))
        return vectors


def find_embedder(name: str, fetching: Fetching) -> BatchEmbedder:
    """The embedder of this name.

    Raises:
        StudyError: there is none.
        ModelError: its weights cannot be had.
    """
    if name not in EMBEDDERS:
        raise StudyError(f"no embedder {name!r}; there are: {', '.join(EMBEDDERS)}")
    return MiniLM(progress=fetching) if name == "minilm" else Hashed()


def on_table(
    table: AnswerTable,
    embedder: BatchEmbedder,
    *,
    training: int,
    test: int,
    fits: int,
    routers: Sequence[str] = (),
    progress: Progress = lambda doing, done, total: None,
) -> Compared:
    """Routers on splits of a table.

    Raises:
        StudyError: there are too few questions, a router is unknown.
    """
    chosen, left_out = choose(routers, LEARNED)
    # Sizes are checked on vectors of nothing: to embed takes minutes.
    resplit(Asked(np.zeros((len(table.questions), 1), np.float32), table), training, test, fits)
    vectors = table_vectors(table.questions, embedder, progress=lambda done, total: progress("embed", done, total))
    cases = resplit(Asked(vectors, table), training, test, fits)
    about = f"{table.title}: {training} to learn from, {test} to test on, {_times(fits)}"
    return Compared(about, tuple(compare(cases, chosen, progress)), left_out)


def on_invented(
    *,
    fits: int,
    tastes: bool = False,
    routers: Sequence[str] = (),
    progress: Progress = lambda doing, done, total: None,
) -> Compared:
    """Routers on invented questions, without or with users' tastes.

    Raises:
        StudyError: a router is unknown, or no fit is asked for.
    """
    chosen, left_out = choose(routers, PERSONAL if tastes else LEARNED)
    users = _USERS if tastes else 0
    cases = [invented(users=users, seed=seed) for seed in range(fits)]
    who = f"{users} invented users with a taste each" if tastes else "invented topics"
    about = f"{who}: 400 to learn from, 200 to test on, 4 models, {_times(fits)}"
    return Compared(about, tuple(compare(cases, chosen, progress)), left_out)


def choose(names: Sequence[str], known: Mapping[str, Make]) -> tuple[dict[str, Make], tuple[str, ...]]:
    """Routers by name, all by default, or yours (`mine:Router`); and who is left out for want of torch.

    Raises:
        StudyError: there is none of a name.
    """
    chosen, left_out = {}, []
    torch = importlib.util.find_spec("torch") is not None
    for name in names or known:
        if ":" in name:
            chosen[name] = _own(name)
        elif name in LEARNED or name in PERSONAL:
            if name in known and (torch or name not in WITH_TORCH):
                chosen[name] = known[name]
            elif name in known:
                left_out.append(f"{name} is trained with torch: pip install 'iemas[baselines]'")
        elif name not in REFERENCES:
            there = ", ".join(dict.fromkeys([*LEARNED, *PERSONAL]))
            raise StudyError(f"no router {name!r}; there are: {there}, or yours, such as mine:Router")
    return chosen, tuple(left_out)


def _own(name: str) -> Make:
    def make() -> QueryRouter:
        router: QueryRouter = make_own(name, ("fit", "scores"), "router of questions (see docs/learned-routers.md)")  # type: ignore[assignment]
        return router

    return make


def _times(fits: int) -> str:
    return f"{fits} fit{'s' * (fits > 1)}"
