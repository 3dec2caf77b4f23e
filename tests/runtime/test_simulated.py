import asyncio

import pytest

from runtime import Completion, EngineError, RequestError, running
from runtime.tokens import encode_chat
from runtime.virtual_time import run
from tests.runtime.fleet import STEP, engine, request


def test_one_request_takes_the_steps_it_needs() -> None:
    async def main() -> Completion:
        one = engine()
        async with running([one]):
            return await one.generate(request("r", "what is the time of the last ferry"))

    done = run(main(), virtual=True)
    assert (done.text, done.output_tokens, done.finish_reason) == ("yes indeed", 3, "stop")
    first = STEP.overhead_s + STEP.seconds(done.prompt_tokens, 1, 0)
    assert done.first_token_s == pytest.approx(first)
    assert done.latency_s == pytest.approx(first + 2 * STEP.seconds(0, 1, 0))


def test_the_second_turn_finds_the_first_in_the_cache() -> None:
    async def main() -> tuple[Completion, Completion]:
        one = engine(block_size=4)
        async with running([one]):
            first = await one.generate(request("r", "a long question about the harbour and its ferries"))
            again = request("s", "a long question about the harbour and its ferries", first.text, "and on Sundays")
            return first, await one.generate(again)

    first, second = run(main(), virtual=True)
    assert first.cached_tokens == 0
    assert second.cached_tokens == (len(first.token_ids) - 1) // 4 * 4
    assert second.first_token_s < first.first_token_s


def test_answers_are_cut_at_max_tokens() -> None:
    async def main() -> Completion:
        one = engine(reply=lambda request: "one two three four five")
        async with running([one]):
            return await one.generate(request("r", "count", max_tokens=2))

    done = run(main(), virtual=True)
    assert (done.text, done.output_tokens, done.finish_reason) == ("one two", 2, "length")


def test_requests_beyond_the_slots_queue() -> None:
    async def main() -> list[Completion]:
        one = engine(max_num_seqs=2)
        async with running([one]):
            return await asyncio.gather(*(one.generate(request(f"r{k}", f"{k} question")) for k in range(4)))

    waits = sorted(done.first_token_s for done in run(main(), virtual=True))
    assert waits[0] == waits[1] < waits[2] == waits[3]


def test_when_blocks_run_out_the_youngest_starts_again_and_all_finish() -> None:
    async def main() -> list[Completion]:
        one = engine(reply=lambda request: "word " * 11, block_size=2, cache_blocks=20, max_model_len=40)
        async with running([one]):
            jobs = (one.generate(request(f"r{k}", f"{k} a b c", max_tokens=14)) for k in range(3))
            return await asyncio.gather(*jobs)

    done = run(main(), virtual=True)
    assert [one.output_tokens for one in done] == [13, 13, 13]
    assert max(one.latency_s for one in done) > 1.2 * min(one.latency_s for one in done)


def test_cancelling_frees_the_blocks() -> None:
    async def main() -> int:
        one = engine()
        async with running([one]):
            free = one._cache.free
            job = asyncio.create_task(one.generate(request("r", "a question")))
            await asyncio.sleep(0.02)
            assert one._cache.free < free
            job.cancel()
            await asyncio.gather(job, return_exceptions=True)
            await one.generate(request("s", "another"))
            return free - one._cache.free

    assert run(main(), virtual=True) == 0


def test_what_cannot_be_served_is_refused_by_name() -> None:
    async def too_long() -> None:
        one = engine(max_model_len=16)
        async with running([one]):
            await one.generate(request("long", "word " * 40))

    with pytest.raises(RequestError, match=r"request long has 4[0-9] prompt tokens.*16 in all"):
        run(too_long(), virtual=True)
    with pytest.raises(EngineError, match="not running"):
        run(engine().generate(request("r", "x")), virtual=True)
    with pytest.raises(EngineError, match="block_size = 0"):
        engine(block_size=0)


def test_stopping_fails_what_is_in_flight() -> None:
    async def main() -> None:
        one = engine()
        await one.start()
        job = asyncio.create_task(one.generate(request("r", "a question")))
        await asyncio.sleep(0.005)
        await one.stop()
        await one.stop()
        await job

    with pytest.raises(EngineError, match="was stopped"):
        run(main(), virtual=True)


def test_a_longer_conversation_begins_with_the_tokens_of_the_shorter() -> None:
    short = request("r", "Where is it?", "By the quay.").messages
    longer = request("r", "Where is it?", "By the quay.", "And when?").messages
    assert encode_chat(longer)[: len(encode_chat(short)) - 1] == encode_chat(short)[:-1]
