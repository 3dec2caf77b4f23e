"""What models answered and how well: tables of measured scores that stand for quality in studies.

    table = load_answers("llmrouter-train")    # or a path; `shipped` is always there
    table.title                                # 'llmrouter/dcrouter_train.json (5608 questions, 9 models)'

`layouts` has a module for each format, `loading` recognises it by the content, `catalogue` knows the official files.
Imports `errors` and `files`.
"""

from experiments.answers.catalogue import TABLES
from experiments.answers.layouts.native import write_answers
from experiments.answers.layouts.reading import CREDITS_PER_DOLLAR
from experiments.answers.loading import load_answers
from experiments.answers.table import AnswerTable

__all__ = ["CREDITS_PER_DOLLAR", "TABLES", "AnswerTable", "load_answers", "write_answers"]
