"""What a recorder writes is what is read again, and nothing else is read."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from runtime.errors import ServingError
from runtime.gateway.app import Gateway
from runtime.gateway.operators.watching import Watching
from runtime.traces.reading import Trace, TraceError, read_trace
from tests.runtime.gateway.fleets import fleet
from tests.runtime.gateway.simulated import CHAT, ask, chat, told

RICH = {"iemas": {"worth": 5000, "delay_cost": 2, "deadline_s": 60, "max_price": 4000}}
WORDS = "what is the capital of france and why is it so? " * 8


def recorded(path: Path, **options: Any) -> Trace:
    async def story(app: Gateway, watching: Watching) -> None:
        first = chat(WORDS, **RICH)
        assert (await ask(app, CHAT, first)).status == 200
        longer = [*first["messages"], {"role": "assistant", "content": "yes"}, {"role": "user", "content": "go on"}]
        other = chat("something else " * 20, stream=True, model="wide")
        await asyncio.gather(ask(app, CHAT, chat("", **RICH) | {"messages": longer}), ask(app, CHAT, other))
        watching.close()

    told(fleet(), story, make=lambda made: Watching(made, record=path, **options))
    return read_trace(path)


def test_a_trace_says_what_happened_and_not_what_was_asked(tmp_path: Path) -> None:
    trace = recorded(tmp_path / "t.jsonl")
    assert "capital" not in trace.path.read_text() and not trace.cut_off
    assert [agent.name for agent in trace.head.agents] == ["small", "big"] and trace.head.policy == "iemas"
    first, longer, other = sorted(trace.requests, key=lambda one: (one.asked or "", one.pieces))
    assert first.outcome == longer.outcome == "served" and other.outcome == "declined" and other.code == "bid_too_low"
    assert first.stated.model_dump() == {"worth": 4000, "delay_cost": 2, "deadline_s": 60, "stake": 0}
    assert first.stated_by["worth"] == "body" and first.max_price == 4000 and other.stated_by["worth"] == "operator"
    shared = first.pieces // trace.head.block
    assert shared >= 3 and longer.blocks[: shared - 1] == first.blocks[: shared - 1], "a conversation that goes on"
    assert not set(other.blocks) & set(first.blocks)
    assert other.agents == (1,) and first.agents == (0, 1) and longer.turn == 1
    assert first.measured is not None and first.measured.output > 0 and first.predicted is not None
    assert first.charge >= 0 and first.cost == first.receipt > 0
    assert first.decided_s is not None and first.dispatched_s is not None
    assert 0 == first.at_s <= first.decided_s <= first.dispatched_s < first.ended_s


def test_hubs_are_recorded_by_the_fleets_numbers(tmp_path: Path) -> None:
    async def story(app: Gateway, watching: Watching) -> None:
        for model in ("wide", "tiny"):
            assert (await ask(app, CHAT, chat(WORDS, model=model, **RICH))).status == 200
        watching.close()

    path = tmp_path / "t.jsonl"
    told(fleet(hubs={"near": ["small"], "far": ["big"]}), story, make=lambda made: Watching(made, record=path))
    wide, tiny = read_trace(path).requests
    assert (wide.agents, wide.agent, tiny.agents, tiny.agent) == ((1,), 1, (0,), 0)


def test_two_traces_cannot_be_joined_and_text_is_there_only_if_asked_for(tmp_path: Path) -> None:
    one, other = recorded(tmp_path / "a.jsonl"), recorded(tmp_path / "b.jsonl", record_text=True)
    assert {len(one.requests), len(other.requests)} == {3}
    assert not {b for r in one.requests for b in r.blocks} & {b for r in other.requests for b in r.blocks}
    assert all(r.text is None for r in one.requests) and any("capital" in (r.text or "") for r in other.requests)


def test_a_trace_is_never_written_over(tmp_path: Path) -> None:
    (tmp_path / "t.jsonl").write_text("mine")
    for path in (tmp_path / "t.jsonl", tmp_path / "no" / "t.jsonl"):
        with pytest.raises(ServingError, match="name another file"):
            Watching(fleet(), record=path)
    assert (tmp_path / "t.jsonl").read_text() == "mine"
    (tmp_path / "empty.jsonl").touch()
    assert len(recorded(tmp_path / "empty.jsonl").requests) == 3


def test_where_the_disk_is_full_the_trace_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "t.jsonl"

    class Full:
        """Room for two lines and a half."""

        def __init__(self) -> None:
            self.file, self.left = path.open("xb", buffering=0), 2

        def write(self, line: bytes) -> int:
            self.left -= 1
            return self.file.write(line if self.left >= 0 else line[:50] if self.left == -1 else b"never")

        def close(self) -> None:
            self.file.close()

    monkeypatch.setattr("runtime.traces.recorder._created", lambda path: Full())
    trace = recorded(path)
    assert trace.cut_off and len(trace.requests) == 1 and b"never" not in path.read_bytes()


@pytest.fixture(scope="module")
def lines(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    path = tmp_path_factory.mktemp("trace") / "t.jsonl"
    recorded(path)
    return path.read_text().splitlines()


Change = Callable[[dict[str, Any]], object]


@pytest.mark.parametrize(
    ("line", "change", "said"),
    [
        (1, lambda row: row.update(iemas_trace=2), "t.jsonl:1: iemas_trace: "),
        (1, lambda row: row.update(agents=[]), "t.jsonl:1: agents: "),
        (2, lambda row: row.pop("pieces"), "t.jsonl:2: pieces: Field required"),
        (3, lambda row: row.update(wished=1), "t.jsonl:3: wished: Extra"),
        (2, lambda row: row.update(at_s="0"), "t.jsonl:2: at_s: "),
        (2, lambda row: row.update(at_s=float("nan")), "t.jsonl:2: at_s: "),
        (2, lambda row: row.update(charge=1.5), "t.jsonl:2: charge: "),
        (2, lambda row: row.update(agents=[7]), "t.jsonl:2: agent 7, of the 2"),
        (2, lambda row: row.update(blocks=["zz"]), "t.jsonl:2: blocks.0: "),
        (2, lambda row: row.update(blocks=[]), "t.jsonl:2: 0 blocks for"),
        (2, lambda row: row.update(measured=None, outcome="served"), "t.jsonl:2: `measured`"),
        (2, lambda row: row.update(outcome="lost"), "t.jsonl:2: outcome: "),
    ],
)
def test_a_wrong_line_is_an_error_with_its_number(
    lines: list[str], line: int, change: Change, said: str, tmp_path: Path
) -> None:
    row = json.loads(lines[line - 1])
    change(row)
    path = tmp_path / "t.jsonl"
    path.write_text("\n".join([*lines[: line - 1], json.dumps(row), *lines[line:], ""]))
    with pytest.raises(TraceError) as caught:
        read_trace(path)
    assert said in str(caught.value) and "\n" not in str(caught.value)


def test_a_last_line_may_be_cut_off_and_no_other(lines: list[str], tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    whole = "\n".join(lines) + "\n"
    for cut in (1, 40, len(lines[-1])):
        path.write_text(whole[:-cut])
        trace = read_trace(path)
        assert trace.cut_off and len(trace.requests) == len(lines) - 2
    path.write_text("\n".join([lines[0], lines[1][:-5], *lines[2:], ""]))
    with pytest.raises(TraceError, match=r"t\.jsonl:2: "):
        read_trace(path)
    path.write_text("\n".join([*lines, lines[1], ""]))
    with pytest.raises(TraceError, match="is in line 2 already"):
        read_trace(path)


def test_an_agent_may_join_and_none_may_change(lines: list[str], tmp_path: Path) -> None:
    path, head, row = tmp_path / "t.jsonl", json.loads(lines[0]), json.loads(lines[2])
    more = head | {"agents": [*head["agents"], head["agents"][0] | {"name": "late"}]}
    later = row | {"agents": [0, 1, 2]}
    path.write_text("\n".join(json.dumps(one, separators=(",", ":")) for one in (head, more, later)) + "\n")
    assert [agent.name for agent in read_trace(path).head.agents] == ["small", "big", "late"]
    for wrong in (head | {"agents": head["agents"][:1]}, head | {"block": 8}):
        path.write_text("\n".join(json.dumps(one, separators=(",", ":")) for one in (head, wrong, row)) + "\n")
        with pytest.raises(TraceError, match=r"t\.jsonl:2: a head that changes"):
            read_trace(path)


def test_a_trace_without_requests_is_an_error(lines: list[str], tmp_path: Path) -> None:
    for text in ("", lines[0], lines[0] + "\n", lines[0] + "\n" + lines[1][:50]):
        (tmp_path / "t.jsonl").write_text(text)
        with pytest.raises(TraceError, match="holds no request"):
            read_trace(tmp_path / "t.jsonl")
    with pytest.raises(TraceError, match="cannot read"):
        read_trace(tmp_path / "none.jsonl")
