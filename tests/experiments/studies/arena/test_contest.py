"""Many runs: who plays, what is kept, what is not taken for something else, and how it ends."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import combinations
from math import isnan
from pathlib import Path

import pytest

from experiments.errors import DatasetError, StudyError
from experiments.studies.arena import contest as contests
from experiments.studies.arena.contest import Contest, Task, World, contest, seeds_of
from experiments.studies.arena.play import Score

WORLD = World(("shipped",), 1.0, dialogues=1, turns=1)

SCORE = Score(
    (1.0, 2.0), 1.0, 2, 0, 0.5, 1.0, 2.0, 0.1, float("nan"), 0.0, 0.0, 0.0, 3.0, (1.0, 1.5), 0.5, (5.0, 50.0), 0
)

MINE = """
from experiments.routers.plain.spread import RoundRobin


class Policy(RoundRobin):
    name = "mine"
"""


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "mine_arena.py").write_text(MINE)
    monkeypatch.delitem(sys.modules, "mine_arena", raising=False)
    return tmp_path / "mine_arena.py"


@pytest.fixture
def played(monkeypatch: pytest.MonkeyPatch) -> list[Task]:
    """What is played; nothing is, it comes to `SCORE`."""
    asked: list[Task] = []

    def play(tasks: Sequence[Task], workers: int | None) -> Iterator[tuple[Task, Score]]:
        for task in tasks:
            asked.append(task)
            yield task, SCORE

    monkeypatch.setattr(contests, "_played", play)
    monkeypatch.setattr(contests, "_most", lambda world, seed: (float(seed),))
    return asked


def test_different_worlds_have_different_names() -> None:
    worlds = [
        WORLD,
        *(replace(WORLD, data=data) for data in (("quac",), ("shipped", "quac"), ("some/inscit/dev.json",))),
        *(replace(WORLD, rate=rate) for rate in (2.0, 0.1234567, 0.1234568, 1.0000001)),
        replace(WORLD, preset="varied"),
        *(replace(WORLD, agents=agents) for agents in ((0,), (0, 0), (0, 2), (2, 0))),
        *(replace(WORLD, slots=slots) for slots in (1, 2)),
        replace(WORLD, dialogues=2),
        *(replace(WORLD, turns=turns) for turns in (2, 12)),
        *(replace(WORLD, skill=skill) for skill in (0.0, 0.6, 0.60000001)),
        *(replace(WORLD, correlation=correlation) for correlation in (-0.8, 0.8, 0.8000001)),
        *(replace(WORLD, preferences=preferences) for preferences in ("mine:draw", "mine:other")),
    ]
    for one, other in combinations(worlds, 2):
        assert one != other and one.name != other.name
    assert World(("shipped",), 0.5).name == "shipped, 0.5/s, differing"


def test_files_that_are_called_alike_are_not_taken_for_each_other(tmp_path: Path, played: list[Task]) -> None:
    worlds = [World((f"{tmp_path}/{folder}/talks.json",), 1.0) for folder in ("one", "two")]
    with pytest.raises(StudyError, match="two worlds are called 'talks, 1/s, differing'"):
        contest(worlds, [0], ["random"])
    # Nor in the file of finished runs, where they come one after the other.
    kept = tmp_path / "runs.jsonl"
    for folder, world in zip(("one", "two"), worlds, strict=True):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "talks.json").write_text(folder)
        contest([world], [0], ["random"], kept=kept)
    assert [world for world, _, _ in played] == worlds


def test_twins_are_agents_of_their_own() -> None:
    assert [one.name for one in replace(WORLD, agents=(0, 0, 2)).fleet()] == ["small-a-0", "small-a-1", "large-a"]
    assert {one.skill for one in replace(WORLD, skill=0.6).fleet()} == {0.6}


@pytest.mark.parametrize(
    ("policies", "world", "said"),
    [
        (["iemas", "psychic"], WORLD, "no policy 'psychic'; there are: iemas, "),
        (["nowhere_at_all:Policy"], WORLD, "run where nowhere_at_all.py lies"),
        (["random"], replace(WORLD, preset="cheap"), "no preset 'cheap'"),
        (["random"], replace(WORLD, preset="varied", correlation=0.8), "a correlation is of the bidders that preset"),
        (["random"], replace(WORLD, preferences="nowhere_at_all:draw"), "run where nowhere_at_all.py lies"),
    ],
)
def test_what_does_not_exist_is_said_before_anything_is_played(
    policies: list[str], world: World, said: str, played: list[Task]
) -> None:
    with pytest.raises(StudyError, match=said):
        contest([WORLD, world], [0], policies)
    with pytest.raises(DatasetError):
        contest([replace(WORLD, data=("no-such-file",))], [0], ["random"])
    assert played == []


def test_a_contest_goes_on_where_its_file_ends(tmp_path: Path, played: list[Task]) -> None:
    kept, steps = tmp_path / "folder" / "runs.jsonl", []
    first = contest([WORLD], [0, 1], ["random", "sticky"], kept=kept)
    assert len(played) == 4 and len(kept.read_text().splitlines()) == 4
    again = contest([WORLD], [0, 1], ["random", "sticky"], kept=kept)
    assert len(played) == 4 and repr(again.scores) == repr(first.scores)
    contest(
        [WORLD], [0, 1, 2], ["random", "sticky", "round-robin"], kept=kept, progress=lambda *step: steps.append(step)
    )
    assert len(played) == 9 and steps[0] == (5, 9) and steps[-1] == (9, 9)
    assert {seed for _, _, seed in played[4:]} == {0, 1, 2}


def test_a_line_that_was_cut_off_is_played_again_and_takes_no_other_with_it(tmp_path: Path, played: list[Task]) -> None:
    kept = tmp_path / "runs.jsonl"
    contest([WORLD], [0, 1], ["random"], kept=kept)
    kept.write_text(kept.read_text()[:-40])
    contest([WORLD], [0, 1], ["random"], kept=kept)
    assert [seed for _, _, seed in played] == [0, 1, 1]
    contest([WORLD], [0, 1], ["random"], kept=kept)
    assert len(played) == 3


def test_runs_of_other_code_do_not_count(
    tmp_path: Path, mine: Path, played: list[Task], monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, names = tmp_path / "runs.jsonl", ["random", "mine_arena:Policy"]
    contest([WORLD], [0], names, kept=kept)
    contest([WORLD], [0], names, kept=kept)
    assert [policy for _, policy, _ in played] == names
    mine.write_text(MINE + "\n# another version\n")
    contest([WORLD], [0], names, kept=kept)
    assert [policy for _, policy, _ in played[2:]] == ["mine_arena:Policy"]
    monkeypatch.setattr(contests.keeping, "ours", lambda: "other code of ours")
    contest([WORLD], [0], names, kept=kept)
    assert [policy for _, policy, _ in played[3:]] == names


def test_scores_are_read_by_world_policy_and_seed() -> None:
    better = replace(SCORE, welfare=(2.0, 4.0))
    scores = {("w", "iemas", 0): better, ("w", "random", 0): SCORE, ("v", "iemas", 0): better}
    found = Contest((0,), scores)
    assert found.policies("w") == ["iemas", "random"] and found.over("w", "iemas", "random").share == 1.0
    assert found.normalised("w", "iemas") == 1 and found.normalised("w", "random") == 0
    assert isnan(found.normalised("v", "iemas"))
    with pytest.raises(StudyError, match="no run of 'sticky' in 'w' at seed 0"):
        found.of("w", "sticky")


def test_what_is_compared_counts_waits_as_asked() -> None:
    later = replace(SCORE, welfare_last=(0.5, 1.0))
    found = Contest((0,), {("w", "iemas", 0): SCORE, ("w", "random", 0): later})
    assert found.over("w", "iemas", "random").share == 0
    found.delay = "last-token"
    assert found.over("w", "iemas", "random").share == pytest.approx(2.5 / 1.5 - 1)
    assert found.normalised("w", "random") == 0 and found.normalised("w", "iemas") == 1


def test_seeds_are_nobodys_choice() -> None:
    assert seeds_of("abc", 3) == seeds_of("abc", 5)[:3] != seeds_of("abd", 3)
    assert len(set(seeds_of("abc", 50))) == 50


def test_policies_play_in_processes_of_their_own_as_they_do_here(tmp_path: Path, mine: Path) -> None:
    names = ["random", "round-robin", "mine_arena:Policy"]
    found = contest([WORLD], [5], names, kept=tmp_path / "runs.jsonl", workers=1)
    assert found.policies(WORLD.name) == names
    [here] = [contests._play(WORLD, "random", 5)]
    assert here.welfare == found.of(WORLD.name, "random")[0].welfare
    assert found.of(WORLD.name, names[1])[0].welfare == found.of(WORLD.name, names[2])[0].welfare
    rows = [json.loads(line) for line in (tmp_path / "runs.jsonl").read_text().splitlines()]
    assert {row["policy"] for row in rows} == set(names)


ENDLESS = """
from pathlib import Path
from experiments.studies.arena.contest import World, contest

if __name__ == "__main__":
    contest([World(("shipped",), 1.0)], range(1000), ["random"], kept=Path("runs.jsonl"), workers=2)
"""


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="signals and process groups as POSIX systems have them")
@pytest.mark.parametrize("everybody", [False, True], ids=["the parent alone", "all of its group"])
def test_ctrl_c_leaves_no_process_and_keeps_what_was_played(tmp_path: Path, everybody: bool) -> None:
    (tmp_path / "endless.py").write_text(ENDLESS)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(os.path.abspath, sys.path))}
    with subprocess.Popen(
        [sys.executable, "endless.py"],
        cwd=tmp_path,
        start_new_session=True,
        stderr=subprocess.PIPE,
        env=environment,
    ) as parent:
        kept, deadline = tmp_path / "runs.jsonl", time.monotonic() + 120
        while not (kept.exists() and kept.read_text()) and time.monotonic() < deadline:
            time.sleep(0.1)
        (os.killpg if everybody else os.kill)(parent.pid, signal.SIGINT)
        _, errors = parent.communicate(timeout=30)
        assert b"KeyboardInterrupt" in errors
        until = time.monotonic() + 10
        while time.monotonic() < until:
            try:
                os.killpg(parent.pid, 0)
            except ProcessLookupError:
                break
            time.sleep(0.05)
        with pytest.raises(ProcessLookupError):
            os.killpg(parent.pid, 0)
    assert json.loads(kept.read_text().splitlines()[0])["policy"] == "random"
