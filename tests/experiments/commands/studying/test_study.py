"""`iemas study`: its tables, its JSON, its folder, what changed, and what it refuses."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from experiments.cli import main
from experiments.studies.findings.catalogue import QUESTIONS
from experiments.studies.study.file import SHIPPED

Ran = tuple[int, str, str]

SMALL = """
about = "two dialogues"
policies = ["round-robin", "random"]
seeds = 2

[workload]
dialogues = "shipped"
rate = {rate}
count = 2
turns = 2
"""


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Callable[..., Ran]:
    """Exit code, standard output and standard error."""

    def run(*options: str) -> Ran:
        monkeypatch.setattr(sys, "argv", ["iemas", "study", *options])
        with pytest.raises(SystemExit) as ended:
            main()
        assert isinstance(ended.value.code, int | None)
        return ended.value.code or 0, *capfd.readouterr()

    monkeypatch.chdir(tmp_path)
    (tmp_path / "small.toml").write_text(SMALL.format(rate="[1.0, 2.0]"))
    return run


def test_a_study_is_tables_a_page_and_files_to_go_on_from(study: Callable[..., Ran]) -> None:
    code, out, err = study("small.toml", "--workers", "0")
    assert (code, err) == (0, "")
    assert "small: rate 1, 2 seeds" in out and "small: rate 2, 2 seeds" in out and "round-robin gains over it" in out
    assert "runs/small/report.html shows it with plots" in out
    folder = Path("runs/small")
    assert sorted(one.name for one in folder.iterdir()) == ["report.html", "result.json", "runs.jsonl"]
    assert len((folder / "runs.jsonl").read_text().splitlines()) == 8
    # Again: nothing is played, and nothing changes.
    before = (folder / "runs.jsonl").read_bytes()
    code, again, err = study("small.toml", "--workers", "0")
    assert (code, (folder / "runs.jsonl").read_bytes()) == (0, before) and again == out
    assert err == "runs/small/runs.jsonl: 8 of 8 runs kept, none to run\n"
    # More of it: what is of before is told, on the page too.
    code, _, err = study("small.toml", "--workers", "0", "--seeds", "3")
    assert (code, err) == (0, "runs/small/runs.jsonl: 8 of 12 runs kept, 4 to run\n")
    assert json.loads((folder / "result.json").read_text())["made"]["kept"] == "8 of 12 runs kept, 4 run"
    assert "8 of 12 runs kept, 4 run" in (folder / "report.html").read_text()


def test_json_is_json_alone(study: Callable[..., Ran]) -> None:
    code, out, err = study(
        "small.toml", "--workers", "0", "--seeds", "1..1", "--policy", "random", "--json", "--out", "o"
    )
    assert (code, err) == (0, "")
    said = json.loads(out, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert said["simulated"] is True and [run["seed"] for run in said["runs"]] == [1, 1]
    assert {run["policy"] for run in said["runs"]} == {"random"} and Path("o/result.json").exists()
    assert said["runs"][0]["axes"] == {"rate": 1.0} and said["made"]["command"].startswith("iemas study small.toml")


def test_what_changed_is_told_in_pairs(study: Callable[..., Ran]) -> None:
    assert study("small.toml", "--workers", "0", "--out", "one")[0] == 0
    Path("small.toml").write_text(SMALL.format(rate="[2.0, 3.0]"))
    assert study("small.toml", "--workers", "0", "--out", "two")[0] == 0
    code, out, err = study("diff", "one/result.json", "two/result.json")
    assert (code, err) == (0, "")
    assert "rate 2: random: the same" in out and "rate 1: random: only in the first" in out
    assert "rate 3: round-robin: only in the second" in out
    said = json.loads(study("diff", "one/result.json", "two/result.json", "--json")[1])
    assert [one["alike"] for one in said["changed"]] == [True, True] and ["rate 3", "random"] in said["only_second"]


def test_a_finished_study_is_shown_and_drawn_again_without_playing(study: Callable[..., Ran]) -> None:
    code, out, err = study("small.toml", "--workers", "0", "--picture", "one/small.svg")
    assert (code, err) == (0, "") and "one/small.svg is its picture; one/small.json has what it is drawn from" in out
    picture, kept = Path("one/small.svg").read_bytes(), Path("runs/small/runs.jsonl").read_bytes()
    Path("small.toml").unlink()
    code, again, err = study("show", "runs/small", "--picture", "two.svg")
    assert (code, err) == (0, "") and Path("two.svg").read_bytes() == picture
    assert "small: rate 1, 2 seeds" in again and Path("runs/small/runs.jsonl").read_bytes() == kept
    saved = json.loads(Path("runs/small/result.json").read_text())
    assert json.loads(study("show", "runs/small/result.json", "--json")[1]) == saved
    # What a picture is drawn from is a finished study, too.
    code, out, _ = study("show", "one/small.json", "--picture", "three.svg")
    assert code == 0 and Path("three.svg").read_bytes() == picture and "random gains over it" not in out


def test_the_list_has_what_ships(study: Callable[..., Ran]) -> None:
    code, out, _ = study("list")
    assert code == 0 and "measured" in out and "quality" in out
    shipped = {path.stem for path in SHIPPED.glob("*.toml")}
    assert set(json.loads(study("list", "--json")[1])) == shipped | set(QUESTIONS) and shipped and QUESTIONS


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["nowhere"], "no study 'nowhere'; there are: ablation, measured, quality, routing, paper, prediction, "),
        (["nowhere.toml"], "nowhere.toml cannot be read"),
        (["small.toml", "--seeds", "many"], "seeds = 'many'"),
        (["small.toml", "--workers", "some"], "--workers some: expected a number of processes, or `ray`"),
        (["small.toml", "--policy", "psychic"], "no policy 'psychic'"),
        (["small.toml", "--workers", "0", "--out", "small.toml"], "cannot write to small.toml"),
        (["small.toml", "other.json"], "one study at a time"),
        (["small.toml", "--picture", "x.png"], "x.png: pictures are SVG; name a file that ends in .svg"),
        (["list", "--picture", "x.svg"], "--picture x.svg: a picture is of one study"),
        (["show"], "show takes one finished study"),
        (["show", "nowhere"], "nowhere cannot be read"),
        (["show", "small.toml"], "small.toml is no result of a study"),
        (["diff", "small.toml"], "diff takes two files result.json; found 1"),
        (["diff", "small.toml", "small.toml"], "small.toml is no result of a study"),
    ],
)
def test_what_cannot_be_is_two_and_one_line(options: list[str], said: str, study: Callable[..., Ran]) -> None:
    code, out, err = study(*options)
    assert (code, out) == (2, "") and said in " ".join(err.split())
    assert Path("runs").exists() is False


def test_a_name_that_would_leave_runs_is_refused(study: Callable[..., Ran]) -> None:
    Path("small.toml").write_text('name = "../elsewhere"\n' + SMALL.format(rate=1.0))
    code, _, err = study("small.toml", "--workers", "0")
    assert code == 2 and "a study called '../elsewhere' is no folder of runs/" in " ".join(err.split())


RAISES = """
from experiments.routers.plain.spread import RoundRobin


class Raises(RoundRobin):
    name = "raises"

    def decide(self, offers, fleet):
        return {}["nothing"]
"""


@pytest.mark.parametrize("workers", ["0", pytest.param("2", marks=pytest.mark.slow)])
def test_a_policy_that_fails_is_one_line_with_its_place(
    workers: str, study: Callable[..., Ran], tmp_path: Path
) -> None:
    (tmp_path / "raises_here.py").write_text(RAISES)
    code, out, err = study("small.toml", "--policy", "raises_here:Raises", "--workers", workers)
    [line] = err.strip().splitlines()
    assert (code, out) == (2, "") and "KeyError: 'nothing' in raises_here:Raises in rate " in line
    assert "raises_here.py:9" in line


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="signals as POSIX systems have them")
def test_ctrl_c_keeps_what_was_played_and_leaves_nobody(tmp_path: Path) -> None:
    (tmp_path / "small.toml").write_text(SMALL.format(rate=1.0).replace("count = 2", "count = 14"))
    iemas = [sys.executable, "-c", "import sys; from experiments.cli import main; sys.argv[0] = 'iemas'; main()"]
    with subprocess.Popen(
        [*iemas, "study", "small.toml", "--seeds", "0..9999", "--workers", "2"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(os.path.abspath, sys.path))},
    ) as parent:
        kept, deadline = tmp_path / "runs/small/runs.jsonl", time.monotonic() + 120
        while not (kept.exists() and kept.read_text()) and time.monotonic() < deadline:
            time.sleep(0.1)
        os.killpg(parent.pid, signal.SIGINT)
        _, err = parent.communicate(timeout=60)
        until = time.monotonic() + 20
        while time.monotonic() < until:
            try:
                os.killpg(parent.pid, 0)
            except ProcessLookupError:
                break
            time.sleep(0.05)
        with pytest.raises(ProcessLookupError):
            os.killpg(parent.pid, 0)
    assert parent.returncode == 130 and "Traceback" not in err
    [told] = [line for line in err.splitlines() if line.startswith("iemas: stopped; ")]
    assert told.endswith(" of 20,000 runs are in runs/small/runs.jsonl: the same command goes on from there")
    assert "run" in json.loads(kept.read_text().splitlines()[0])


def test_a_question_that_is_stopped_goes_on_with_the_same_command(
    study: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch
) -> None:
    from experiments.studies.findings.rounds import scale

    monkeypatch.setitem(scale.run.__kwdefaults__, "sizes", ((3, 40), (5, 60)))
    monkeypatch.delenv("IEMAS_DATASETS", raising=False)
    draw, drawn = scale.draw, []

    def stopping(*given: Any) -> Any:
        drawn.append(given)
        if len(drawn) == 3:
            raise KeyboardInterrupt
        return draw(*given)

    with monkeypatch.context() as patch:
        patch.setattr(scale, "draw", stopping)
        code, _, err = study("scale", "--seeds", "2", "--workers", "0")
    assert code == 130
    assert "iemas: stopped; 2 of 4 runs are in runs/scale/runs.jsonl: the same command goes on from there" in err
    code, out, err = study("scale", "--seeds", "2", "--workers", "0")
    assert (code, err.strip()) == (0, "runs/scale/runs.jsonl: 2 of 4 runs kept, 2 to run") and "3 x 40" in out
    assert json.loads(Path("runs/scale/exhibit.json").read_text())["made"]["kept"] == "2 of 4 runs kept, 2 run"
    # A finished one is read.
    assert study("scale", "--seeds", "2", "--workers", "0")[2].strip().endswith("4 of 4 runs kept, none to run")
