"""What models answered and how well: tables of measured scores that stand for quality in studies. Imports `errors`."""

from experiments.answers.table import AnswerTable

__all__ = ["AnswerTable"]
