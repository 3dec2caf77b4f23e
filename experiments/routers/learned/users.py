"""A graph of users, turns and models, after GMTRouter (Xie, Sun, Feng and You 2025, arXiv:2511.08590).

Taken from the paper: users begin as zeros and become what their history makes them; two layers of attention by kinds of
nodes and edges (heterogeneous graph transformer: Hu, Dong, Wang and Sun 2020) with dropout and layer norms; a head in
which each model attends to the user and to the question, and a score from what it got and itself; ratings are learnt by
their log loss. In every step some turns are history and others are foretold.

What differs: a turn is a question with one rating a model, standing for the paper's query, response and turn nodes; a
rating decides which of two value matrices an edge's message passes, by its share; there are no sessions. A question to
be routed has no edges, so after training all that the layers made of users and models is kept as arrays, with what a
user without history becomes, and the head is computed in numpy: torch trains alone.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from experiments.answers import AnswerTable
from experiments.errors import StudyError
from experiments.routers.learned.router import (
    Floats,
    Training,
    Users,
    Vectors,
    chances,
    check_fitted,
    torch_for,
    torch_seeded,
    training,
)


class GMTRouter:
    """GMTRouter over questions' vectors and the names of those who ask.

    Args:
        hidden: length of a node's vector; a multiple of `heads`.
        heads: of every attention.
        epochs: steps of the optimiser.
        history: share of turns that are history in a step.
        rate, decay: of AdamW (Loshchilov and Hutter 2019).
        dropout: of what passes a layer.

    Raises:
        StudyError: one of them is out of range.
    """

    name = "gmt"
    foretells = True

    def __init__(
        self,
        hidden: int = 64,
        *,
        heads: int = 4,
        epochs: int = 200,
        history: float = 0.5,
        rate: float = 3e-3,
        decay: float = 1e-2,
        dropout: float = 0.1,
    ) -> None:
        fine = min(hidden, heads, epochs, rate) > 0 and decay >= 0 and 0 < history < 1 and 0 <= dropout < 1
        if not fine or hidden % heads:
            raise StudyError(
                f"GMTRouter with hidden={hidden}, heads={heads}, epochs={epochs}, history={history}, rate={rate}, "
                f"decay={decay}, dropout={dropout}; history and dropout are shares below 1, the others are positive, "
                "hidden is a multiple of heads"
            )
        self.models: tuple[str, ...] = ()
        self._hidden, self._heads, self._epochs, self._history = hidden, heads, epochs, history
        self._rate, self._decay, self._dropout = rate, decay, dropout

    def fit(self, vectors: Vectors, table: AnswerTable, *, users: Users = None, seed: int = 0) -> None:
        """Train with torch, on the CPU; without users, all questions are taken to be one user's.

        Raises:
            StudyError: torch is not installed.
        """
        taken = training(vectors, table, users)
        torch = torch_for(self.name)
        named = taken.users or ("",) * len(taken.vectors)
        self._users = {user: k for k, user in enumerate(sorted(set(named)))}
        self._alone = taken.users is None
        whose = np.array([self._users[user] for user in named])
        self._arrays = _trained(torch, taken, whose, self, seed)
        self.models = table.models

    def scores(self, vectors: Vectors, users: Users = None) -> Floats:
        """(N, M) expected ratings; a user without history is nobody in particular."""
        check_fitted(self)
        arrays, heads = self._arrays, self._heads
        at = self._rows(len(vectors), users)
        count, models = len(vectors), len(self.models)
        asked = np.asarray(vectors, np.float32) @ arrays["of_question"] + arrays["of_question_level"]
        keys, values = np.split(asked, 2, axis=1)
        # Softmax over two is the logistic function of the difference.
        apart = (arrays["user_keys"][at] - keys).reshape(count, 1, heads, -1) * arrays["model_queries"]
        share = chances(apart.sum(axis=-1)).astype(np.float32)[..., None]
        values = values.reshape(count, 1, heads, -1)
        got = values + share * (arrays["user_values"][at].reshape(count, 1, heads, -1) - values)
        risen = got.reshape(count, models, -1) @ arrays["attended"] + arrays["itself"]
        np.maximum(risen, 0, out=risen)
        return chances((risen @ arrays["last"] + arrays["last_level"]).astype(np.float64))

    def _rows(self, count: int, users: Sequence[str] | None) -> list[int]:
        if self._alone:
            return [0] * count
        unknown = len(self._users)
        return [unknown] * count if users is None else [self._users.get(user, unknown) for user in users]


def _trained(torch: Any, taken: Training, whose: Floats, given: GMTRouter, seed: int) -> dict[str, Vectors]:
    """What inference needs, as arrays: see `GMTRouter.scores`."""
    nn, width, heads = torch.nn, given._hidden, given._heads
    questions, ratings = torch.from_numpy(taken.vectors), torch.from_numpy(taken.scores).float()
    count, models = ratings.shape
    # One user more, who has no history.
    people = int(whose.max()) + 2
    of_user = torch.zeros(people, count)
    of_user[torch.from_numpy(whose), torch.arange(count)] = 1
    draws = torch.Generator().manual_seed(seed)

    def attended(query: Any, key: Any, value: Any, seen: Any) -> Any:
        """(A, width): rows of `query` over rows of `key`, where (A, B) `seen`; zero where nothing is."""
        parts = [one.reshape(len(one), heads, -1).transpose(0, 1) for one in (query, key, value)]
        logits = parts[0] @ parts[1].transpose(1, 2) * (width // heads) ** -0.5
        logits = logits.masked_fill(seen == 0, -1e9)
        shares = logits.softmax(-1) * seen
        return (shares @ parts[2]).transpose(0, 1).reshape(len(query), width)

    def rated(block: Any, name: str, theirs: Any) -> tuple[Any, Any]:
        """Values of an edge to something that was liked, and to something that was not."""
        return block[f"{name}-liked"](theirs), block[f"{name}-disliked"](theirs)

    with torch_seeded(torch, seed):
        of_question = nn.Linear(questions.shape[1], width)
        of_models = nn.Parameter(torch.randn(models, width))
        blocks = nn.ModuleList(nn.ModuleDict(_block(nn, width)) for _ in range(2))
        head = nn.ModuleDict(_head(nn, width, given._dropout))
        dropped = nn.Dropout(given._dropout)
        learnt = [of_models, *of_question.parameters(), *blocks.parameters(), *head.parameters()]
        optimiser = torch.optim.AdamW(learnt, given._rate, weight_decay=given._decay)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, given._epochs)

        def grown(turns: Any, past: Any) -> tuple[Any, Any]:
            """(U, width) users and (M, width) models after two layers over the turns that are past, a mask (Q,)."""
            users, theirs = torch.zeros(people, width), of_models
            mine, every = of_user * past, past.expand(models, count)
            for block in blocks:
                liked, disliked = rated(block, "turn", theirs)
                told = (ratings @ liked + (1 - ratings) @ disliked) / models + block["turn-user"](of_user.T @ users)
                keys, values = block["turn-key"](turns), block["turn-value"](turns)
                to_users = attended(block["user-query"](users), keys, values, mine)
                liked, disliked = rated(block, "model", turns)
                query, weights = block["model-query"](theirs), ratings.T
                to_models = attended(query, keys, liked, every * weights)
                to_models = to_models + attended(query, keys, disliked, every * (1 - weights))
                users = block["user-norm"](users + dropped(to_users))
                turns = block["turn-norm"](turns + dropped(told))
                theirs = block["model-norm"](theirs + dropped(to_models))
            return users, theirs

        for _ in range(given._epochs):
            optimiser.zero_grad()
            past = (torch.rand(count, generator=draws) < given._history).float()
            start = of_question(questions)
            users, theirs = grown(start, past)
            logits = _scored(torch, head, heads, users[torch.from_numpy(whose)], start, theirs)
            loss = nn.functional.binary_cross_entropy_with_logits(logits, ratings, 1 - past[:, None], reduction="sum")
            (loss / ((1 - past).sum().clamp(min=1) * models)).backward()
            optimiser.step()
            schedule.step()
        with torch.no_grad():
            dropped.eval()
            users, theirs = grown(of_question(questions), torch.ones(count))
            return _exported(torch, head, heads, of_question, users, theirs[torch.from_numpy(taken.columns)])


def _scored(torch: Any, head: Any, heads: int, users: Any, asked: Any, models: Any) -> Any:
    """(Q, M) logits: models attend to their question's user and to the question itself."""
    count = len(asked)
    query = head["query"](models).reshape(len(models), heads, -1)
    pair = torch.stack([head["user"](users), head["question"](asked)], dim=1)
    keys = head["key"](pair).reshape(count, 2, heads, -1)
    values = head["value"](pair).reshape(count, 2, heads, -1)
    shares = (torch.einsum("mhd,qkhd->qmhk", query, keys) * query.shape[-1] ** -0.5).softmax(-1)
    got = torch.einsum("qmhk,qkhd->qmhd", shares, values).reshape(count, len(models), -1)
    risen = (head["attended"](got) + head["itself"](models)).relu()
    return head["last"](head["drop"](risen)).squeeze(-1)


def _exported(torch: Any, head: Any, heads: int, of_question: Any, users: Any, models: Any) -> dict[str, Vectors]:
    """The head with everything multiplied out that does not depend on the question."""

    def matrix(*chain: Any) -> tuple[Any, Any]:
        """Weight (in, out) and level (out,) of linear maps one after the other."""
        weight, level = torch.eye(chain[0].in_features), torch.zeros(chain[0].in_features)
        for one in chain:
            weight, level = weight @ one.weight.T, level @ one.weight.T + (0 if one.bias is None else one.bias)
        return weight, level

    key, key_level = matrix(of_question, head["question"], head["key"])
    value, value_level = matrix(of_question, head["question"], head["value"])
    mapped = head["user"](users)
    width = models.shape[1]
    found = {
        "of_question": torch.hstack([key, value]),
        "of_question_level": torch.hstack([key_level, value_level]),
        "user_keys": head["key"](mapped),
        "user_values": head["value"](mapped),
        "model_queries": (head["query"](models) * (width // heads) ** -0.5).reshape(len(models), heads, -1),
        "attended": head["attended"].weight.T,
        "itself": head["itself"](models),
        "last": head["last"].weight[0],
        "last_level": head["last"].bias,
    }
    return {name: np.array(part.numpy(), np.float32, order="C") for name, part in found.items()}


def _block(nn: Any, width: int) -> dict[str, Any]:
    names = ("turn-key", "turn-value", "turn-user", "user-query", "model-query")
    rated = ("turn-liked", "turn-disliked", "model-liked", "model-disliked")
    norms = {f"{name}-norm": nn.LayerNorm(width) for name in ("user", "turn", "model")}
    return {name: nn.Linear(width, width) for name in (*names, *rated)} | norms


def _head(nn: Any, width: int, dropout: float) -> dict[str, Any]:
    names = ("query", "user", "question", "key", "value", "itself")
    linear = {name: nn.Linear(width, width) for name in names}
    return linear | {
        "attended": nn.Linear(width, width, bias=False),
        "last": nn.Linear(width, 1),
        "drop": nn.Dropout(dropout),
    }
