"""A graph of questions and models, after GraphRouter (Feng, Shen and You, ICLR 2025, arXiv:2410.03834).

Taken from the paper: a bipartite graph whose edges say how a model did on a question; two convolutions that mean over
neighbours; a share of the edges is visible in each step and the others are foretold; a question's score on a model is
the mean of the product of the question's vector before the convolutions and the model's after them, so that a new
question needs no edges.

What differs: there are no tasks, no costs and no descriptions of models, whose first vectors are learnt; an edge's
score shares its message between two linear maps, one of what went well and one of what did not; what is foretold is the
score itself, a fraction, by its log loss, not only which model is best; convolutions are matrix products over the whole
graph, in torch, which trains alone. What is kept are the question's projection and the models' last vectors, and since
the score's log-odds are linear in the question, one (D, M) matrix.
"""

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


class GraphRouter:
    """GraphRouter over questions' vectors.

    Args:
        hidden: length of a node's vector.
        epochs: steps of the optimiser.
        masks: draws of visible edges in a step.
        visible: share of edges that a draw shows.
        rate, decay: of AdamW (Loshchilov and Hutter 2019).

    Raises:
        StudyError: one of them is out of range.
    """

    name = "graph"
    foretells = True

    def __init__(
        self,
        hidden: int = 64,
        *,
        epochs: int = 100,
        masks: int = 2,
        visible: float = 0.3,
        rate: float = 1e-2,
        decay: float = 1e-2,
    ) -> None:
        if not min(hidden, epochs, masks, rate) > 0 or decay < 0 or not 0 < visible < 1:
            raise StudyError(
                f"GraphRouter with hidden={hidden}, epochs={epochs}, masks={masks}, visible={visible}, rate={rate}, "
                f"decay={decay}; visible is a share below 1, the others are positive"
            )
        self.models: tuple[str, ...] = ()
        self._hidden, self._epochs, self._masks = hidden, epochs, masks
        self._visible, self._rate, self._decay = visible, rate, decay

    def fit(self, vectors: Vectors, table: AnswerTable, *, users: Users = None, seed: int = 0) -> None:
        """Train with torch, on the CPU.

        Raises:
            StudyError: torch is not installed.
        """
        taken = training(vectors, table, users)
        torch = torch_for(self.name)
        matrix, levels = _trained(torch, taken, self, seed)
        self._matrix = np.ascontiguousarray(matrix[:, taken.columns], np.float32)
        self._levels = levels[taken.columns]
        self.models = table.models

    def scores(self, vectors: Vectors, users: Users = None) -> Floats:
        """(N, M) expected scores."""
        check_fitted(self)
        return chances(np.asarray(vectors, np.float32) @ self._matrix + self._levels)


def _trained(torch: Any, taken: Training, given: GraphRouter, seed: int) -> tuple[Floats, Floats]:
    """The (D, M) matrix and (M,) levels that the trained graph comes to."""
    nn, width = torch.nn, given._hidden
    questions, scores = torch.from_numpy(taken.vectors), torch.from_numpy(taken.scores).float()
    draws = torch.Generator().manual_seed(seed)
    with torch_seeded(torch, seed):
        of_question = nn.Linear(questions.shape[1], width)
        of_models = nn.Parameter(torch.randn(scores.shape[1], width))
        blocks = nn.ModuleList(nn.ModuleDict(_block(nn, width)) for _ in range(2))
        learnt = [of_models, *of_question.parameters(), *blocks.parameters()]
        optimiser = torch.optim.AdamW(learnt, given._rate, weight_decay=given._decay)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, given._epochs)

        def convolved(start: Any, seen: Any) -> Any:
            """(M, width) the models' vectors, after messages along the edges that are seen, (Q, M)."""
            ours, theirs = start, of_models
            for number, block in enumerate(blocks):
                told = seen * scores
                to_models = told.T @ block["good"](ours) + (seen - told).T @ block["bad"](ours)
                to_questions = told @ block["liked"](theirs) + (seen - told) @ block["disliked"](theirs)
                ours, theirs = (
                    block["question"](ours) + to_questions / seen.sum(1, keepdim=True).clamp(min=1),
                    block["model"](theirs) + to_models / seen.sum(0).clamp(min=1)[:, None],
                )
                if number == 0:
                    ours, theirs = (nn.functional.leaky_relu(one, 0.01) for one in (ours, theirs))
            return theirs

        for _ in range(given._epochs):
            optimiser.zero_grad()
            for _ in range(given._masks):
                seen = (torch.rand(scores.shape, generator=draws) < given._visible).float()
                start = of_question(questions)
                logits = start @ convolved(start, seen).T / width
                loss = nn.functional.binary_cross_entropy_with_logits(logits, scores, 1 - seen, reduction="sum")
                (loss / (1 - seen).sum().clamp(min=1) / given._masks).backward()
            optimiser.step()
            schedule.step()
        with torch.no_grad():
            last = convolved(of_question(questions), torch.ones_like(scores)).double().numpy() / width
            weight, level = (part.detach().double().numpy() for part in of_question.parameters())
    return weight.T @ last.T, last @ level


def _block(nn: Any, width: int) -> dict[str, Any]:
    names = ("good", "bad", "liked", "disliked", "question", "model")
    return {name: nn.Linear(width, width) for name in names}
