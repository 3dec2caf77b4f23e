"""What a run came to: hits as predicted and as measured, waits, money."""

from collections.abc import Sequence
from statistics import median, quantiles
from typing import Any


def figures(notes: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Figures of all requests that were served, from what the policy wrote down.

    Predicted hits are in pieces of prompts, measured ones in tokens: what is compared is their share of the prompt.
    `hit_error` is the mean distance of the two shares, request by request. Welfare takes quality as predicted, since
    nobody grades these answers.
    """
    served = [note for note in notes if note["kind"] == "Served"]
    expected = [note["pieces_cached"] / note["pieces"] for note in served]
    measured = [note["cached"] / note["prompt"] for note in served]
    waits = [note["waited_s"] for note in served]
    cost = sum(note["cost"] for note in served)
    lost = sum(note["lost"] for note in notes if note["kind"] == "Declined")
    return {
        "served": len(served),
        "declined": sum(note["kind"] == "Declined" for note in notes),
        "failed": sum(note["kind"] == "Failed" and not note["retried"] for note in notes),
        "retried": sum(note["kind"] == "Failed" and note["retried"] for note in notes),
        "hit_rate": sum(note["cached"] for note in served) / sum(note["prompt"] for note in served),
        "hit_rate_predicted": _weighted(expected, served),
        "hit_error": sum(abs(e - m) for e, m in zip(expected, measured, strict=True)) / len(served),
        "over": sum(e > m + 0.1 for e, m in zip(expected, measured, strict=True)),
        "under": sum(e < m - 0.1 for e, m in zip(expected, measured, strict=True)),
        "ttft_median_s": median(waits),
        "ttft_p95_s": quantiles(waits, n=20)[-1],
        "welfare": sum(note["value"] for note in served) - cost - lost,
        "charges": sum(note["charge"] for note in served),
        "cost": cost,
    }


def _weighted(shares: Sequence[float], served: Sequence[dict[str, Any]]) -> float:
    """Shares of prompts as a share of all tokens."""
    tokens = [note["prompt"] for note in served]
    return sum(share * prompt for share, prompt in zip(shares, tokens, strict=True)) / sum(tokens)
