"""`iemas contest`: its tables, its JSON, its file, and what it refuses."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from experiments.cli import main
from experiments.studies.arena import contest as contests
from experiments.studies.arena.contest import Contest, Task, World
from experiments.studies.arena.play import Score
from experiments.studies.arena.table import as_dict, tables

NAN = float("nan")
SCORE = Score(
    (1000.0, 2000.0), 1.0, 2, 0, 0.5, 1.25, 2.0, 0.1, NAN, 0.25, 0.0, 0.0, 3.0, (800.0, 1700.0), 0.5, (5.0, 50.0), 0
)

Ran = tuple[int, str, str]


@pytest.fixture
def contest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Callable[..., Ran]:
    """Exit code, standard output and standard error; nothing is played, it comes to `SCORE`."""

    def play(tasks: Sequence[Task], workers: int | None) -> Iterator[tuple[Task, Score]]:
        yield from ((task, SCORE) for task in tasks)

    def run(*options: str) -> Ran:
        monkeypatch.setattr(sys, "argv", ["iemas", "contest", *options])
        with pytest.raises(SystemExit) as ended:
            main()
        assert isinstance(ended.value.code, int | None)
        return ended.value.code or 0, *capfd.readouterr()

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(contests, "_played", play)
    return run


def test_each_world_has_a_table_of_every_policy(contest: Callable[..., Ran]) -> None:
    code, out, err = contest("--rate", "0.5", "--rate", "2", "--policy", "random", "--policy", "iemas", "--seeds", "2")
    assert code == 0, err
    assert "shipped, 0.5/s, differing: 2 seeds, simulated" in out and "shipped, 2/s, differing" in out
    assert "iemas gains over it" in out and "+0.0 % [+0.0, +0.0], 0/2" in out and "3,000" in out
    assert len(Path("runs/contest.jsonl").read_text().splitlines()) == 8


def test_json_has_all_that_tables_have_and_is_json(contest: Callable[..., Ran]) -> None:
    code, out, err = contest("--policy", "random", "--policy", "sticky", "--seeds", "2", "--json")
    assert code == 0, err
    said = json.loads(out, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert said["seeds"] == [0, 1] and said["simulated"] is True and len(said["scores"]) == 4
    [gain] = said["gains"]
    assert (gain["of"], gain["over"], gain["share"], gain["chance"]) == ("random", "sticky", 0.0, 1.0)
    assert said["scores"][0]["welfare"] == [1000.0, 2000.0] and said["scores"][0]["latency_nmae"] is None


def test_who_got_the_welfare_is_told_by_worth(contest: Callable[..., Ran]) -> None:
    _, out, _ = contest("--policy", "random", "--policy", "iemas", "--seeds", "2")
    assert "by its bidder's worth" in " ".join(out.split()) and "2 of them" in out
    assert "5 to 5" in out and "50 to 50" in out and "1,000 | 1,000" in out and "2,000 | 2,000" in out
    _, out, _ = contest("--policy", "random", "--seeds", "2", "--json")
    [row] = json.loads(out)["by_worth"]
    assert row["policy"] == "random"
    assert row["deciles"][-1] == {"low": 50, "high": 50, "conversations": 2, "mean": 2000, "median": 2000}


def test_waits_to_the_last_token_judge_the_same_runs(contest: Callable[..., Ran]) -> None:
    who = ("--policy", "random", "--policy", "iemas", "--seeds", "2")
    _, first, _ = contest(*who)
    code, last, err = contest(*who, "--delay", "last-token")
    assert code == 0, err
    assert len(Path("runs/contest.jsonl").read_text().splitlines()) == 4
    # 3,000 to the first token and 2,500 to the last; bidders' surplus, 3, is less by the difference.
    assert "judged to the last token" in last and "judged to the last token" not in first
    assert "-497" in last and "-497" not in first
    assert "800 | 800" in last and "1,000 | 1,000" in first
    said = json.loads(contest(*who, "--delay", "last-token", "--json")[1])
    assert said["delay"] == "last-token" and said["by_worth"][0]["deciles"][-1]["mean"] == 1700


def test_correlations_are_worlds_and_several_worlds_are_told_together(contest: Callable[..., Ran]) -> None:
    who = ("--policy", "iemas", "--policy", "greedy", "--policy", "tiers")
    code, out, err = contest(*who, "--correlation", "-0.8", "--correlation", "0", "--seeds", "1")
    assert code == 0, err
    assert "shipped, 0.5/s, differing, correlation -0.8: 1 seeds" in out and "shipped, 0.5/s, differing: 1" in out
    assert "iemas gains in welfare, first token" in out and "best informed" in out and "greedy: +0.0 %" in out
    assert "best informed" not in contest(*who, "--seeds", "1")[1]


def test_a_table_says_where_answers_cannot_be_graded() -> None:
    world = World(("talks.json",), 1.0)
    ungraded = replace(SCORE, ungraded=1)
    said = {}
    for score in (SCORE, ungraded):
        [table] = tables(Contest((0,), {(world.name, "iemas", 0): score}), world, 250)
        said[score] = str(table.caption), [str(column.header) for column in table.columns]
    caption, headings = said[ungraded]
    assert "of 50 % of requests nobody can grade the answer" in caption and "loss\na request" in headings
    caption, headings = said[SCORE]
    assert "grade" not in caption and "loss\na request" not in headings


def test_a_table_says_what_no_router_can_exceed_where_that_is_known() -> None:
    world = World(("talks.json",), 1.0)
    found = Contest((0, 1), {(world.name, "iemas", seed): SCORE for seed in (0, 1)})
    assert "no router can exceed" not in str(tables(found, world, 250)[0].caption)
    found.most = {(world.name, 0): (900.0, 100.0), (world.name, 1): (2000.0, 0.0), ("another", 0): (9.0,)}
    assert "no router can exceed 1,500 credits" in str(tables(found, world, 250)[0].caption)
    assert as_dict(found)["most"][0] == {"world": world.name, "seed": 0, "welfare": [900.0, 100.0]}  # type: ignore[index]


@pytest.mark.parametrize(("page", "count"), [("contests.md", 6), ("routers.md", 1)])
def test_the_commands_of_the_pages_are_commands(page: str, count: int, contest: Callable[..., Ran]) -> None:
    text = (Path(__file__).parents[4] / "docs" / page).read_text()
    commands = re.findall(
        r"^```\n *(?:for [^\n]*\n *)?(iemas contest .*?)\n(?:done\n)?```", text, re.DOTALL | re.MULTILINE
    )
    assert len(commands) == count
    for command in commands:
        _, _, *options = shlex.split(command.replace("\\\n", " ").replace("$name", "shipped"))
        code, _, err = contest(*options)
        assert code == 0, (command, err)


def test_without_names_all_rivals_play(contest: Callable[..., Ran]) -> None:
    _, out, _ = contest("--seeds", "1", "--json")
    played = {score["policy"] for score in json.loads(out)["scores"]}
    assert played >= {"iemas", "paper-auction", "c-mu", "greedy", "posted", "cache-aware", "random", "oracle"}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--policy", "psychic"), "no policy 'psychic'; there are: iemas"),
        (("--policy", "no_such_module:Policy"), "run where no_such_module.py lies"),
        (("--preset", "cheap"), "no preset 'cheap'"),
        (("--preset", "varied", "--correlation", "0.8"), "a correlation is of the bidders that preset"),
        (("--warm-up", "14"), "has 14 dialogues; a warm-up of 14 leaves none to play"),
        (("--delay", "median"), "no delay 'median'; there are: first-token, last-token"),
        (("--preferences", "no_such_module:draw"), "run where no_such_module.py lies"),
        (("--data", "no-such-file.json"), "neither a file nor a name"),
        (("--data", "."), "is a folder; name its files"),
        (("--out", "."), "cannot write to ."),
        (("--out", "/proc/nowhere/runs.jsonl"), "cannot write to /proc/nowhere"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(
    options: tuple[str, ...], said: str, contest: Callable[..., Ran]
) -> None:
    code, out, err = contest(*options)
    assert (code, out) == (2, "")
    [line] = err.strip().splitlines()[-1:]
    assert line.startswith("iemas: ") and said in line and "Traceback" not in err


DIES = """
import os
from experiments.routers.plain.spread import RoundRobin


class Dies(RoundRobin):
    name = "dies"

    def decide(self, offers, fleet):
        os._exit(3)


class Raises(RoundRobin):
    name = "raises"

    def decide(self, offers, fleet):
        return {}["nothing"]
"""

IEMAS = [sys.executable, "-c", "import sys; from experiments.cli import main; sys.argv[0] = 'iemas'; main()"]


def started(folder: Path, *options: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [*IEMAS, "contest", "--out", "runs.jsonl", "--workers", "2", *options],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(os.path.abspath, sys.path))},
    )


@pytest.mark.parametrize(
    ("policy", "said"),
    [
        pytest.param("Dies", "ended 2 worker processes (exit 3)", marks=pytest.mark.slow),
        ("Raises", "KeyError: 'nothing' "),
    ],
)
def test_a_policy_that_fails_as_it_plays_is_one_line(policy: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "fails.py").write_text(DIES)
    with started(tmp_path, "--policy", f"fails:{policy}", "--seeds", "2") as done:
        out, err = done.communicate(timeout=60)
    [line] = err.strip().splitlines()[-1:]
    assert (done.returncode, out) == (2, "") and line.startswith("iemas: ") and said in line
    assert (f"fails:{policy} in shipped" if policy == "Dies" else "fails.py") in line


@pytest.mark.skipif(os.name != "posix", reason="signals and process groups as POSIX systems have them")
def test_ctrl_c_is_130_and_what_was_played_is_kept(tmp_path: Path) -> None:
    kept, deadline = tmp_path / "runs.jsonl", time.monotonic() + 120
    with started(tmp_path, "--policy", "random", "--policy", "cache-aware", "--seeds", "20000") as process:
        while not (kept.exists() and kept.read_text()) and time.monotonic() < deadline:
            time.sleep(0.1)
        os.killpg(process.pid, signal.SIGINT)
        _, err = process.communicate(timeout=30)
        assert process.returncode == 130 and "Traceback" not in err
    assert all(json.loads(line)["policy"] in ("random", "cache-aware") for line in kept.read_text().splitlines())


def test_a_narrow_terminal_gets_more_tables_and_loses_no_figure() -> None:
    world = World(("shipped",), 1.0)
    found = Contest((0,), {(world.name, name, 0): SCORE for name in ("random", "iemas")})
    wide, narrow = tables(found, world, 250), tables(found, world, 80)
    assert len(wide) == 1 and len(narrow) > 1
    headings = [[str(column.header) for column in table.columns] for table in narrow]
    assert {name for table in headings for name in table} == {str(column.header) for column in wide[0].columns}
    # The auction comes first, whoever was named first.
    assert [str(cell) for cell in wide[0].columns[0].cells] == ["iemas", "random"]
    assert as_dict(found)["seeds"] == [0]
