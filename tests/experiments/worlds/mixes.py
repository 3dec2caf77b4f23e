"""Parts to make mixes of, and what is asked of traffic by whom and when."""

import asyncio
from collections.abc import Sequence

import numpy as np
from hypothesis import strategies as st

from experiments.answers import AnswerTable
from experiments.traces import RequestTrace
from experiments.worlds.presets import find_preset
from experiments.worlds.traffic.traffic import Traffic
from experiments.worlds.workloads.mix import Mix, Part
from experiments.worlds.workloads.workload import Dialogues, Questions, Trace
from mechanisms import Preferences
from runtime import Request
from runtime.engines.simulated.virtual_time import run

BIDDERS = find_preset("differing")
TABLE = AnswerTable(
    "ten.json", tuple(f"q{k}?" for k in range(10)), ("a-8b", "b-70b"), np.tile([[0.5, 1.0]], (10, 1)), sha256="ab" * 32
)


def trace(title: str = "t.csv", **changed: object) -> RequestTrace:
    given: dict[str, object] = {
        "title": title,
        "at_s": [0.0, 1.0, 1.0, 3.0],
        "prompt_tokens": [20, 25, 10, 30],
        "output_tokens": [1, 2, 0, 4],
        "blocks": tuple(np.array(ids) for ids in ([0, 1], [0, 2, 3], [0], [0, 2, 4])),
        "block": 10,
        "conversation": ("a", "b", "", "b"),
        "sha256": f"{title:f<64}",
        **changed,
    }
    return RequestTrace(**given)  # type: ignore[arg-type]


TALK = Dialogues("shipped", rate=2.0, dialogues=2, turns=2)
ASK = Questions(TABLE, rate=2.0, count=6, train=4)
CODE = Trace(trace())

#: Any part: small, and of every kind.
PARTS: st.SearchStrategy[Part] = st.one_of(
    st.builds(
        Dialogues,
        rate=st.sampled_from([0.5, 4.0]),
        dialogues=st.integers(1, 3),
        turns=st.integers(1, 2),
        repeat=st.integers(1, 2),
        answers=st.sampled_from([None, "shipped"]),
    ),
    st.builds(
        Questions, table=st.just(TABLE), rate=st.sampled_from([1.0, 9.0]), count=st.integers(1, 14), train=st.just(4)
    ),
    st.builds(
        Trace,
        trace=st.sampled_from([trace(), trace("other.csv", conversation=None, blocks=None, block=0)]),
        count=st.sampled_from([None, 2]),
        speedup=st.sampled_from([1.0, 2.0]),
        answers=st.sampled_from([None, TABLE]),
        train=st.just(4),
    ),
)


def mixes(least: int = 1, most: int = 3) -> st.SearchStrategy[Mix]:
    """Mixes of so many parts."""
    return st.lists(PARTS, min_size=least, max_size=most).map(
        lambda parts: Mix({f"part-{k}": one for k, one in enumerate(parts)})
    )


#: A moment, a request, what its bidder reports.
Asked = tuple[float, Request, Preferences]


def asked(traffic: Traffic, takes_s: float = 0.5, says: str = "so it is") -> Sequence[Asked]:
    """All that is asked, of somebody who always says the same after so long."""
    found: list[Asked] = []

    async def ask(request: Request, reported: Preferences) -> object:
        found.append((asyncio.get_running_loop().time(), request, reported))
        await asyncio.sleep(takes_s)
        return type("Answered", (), {"completion": type("Done", (), {"text": says})()})()

    run(traffic.hold(ask), virtual=True)  # type: ignore[arg-type]
    return found
