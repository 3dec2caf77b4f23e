"""Steps that are taken together, beside the same steps one by one."""

import asyncio
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from runtime import Completion, EngineShape, SimulatedEngine
from runtime.engines.simulated.sequences import RunningSequence
from runtime.engines.simulated.virtual_time import run
from tests.runtime.fleet import STEP

#: When it is sent, its prompt's first token, its length, its answer's, and after how long it is given up, if ever.
ASKED = st.tuples(
    st.floats(0, 2),
    st.integers(0, 2),
    st.integers(1, 20),
    st.integers(1, 25),
    st.none() | st.floats(0.01, 2),
)
SHAPES = st.builds(
    EngineShape,
    block_size=st.sampled_from([1, 2, 4, 16]),
    cache_blocks=st.integers(50, 90),
    max_num_seqs=st.integers(1, 4),
    max_num_batched_tokens=st.integers(8, 64),
)

Asked = tuple[float, int, int, int, float | None]


class OneByOne(SimulatedEngine):
    """An engine whose sequences somebody watches."""

    async def _queue_up(self, sequences: "list[RunningSequence]") -> None:  # type: ignore[override]
        for one in sequences:
            one.quiet = False
        await super()._queue_up(sequences)


def served(kind: type[SimulatedEngine], shape: EngineShape, asked: list[Asked]) -> list[Completion | None]:
    async def main() -> list[Completion | None]:
        engine = kind("e", lambda request: "", replace(STEP, context_token_s=1.7e-5), shape)
        await engine.start()

        async def one(k: int, each: Asked) -> Completion | None:
            at, first, prompt, answer, within = each
            await asyncio.sleep(at)
            tokens = [first * 100 + n for n in range(prompt)]
            reply = [first * 1000 + k % 2 + n for n in range(answer)]
            try:
                async with asyncio.timeout(within):
                    return await engine.generate_tokens(tokens, reply, name=f"r{k}")
            except TimeoutError:
                return None

        found = await asyncio.gather(*(one(k, each) for k, each in enumerate(asked)))
        await engine.stop()
        return list(found)

    return run(main(), virtual=True)


@settings(max_examples=150, deadline=None)
@given(SHAPES, st.lists(ASKED, min_size=1, max_size=9))
def test_what_is_measured_is_the_same_to_the_last_digit(shape: EngineShape, asked: list[Asked]) -> None:
    if shape.block_size == 1:
        asked = [(at, first, min(prompt, 10), min(answer, 10), within) for at, first, prompt, answer, within in asked]
    together, alone = served(SimulatedEngine, shape, asked), served(OneByOne, shape, asked)
    assert together == alone
