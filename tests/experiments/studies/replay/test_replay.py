"""A recorded trace, replayed: what prompts share, who may serve whom, and what is counted."""

import asyncio
import json
from importlib.resources import files
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from experiments.cli import app as command
from experiments.errors import StudyError
from experiments.studies.replay.engines import stands
from experiments.studies.replay.prompts import prompts, tokens_per_piece
from experiments.studies.replay.runs import recorded_figures, replay
from experiments.studies.replay.table import as_dict, tables
from runtime import EngineShape, SimulatedEngine
from runtime.gateway.app import Gateway
from runtime.gateway.fleet.config import Fleet
from runtime.gateway.operators.watching import Watching
from runtime.gateway.serving.serving import Serving
from runtime.traces.reading import Trace, read_trace
from tests.runtime.gateway.fleets import fleet
from tests.runtime.gateway.simulated import CHAT, STEP, Reading, ask, chat, told

CHEAP = {"fresh": 0.001, "cached": 0.0001, "output": 0.002}
DEAR = {"fresh": 0.002, "cached": 0.0002, "output": 0.004}
AGENTS: list[dict[str, Any]] = [
    {"name": "small", "model": "tiny", "prices": CHEAP},
    {"name": "big", "model": "wide", "prices": DEAR},
]


async def talk(app: Gateway, k: int) -> None:
    await asyncio.sleep(0.05 * k)
    said: list[dict[str, str]] = []
    for turn in range(3):
        words = f"conversation {k} asks for the {turn} time what a quay is made of and who built it there "
        said.append({"role": "user", "content": words * 3})
        model = "wide" if k == 3 else "auto"
        body = chat("") | {"messages": said, "stream": True, "model": model, "iemas": {"worth": 20 + 10 * k}}
        answer = await ask(app, CHAT, body)
        assert answer.status == 200
        said.append({"role": "assistant", "content": "yes indeed"})
        await asyncio.sleep(0.2)


@pytest.fixture(scope="module")
def trace(tmp_path_factory: pytest.TempPathFactory) -> Trace:
    path = tmp_path_factory.mktemp("replay") / "trace.jsonl"

    async def story(app: Gateway, watching: Watching) -> None:
        await asyncio.gather(*(talk(app, k) for k in range(5)))
        watching.close()

    told(fleet(*AGENTS), story, make=lambda made: Watching(made, record=path))
    return read_trace(path)


def common(one: tuple[int, ...], other: tuple[int, ...]) -> int:
    return next((k for k, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


def test_prompts_share_what_they_shared(trace: Trace) -> None:
    built, width = prompts(trace), round(trace.head.block * tokens_per_piece(trace))
    assert len(built) == 15 and width > 1
    for one in trace.requests:
        assert abs(len(built[one.id].tokens) - one.pieces * tokens_per_piece(trace)) < width
        assert one.measured is not None and len(built[one.id].answer) == max(one.measured.output, 1)
        for other in trace.requests:
            blocks = sum(a == b for a, b in zip(one.blocks, other.blocks, strict=False))
            shared = common(built[one.id].tokens, built[other.id].tokens)
            if one is not other:
                assert blocks * width <= shared
                assert shared < (blocks + 1) * width or min(len(one.blocks), len(other.blocks)) == blocks
    talks: dict[str, list[str]] = {}
    for one in trace.requests:
        talks.setdefault(one.blocks[0], []).append(one.id)
    assert sorted(map(len, talks.values())) == [3] * 5
    for names in talks.values():
        for before, after in pairwise(names):
            whole = built[before].tokens + built[before].answer
            assert built[after].tokens[: len(whole)] == whole, "the answer is part of what comes next"


def test_a_replay_is_repeatable_and_everybody_meets_the_same_requests(trace: Trace) -> None:
    steps: list[tuple[int, int]] = []
    found = replay(trace, ["iemas", "round-robin", "random"], lambda *step: steps.append(step))
    assert steps == [(k, 45) for k in range(1, 46)]
    for one in found.runs:
        assert one.served + one.declined + one.trouble == 15 and one.trouble == 0
        assert len(one.welfare) == 5 and one.hit_rate > 0.2, "caches hit as prompts go on"
    again = replay(trace, ["iemas", "round-robin", "random"])
    assert again.runs == found.runs
    gain = found.over(found.runs[1])
    assert gain.low <= gain.share <= gain.high


def test_a_model_is_served_by_those_who_have_it(trace: Trace, monkeypatch: pytest.MonkeyPatch) -> None:
    only = [one for one in trace.requests if one.agents == (1,)]
    assert len(only) == 3, "one conversation asked for the model of one agent"
    seen: dict[str, int] = {}
    from experiments.worlds.traffic.player import Player

    generate = Player.generate

    async def watched(self: Player, request: Any, first_token: Any = None) -> Any:
        seen[request.id] = ["small", "big"].index(self.name)
        return await generate(self, request, first_token)

    monkeypatch.setattr(Player, "generate", watched)
    for policy in ("iemas", "round-robin", "cache-aware"):
        replay(trace, [policy])
        assert {seen[one.id] for one in only} == {1}
        assert policy != "round-robin" or 0 in seen.values()
        seen.clear()


def test_agents_stand_for_those_of_the_trace(trace: Trace) -> None:
    small, big = stands(trace.head)
    assert (small.calibration, big.calibration) == ("smollm2-135m-cpu", "qwen2.5-0.5b-cpu")
    assert (small.shape.block_size, small.shape.cache_blocks, small.prices.fresh) == (4, 512, 0.001)


def test_the_tables_say_that_it_is_simulated(trace: Trace) -> None:
    found = replay(trace, ["iemas", "round-robin"])
    [table] = tables(found, 400)
    assert "simulated" in str(table.title) and "assumed" in str(table.caption)
    plain = as_dict(found)
    assert plain["simulated"] is True and json.loads(json.dumps(plain, allow_nan=False)) == plain
    seen = recorded_figures(trace)
    assert seen["served"] == 15 and seen["declined"] == 0 and seen["hit_rate"] > 0


def test_the_command(trace: Trace, tmp_path: Path) -> None:
    ran = CliRunner().invoke(command, ["replay", str(trace.path), "--policy", "iemas", "--policy", "random", "--json"])
    assert ran.exit_code == 0, ran.output
    told = json.loads(ran.stdout)
    assert [one["policy"] for one in told["runs"]] == ["iemas", "random"] and told["recorded"]["served"] == 15
    cut = tmp_path / "cut.jsonl"
    cut.write_bytes(trace.path.read_bytes()[:-30])
    ran = CliRunner().invoke(command, ["replay", str(cut), "--policy", "random"])
    assert ran.exit_code == 0 and "was cut off" in ran.stderr and "14 requests, simulated" in ran.stdout
    with pytest.raises(StudyError, match="no policy 'psychic'"):
        replay(trace, ["psychic"])


def test_an_agent_that_left_and_came_back_is_played_as_two(tmp_path: Path) -> None:
    path = tmp_path / "trace.jsonl"
    both, alone = fleet(*AGENTS), fleet(AGENTS[1])

    def make(made: Fleet, j: int) -> SimulatedEngine:
        return Reading(made.agents[j].name, lambda request: "yes", STEP, EngineShape(block_size=4, cache_blocks=512))

    class Coming(Watching):
        """Has the serving at hand, for agents to come and go."""

        def look_at(self, serving: Serving) -> None:
            self.serving = serving
            super().look_at(serving)

    async def story(app: Gateway, watching: Any) -> None:
        for k, made in enumerate((None, alone, both)):
            if made is not None:
                take_over = await watching.serving.adopt(made, make)
                app.adopt(made)
                take_over()
                await asyncio.sleep(1.0)
            answer = await ask(app, CHAT, chat(f"who is there {k} " * 20, iemas={"worth": 50}))
            assert answer.status == 200
        watching.close()

    told(both, story, make=lambda made: Coming(made, record=path))
    trace = read_trace(path)
    assert [agent.name for agent in trace.head.agents] == ["small", "big", "small"]
    assert [one.agents for one in trace.requests] == [(0, 1), (1,), (1, 2)]
    found = replay(trace, ["iemas", "round-robin"])
    assert [one.name for one in found.agents] == ["small", "big", "small (2)"]
    ran = CliRunner().invoke(command, ["replay", str(path), "--policy", "iemas"])
    assert ran.exit_code == 0 and "3 requests" in ran.stdout


def test_the_trace_that_ships_is_of_real_engines_and_a_frame_compares_with_the_first() -> None:
    trace = read_trace(Path(str(files("experiments") / "notebooks/data/trace.jsonl")))
    assert len(trace.requests) == 56 and not any(agent.simulated for agent in trace.head.agents)
    assert all(one.text is None for one in trace.requests)
    played = replay(trace, ["sticky", "round-robin"])
    frame = played.frame()
    assert frame["policy"].to_list() == ["sticky", "round-robin"]
    assert frame["gain_over_it"].to_list() == [None, played.over(played.runs[1]).share]
    assert frame["welfare"].to_list() == [run.total for run in played.runs] and "hit_rate" in frame.columns
