import asyncio
from dataclasses import replace
from itertools import count, groupby

import pytest

from runtime import Completion, EngineError, EngineShape, RequestError, SimulatedEngine, StepTime, running
from runtime.engines.simulated.tokens import encode_chat
from runtime.engines.simulated.virtual_time import run
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


def test_requests_sent_at_one_instant_are_served_in_the_order_they_were_sent() -> None:
    async def main() -> list[float]:
        one = engine(max_num_seqs=1)
        async with running([one]):
            done = await asyncio.gather(*(one.generate(request(f"r{k}", f"{k} question")) for k in range(9)))
        return [completion.first_token_s for completion in done]

    waits = run(main(), virtual=True)
    assert waits == sorted(waits)


def test_with_a_gap_between_arrivals_the_first_of_a_burst_gets_a_step_to_itself() -> None:
    async def main() -> list[float]:
        step = replace(STEP, arrival_gap_s=0.001)
        one = SimulatedEngine("a", lambda request: "yes", step, EngineShape())
        async with running([one]):
            done = await asyncio.gather(*(one.generate_tokens(range(k, k + 20), [1, 2]) for k in range(0, 90, 30)))
        return [completion.first_token_s for completion in done]

    first, *others = run(main(), virtual=True)
    alone = STEP.overhead_s + STEP.seconds(20, 1, 0)
    assert first == pytest.approx(alone)
    # The others join the step in which the first continues.
    assert others == pytest.approx([alone + STEP.seconds(40, 3, 0)] * 2)


def test_attention_to_a_long_prompt_is_paid_by_pairs_however_it_is_chunked() -> None:
    async def main(budget: int) -> float:
        step = StepTime(0.0, 0.0, 0.0, 0.0, 0.0, "pairs alone", 0.0, 0.0, attention_pair_s=1.0)
        one = SimulatedEngine("a", lambda request: "yes", step, EngineShape(4, 64, max_num_batched_tokens=budget))
        async with running([one]):
            whole = await one.generate_tokens(range(30), [1])
            again = await one.generate_tokens(range(30), [1])
        assert again.cached_tokens == 28
        assert again.first_token_s == pytest.approx(29 + 30)
        return whole.first_token_s

    for budget in (2, 7, 2048):
        assert run(main(budget), virtual=True) == pytest.approx(30 * 31 / 2)


def test_when_blocks_run_out_the_youngest_starts_again_and_all_finish() -> None:
    async def main() -> list[Completion]:
        one = engine(reply=lambda request: "word " * 11, block_size=2, cache_blocks=20, max_model_len=40)
        async with running([one]):
            jobs = (one.generate(request(f"r{k}", f"{k} a b c", max_tokens=14)) for k in range(3))
            return await asyncio.gather(*jobs)

    done = run(main(), virtual=True)
    assert [one.output_tokens for one in done] == [13, 13, 13]
    assert max(one.latency_s for one in done) > 1.2 * min(one.latency_s for one in done)


def test_a_real_engine_took_the_same_steps() -> None:
    # Recorded from vLLM 0.32.0 by tests.runtime.engines.vllm.dummy_engine.replay with block_size 32, cache_blocks 10,
    # max_num_seqs 3 and max_num_batched_tokens 64; three requests were preempted. The prompts are range(first, first +
    # length). burst, step of arrival, first, length, max_tokens; cached_tokens, steps to the first and to the last
    # token
    recorded = [
        (0, 0, 100, 32, 50, 0, 1, 50), (0, 0, 500, 130, 1, 0, 3, 3), (0, 20, 500, 65, 9, 64, 1, 9),
        (1, 0, 100, 96, 59, 32, 1, 59), (1, 0, 100, 96, 61, 64, 2, 62), (1, 0, 100, 65, 3, 64, 2, 4),
        (1, 0, 100, 32, 71, 0, 5, 97),
        (2, 0, 100, 96, 90, 64, 1, 90), (2, 0, 100, 32, 24, 0, 1, 24), (2, 0, 100, 64, 60, 32, 2, 61),
        (2, 12, 100, 130, 33, 96, 13, 72),
    ]  # fmt: skip
    step = StepTime(1.0, 0.0, 0.0, 0.0, 0.0, "one second a step", 0.0, 0.0)
    shape = EngineShape(block_size=32, cache_blocks=10, max_num_seqs=3, max_num_batched_tokens=64)
    unlike_any_prompt = count(10_000)

    async def main() -> list[tuple[int, int, int]]:
        one = SimulatedEngine("a", lambda request: "", step, shape)

        async def serve(arrives: int, first: int, length: int, output: int) -> Completion:
            await asyncio.sleep(max(0.0, arrives - 0.5))
            answer = [next(unlike_any_prompt) for _ in range(output)]
            return await one.generate_tokens(range(first, first + length), answer)

        done: list[Completion] = []
        async with running([one]):
            for _, burst in groupby(recorded, key=lambda row: row[0]):
                done += await asyncio.gather(*(serve(*row[1:5]) for row in burst))
        return [(found.cached_tokens, int(found.first_token_s), int(found.latency_s)) for found in done]

    assert run(main(), virtual=True) == [row[5:] for row in recorded]


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


def test_a_step_that_breaks_fails_whom_it_had_and_the_engine_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    def odd() -> None:
        raise RuntimeError("odd")

    async def main() -> tuple[list[object], Completion]:
        one = engine()
        async with running([one]):
            asked = [one.generate(request("r", "a question"), odd), one.generate(request("s", "another"))]
            async with asyncio.timeout(60):
                failed = await asyncio.gather(*asked, return_exceptions=True)
                return failed, await one.generate(request("t", "a third"))

    failed, served = run(main(), virtual=True)
    assert [type(error) for error in failed] == [EngineError, EngineError] and "odd" in str(failed[0])
    assert served.text == "yes indeed" and "failed in a step" in caplog.text


def test_a_slower_engine_takes_as_many_times_as_long_for_every_step_and_is_reached_as_soon() -> None:
    step = StepTime(1.0, 0.5, 0.25, 0.125, 0.06, "a machine", 0.0, 0.0, attention_pair_s=0.01, arrival_gap_s=0.02)
    slower = step.scaled(3.0)
    for work in ((0, 1, 7, 0), (100, 2, 30, 400)):
        assert slower.seconds(*work) == pytest.approx(3 * step.seconds(*work))
    assert (slower.overhead_s, slower.arrival_gap_s) == (0.06, 0.02)
    assert slower.fitted_to == "3 times the step of a machine"
    for times in (0.0, -1.0, float("nan")):
        with pytest.raises(EngineError, match=f"steps {times} times as long"):
            step.scaled(times)
