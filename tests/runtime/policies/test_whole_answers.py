"""Answers that come whole show no first token: rounds are held all the same, and speeds learnt."""

import asyncio
from typing import Any


from mechanisms import Preferences, find_mechanism
from runtime import Auction, Router, Served
from tests.runtime.rounds.relays import asked, read, sound
from tests.runtime.rounds.stories import route

PATIENT = Preferences(1000.0, 0.01)


def served(policy: Auction, *, stream: bool, many: int) -> tuple[list[Served], int]:
    events: list[Any] = []
    peak = 0

    async def story(router: Router) -> None:
        nonlocal peak

        async def one(k: int) -> None:
            await read(await router.relay(asked(f"r{k}", agents=[0], stream=stream), PATIENT))

        tasks = [asyncio.create_task(one(k)) for k in range(many)]
        while not all(task.done() for task in tasks):
            peak = max(peak, len(router._dispatcher._running[0]))
            await asyncio.sleep(0.001)
        await asyncio.gather(*tasks)

    route(story, policy, [sound(max_num_seqs=64)], {"subscribers": [events.append]})
    return [event for event in events if isinstance(event, Served)], peak


def test_a_round_waits_for_no_first_token_that_nobody_will_see() -> None:
    whole, peak = served(Auction(find_mechanism("vcg")), stream=False, many=60)
    assert len(whole) == 60 and peak > 40


def test_speeds_are_learnt_from_answers_that_come_whole_to_an_order_of_magnitude() -> None:
    speeds = []
    for stream in (True, False):
        policy = Auction(find_mechanism("vcg"))
        served(policy, stream=stream, many=60)
        queue = policy.forecaster.queue
        speeds.append(float(queue.base_seconds()[0] + 50 * queue.seconds_per_token()[0]))
    assert speeds[0] / 10 < speeds[1] < 10 * speeds[0]
