"""How good an answer is: exact match and token F1 against the gold answers.

The measures are those of SQuAD (Rajpurkar, Zhang, Lopyrev and Liang, "SQuAD: 100,000+ Questions for Machine
Comprehension of Text", EMNLP 2016): lower case, ASCII punctuation deleted, the articles a, an, the deleted,
white space collapsed; then equality, or the harmonic mean of precision and recall over the bag of tokens.

With several gold answers the best one counts, none left out. CoQA's own scorer (Reddy, Chen and Manning, TACL 2019)
leaves each reference out in turn and averages, so that a person, who is one of the references, competes on
equal terms. We compare engines, never people; our figures are therefore at least as high as its.
"""

import re
import string
from collections import Counter
from collections.abc import Iterable
from functools import lru_cache

_ARTICLES = re.compile(r"\b(?:a|an|the)\b")
_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)


def normalise(text: str) -> str:
    """`text` in the form in which answers are compared.

    >>> normalise("  The Old-Matthias, a bell. ")
    'oldmatthias bell'
    """
    bare = text.lower().translate(_NO_PUNCTUATION)
    return " ".join(_ARTICLES.sub(" ", bare).split())


def exact_match(text: str, answer: str) -> bool:
    """Whether the two are equal once normalised."""
    return normalise(text) == normalise(answer)


def token_f1(text: str, answer: str) -> float:
    """F1 in [0, 1] over normalised tokens with their multiplicity; symmetric in its arguments.

    If either side has no token left, 1 where both have none and 0 otherwise, as in SQuAD 2.0.

    >>> token_f1("at the green kiosk", "the green kiosk beside the crane")
    0.5714285714285714
    """
    ours, theirs = _tokens(text), _tokens(answer)
    if not ours or not theirs:
        return float(ours == theirs)
    return 2 * (ours & theirs).total() / (ours.total() + theirs.total())


# A study grades the same answers under one policy after another.
@lru_cache(maxsize=16384)
def _tokens(text: str) -> Counter[str]:
    return Counter(normalise(text).split())


def answer_quality(text: str, answers: Iterable[str]) -> float | None:
    """Token F1 of `text` against its best gold answer, in [0, 1]; None where there is no gold answer."""
    return max((token_f1(text, answer) for answer in answers), default=None)


def is_correct(quality: float | None, threshold: float = 0.3) -> bool | None:
    """Whether a quality in [0, 1] passes for a right answer; None where there was nothing to grade by.

    The default threshold is that of the paper's public code, which applies it to ROUGE-L F1.
    """
    return None if quality is None else quality >= threshold
