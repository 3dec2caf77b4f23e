"""MT-bench: eighty questions in eight categories, each with a second one that goes on from the answer to the first.

Zheng et al., "Judging LLM-as-a-Judge with MT-Bench and Chatbot Arena", NeurIPS 2023. Some have reference answers, which
a judge sees beside the answer to be judged; they are the recorded replies here. No string measures such answers, so
these dialogues are not graded. There is no document, thus no context; where a question has no reference, the
dialogue goes on with the reply that was received.
"""

from collections.abc import Iterator

from experiments.data.layouts.dialogue import Dialogue, Turn
from experiments.data.layouts.reading import Json, Layout, spoken
from experiments.errors import DatasetError


def _dialogues(raw: Json) -> Iterator[Dialogue]:
    for entry in raw.each():
        turns = entry.at("turns").texts()
        references = entry.at("reference").texts() if entry.peek("reference").value is not None else ("",) * len(turns)
        if len(references) != len(turns):
            raise DatasetError(f"{entry.where} has {len(references)} references for {len(turns)} turns")
        yield Dialogue(
            id=f"mt-bench-{entry.at('question_id').number()}",
            context="",
            turns=tuple(Turn(turn, spoken((reference,))) for turn, reference in zip(turns, references, strict=True)),
            source=f"MT-bench layout, {entry.at('category').text()}",
            graded=False,
        )


MT_BENCH = Layout(
    name="MT-bench",
    licence="Apache-2.0",
    recognises=lambda raw: any(
        entry.has("question_id", "category") and isinstance(entry.peek("turns").first().value, str)
        for entry in raw.some()
    ),
    dialogues=_dialogues,
)
