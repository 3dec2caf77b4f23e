"""What is known of a cache from its server's events, and what is left of it when they are lost, broken or another's."""

import asyncio
import json
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, ClassVar

import pytest

from runtime.engines.call import Call, View
from runtime.engines.engine import Stored
from runtime.engines.vllm import kv_events
from runtime.engines.vllm.kv_blocks import KvBlocks
from runtime.engines.vllm.kv_events import KvEvents
from runtime.engines.vllm.publishing import Publishing, Sockets
from tests.runtime.engines.vllm.publisher import CLEARED, Publisher, removed, stored, until


def listen(
    folder: Path, story: Callable[[Publisher, KvEvents], Coroutine[Any, Any, None]], *, replay: bool = True, **more: Any
) -> None:
    """Tell a story to a reader and its publisher."""

    async def main() -> None:
        async with Publisher(folder, **more) as publisher:
            reader = KvEvents(publisher.events, publisher.replay if replay else None)
            reading = asyncio.create_task(reader.run())
            try:
                await publisher.subscribed()
                await story(publisher, reader)
            finally:
                reading.cancel()
                await asyncio.gather(reading, return_exceptions=True)

    asyncio.run(main())


def test_blocks_come_and_go(tmp_path: Path) -> None:
    async def story(publisher: Publisher, reader: KvEvents) -> None:
        await publisher.publish(stored(1, 2, session="a"))
        await publisher.publish(stored(3, parent=2, session="a"), removed(2))
        await until(lambda: reader.counts.batches == 2)
        blocks = reader.blocks
        assert (1 in blocks, 2 in blocks, 3 in blocks) == (True, False, True)
        assert blocks.stored("a") == Stored(None, (1, 2, 3), 4) and blocks.gone() == [2] and blocks.gone() == []
        blocks.release("a")
        assert blocks.stored("a") is None
        await publisher.publish(CLEARED)
        await until(lambda: blocks.forgotten == 1)
        assert len(blocks) == 0 and not publisher.asked

    listen(tmp_path, story)


def test_a_slow_joiner_hears_what_was_said_before(tmp_path: Path) -> None:
    async def story(publisher: Publisher, reader: KvEvents) -> None:
        await publisher.publish(stored(1), lose=True)
        await publisher.publish(stored(2), lose=True)
        await publisher.publish(stored(3))
        await until(lambda: reader.counts.batches == 3)
        assert publisher.asked == [0] and all(block in reader.blocks for block in (1, 2, 3))
        assert reader.counts.lost == 0 and reader.blocks.forgotten == 0

    listen(tmp_path, story)


def test_a_gap_is_replayed_once(tmp_path: Path) -> None:
    async def story(publisher: Publisher, reader: KvEvents) -> None:
        await publisher.publish(stored(1, 2))
        await publisher.publish(removed(2), lose=True)
        await publisher.publish(stored(3))
        await publisher.publish(stored(4))
        await until(lambda: 4 in reader.blocks)
        assert publisher.asked == [0] and reader.counts.replayed == 1 and reader.counts.batches == 4
        assert 2 not in reader.blocks and 1 in reader.blocks and reader.blocks.forgotten == 0

    listen(tmp_path, story)


@pytest.mark.parametrize("why", ["no address", "silent", "rolled over"])
def test_a_gap_that_cannot_be_replayed_ends_all_that_was_known(
    why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kv_events, "_REPLAY_S", 0.1)

    async def story(publisher: Publisher, reader: KvEvents) -> None:
        await publisher.publish(stored(1, session="a"))
        await until(lambda: 1 in reader.blocks)
        for _ in range(3):
            await publisher.publish(removed(1), lose=True)
        await publisher.publish(stored(9))
        await until(lambda: 9 in reader.blocks)
        assert reader.counts.lost == 1 and reader.blocks.forgotten == 1
        assert 1 not in reader.blocks and reader.blocks.stored("a") is None
        await publisher.publish(stored(10))
        await until(lambda: 10 in reader.blocks)
        assert 9 in reader.blocks and reader.counts.lost == 1

    listen(
        tmp_path, story, replay=why != "no address", replays=why != "silent", kept=2 if why == "rolled over" else 100
    )


@pytest.mark.parametrize("batches", [1, 3, 6])
def test_a_server_that_starts_anew_behind_one_address_holds_nothing_of_what_it_held(
    batches: int, tmp_path: Path
) -> None:
    """Its numbers are behind those of its first life, level with them, or beyond them already."""

    async def story(publisher: Publisher, reader: KvEvents) -> None:
        for block in (1, 2, 3):
            await publisher.publish(stored(block))
        await until(lambda: 3 in reader.blocks)
        publisher.begin_anew()
        for block in range(batches):
            await publisher.publish(stored(10 + block), lose=block < batches - 1)
        await until(lambda: 9 + batches in reader.blocks)
        assert reader.blocks.forgotten == 1 and reader.counts.hung_up == 0
        assert not any(block in reader.blocks for block in (1, 2, 3))

    listen(tmp_path, story)


def test_a_server_that_hangs_up_holds_nothing_and_is_heard_again(tmp_path: Path) -> None:
    async def main() -> None:
        async with Publisher(tmp_path) as first:
            reader = KvEvents(first.events, first.replay)
            reading = asyncio.create_task(reader.run())
            await first.subscribed()
            await first.publish(stored(1))
            await until(lambda: 1 in reader.blocks)
        await until(lambda: reader.counts.hung_up == 1)
        assert len(reader.blocks) == 0 and reader.blocks.forgotten == 1
        async with Publisher(tmp_path, clock=100.0) as second:
            await second.subscribed()
            await second.publish(stored(2), lose=True)
            await second.publish(stored(3))
            await until(lambda: 3 in reader.blocks)
            assert 2 in reader.blocks and reader.blocks.forgotten == 1
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)

    asyncio.run(main())


def test_a_reader_is_there_before_its_server(tmp_path: Path) -> None:
    async def main() -> None:
        reader = KvEvents(f"ipc://{tmp_path}/events")
        reading = asyncio.create_task(reader.run())
        await asyncio.sleep(0.1)
        async with Publisher(tmp_path) as publisher:
            await publisher.subscribed()
            await publisher.publish(stored(1))
            await until(lambda: 1 in reader.blocks)
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)

    asyncio.run(main())


def test_garbage_is_counted_and_trusted_in_nothing(tmp_path: Path) -> None:
    async def story(publisher: Publisher, reader: KvEvents) -> None:
        await publisher.publish(stored(1))
        await until(lambda: 1 in reader.blocks)
        for frames in ([b""], [b"kv", b"short", b"x"], [b"kv"] * 5):
            await publisher.send(*frames)
        await publisher.publish(stored(2))
        await until(lambda: 2 in reader.blocks)
        # Without a number there is no telling what it was: the next number says that nothing was missed.
        assert 1 in reader.blocks and reader.counts.garbage == 3
        for payload in (b"\xc1", b"", b"\x91" * 100_000, b"\x93\xa1x\x90\x00"):
            await publisher.publish(payload=payload)
        for event in (
            7,
            [],
            {},
            {"type": "BlockStored"},
            stored(5, block_size=0),
            {"type": 3},
            removed() | {"block_hashes": [[]]},
        ):
            await publisher.publish(event)
        await publisher.publish(stored(3), {"type": "Unheard of"})
        await until(lambda: 3 in reader.blocks)
        assert (1 in reader.blocks, 2 in reader.blocks) == (False, False)
        assert reader.counts.garbage == 3 + 4 + 7

    listen(tmp_path, story)


def test_each_copy_of_a_block_is_removed_by_itself() -> None:
    blocks = KvBlocks()
    blocks.apply([stored(1), stored(1), removed(1)])
    assert 1 in blocks and blocks.gone() == []
    blocks.apply([removed(1)])
    assert 1 not in blocks and blocks.gone() == [1]
    blocks.apply([removed(1), stored(1)])
    # Removed and stored again before anybody looked: it is there.
    assert blocks.gone() == []


def test_other_layers_and_tiers_decide_no_hit() -> None:
    blocks = KvBlocks()
    blocks.apply(
        [stored(1), stored(2, medium="CPU"), stored(3, group_idx=1), removed(1, group_idx=1), removed(1, medium="CPU")]
    )
    assert [one in blocks for one in (1, 2, 3)] == [True, False, False]


def test_two_answers_to_one_prompt_are_one_chain() -> None:
    blocks = KvBlocks()
    blocks.apply([stored(1, 2, session="a"), stored(3, parent=2, session="a"), stored(4, parent=2, session="a")])
    assert blocks.stored("a") == Stored(None, (1, 2, 3), 4)


def test_events_as_lists_are_read_too() -> None:
    blocks = KvBlocks()
    blocks.apply([["BlockStored", [b"x"], None, [1, 2], 2, None], ["BlockRemoved", [b"y"]], ["AllBlocksCleared"]])
    assert blocks.forgotten == 1


def test_calls_go_out_under_their_ids_and_what_is_stored_is_theirs(tmp_path: Path) -> None:
    class Engine:
        name = "a"
        sent: ClassVar[list[Call]] = []

        async def start(self) -> None:
            pass

        async def stop(self) -> None:
            pass

        async def open(self, call: Call, deadline: float) -> None:
            self.sent.append(call)

    async def main() -> None:
        async with Publisher(tmp_path) as publisher:
            engine: Any = Publishing(Engine(), Sockets(publisher.events, publisher.replay))  # type: ignore[arg-type]
            assert engine.sent is Engine.sent
            await engine.start()
            await publisher.subscribed()
            await engine.open(Call("r1", b"{}", View(), headers={b"X-Session-Id": b"mine", b"x-other": b"1"}))
            session = engine.sent[0].headers[b"x-session-id"].decode()
            await publisher.publish(stored(1, session=session))
            await until(lambda: engine.contents.stored("r1") is not None)
            assert engine.sent[0].headers == {b"x-session-id": b"r1", b"x-other": b"1"}
            await engine.stop()
            assert engine.contents.stored("r1") is None and engine.contents.forgotten == 1

    asyncio.run(main())


def test_sockets_of_our_own_are_for_us_alone() -> None:
    place = Sockets.fresh()
    assert place.folder is not None and not place.folder.exists()
    told = json.loads(place.flags()[1])
    assert (
        told["endpoint"] == f"ipc://{place.folder}/events" and told["replay_endpoint"] == f"ipc://{place.folder}/replay"
    )


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runtime.engines.vllm.kv_blocks._MOST", 100)
    monkeypatch.setattr("runtime.engines.vllm.kv_blocks._SESSIONS", 10)
    blocks = KvBlocks()
    for block in range(1000):
        blocks.apply([stored(block, session=f"s{block}")])
        assert len(blocks) <= 100 and len(blocks._sessions) <= 10
    assert blocks.forgotten == 9
    for block in range(1000):
        blocks.apply([removed(block)])
        assert len(blocks._gone) <= 100
