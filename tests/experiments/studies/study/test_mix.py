"""Studies of mixes: the same figures as of a part alone, columns by part, fleets, keys of runs, and files."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from experiments.answers import AnswerTable
from experiments.errors import StudyError
from experiments.studies.study import Cell, Dialogues, Mix, Questions, Study, StudyResult, Trace
from experiments.studies.study.file import read_study, workloads
from experiments.studies.study.keeping import kept as keeping
from experiments.studies.study.running.playing import Played, play
from experiments.worlds.fleets import FLEET
from experiments.worlds.rooflines import model_agent
from tests.experiments.worlds.mixes import ASK, CODE, TABLE, TALK, trace


def plain(run: Played) -> object:
    """All but how long decisions took."""
    return replace(run.score, decide_ms=0.0), dict(run.figures), run.measured


def figures(result: StudyResult) -> list[object]:
    """The same of all runs."""
    return [(run.policy, run.seed, plain(run.played)) for run in result.runs]


@pytest.mark.parametrize("part", [TALK, ASK, CODE], ids=["dialogues", "questions", "trace"])
def test_a_study_of_a_mix_of_one_comes_to_what_the_part_alone_does(part: Dialogues | Questions | Trace) -> None:
    alone, mixed = (
        [play(task) for task in Study(load, ["iemas", "sticky", "random"], seeds=1)._tasks()]
        for load in (part, Mix({"only": part}))
    )
    assert repr(list(map(plain, alone))) == repr(list(map(plain, mixed)))
    one, other = (Study(load, ["random"], seeds=1).run(workers=0) for load in (part, Mix({"only": part})))
    assert one.described == other.described and one.made.sources == other.made.sources
    assert other.parts(other.cells[0]) == ()


def test_policies_meet_the_same_mix_and_parts_are_columns() -> None:
    slow, fast = (Mix({"talk": replace(TALK, rate=rate), "code": CODE}) for rate in (1.0, 4.0))
    result = Study([slow, fast], ["random", "round-robin"], seeds=2).run(workers=0)
    assert [run.axes for run in result.runs[::4]] == [{"talk.rate": 1.0}, {"talk.rate": 4.0}]
    worth = {(run.cell, run.seed): run.score.worth for run in result.runs}
    assert all(run.score.worth == worth[run.cell, run.seed] for run in result.runs)
    assert result.frame()["code.served"].to_list() == [4.0] * 8 and "talk.hit_rate" in result.frame().columns
    shown = " ".join(result.table(200).split())
    assert shown.count("of it, talk") == shown.count("of it, code") == 2
    assert result.plot("code.wait_median", x="talk.rate").data and "of it, code" in result._repr_html_()
    assert result.parts(result.cells[0]) == ("talk", "code")
    assert result.described["quality"] == (
        "talk: answers are right as often as an assumed skill has it; code: every answer counts as right"
    )


def test_a_part_is_judged_as_the_study_is() -> None:
    made = Study(Mix([TALK, CODE]), ["random"], seeds=1, delay="last-token").run(workers=0)
    cell = made.cells[0]
    last = sum(made.mean("random", f"{part}.welfare_last", cell) for part in ("dialogues", "trace"))
    assert made.mean("random", "welfare") == pytest.approx(last)
    assert f"{made.mean('random', 'trace.welfare_last'):,.0f}" in made.table(200)


def test_the_caption_says_whose_bidders_they_are() -> None:
    own = Study(Mix([TALK, CODE], shared_bidders=False), ["random"], seeds=1).run(workers=0)
    assert own.described["bidders"].startswith("40 in each part, bidders who differ")
    assert own.described["traffic"].endswith(", bidders of their own")


def test_columns_of_mixes_are_fields_of_their_parts_or_their_names() -> None:
    one, two = Mix([TALK, CODE]), Mix([TALK, replace(CODE, speedup=2.0)])
    assert [cell.axes for cell in Study([one, two], ["random"]).cells] == [
        {"trace.speedup": 1.0},
        {"trace.speedup": 2.0},
    ]
    own = Mix([TALK, CODE], shared_bidders=False)
    assert [cell.name for cell in Study([one, own], ["random"]).cells] == [
        "shared bidders True",
        "shared bidders False",
    ]
    other = Mix({"talk": TALK, "code": CODE})
    assert [cell.axes for cell in Study([one, other], ["random"]).cells] == [
        {"workload": one.name},
        {"workload": other.name},
    ]


def test_a_mix_without_a_fleet_has_one_that_can_serve_all_parts() -> None:
    def fleet(*parts: Dialogues | Questions | Trace) -> list[str]:
        return [agent.name for agent in Cell(Mix({f"p{k}": one for k, one in enumerate(parts)})).fleet]

    assert fleet(TALK) == fleet(TALK, TALK) == [agent.name for agent in FLEET]
    assert fleet(TALK, CODE) == ["8b-a", "8b-b", "70b-a", "70b-b"]
    assert fleet(TALK, CODE, ASK) == fleet(ASK, CODE) == ["a-8b", "b-70b"]
    measured = replace(TALK, answers="shipped")
    assert [agent.answers_as for agent in Cell(Mix([measured, CODE])).fleet] == [
        "smollm2-135m", "smollm2-135m", "qwen2.5-coder-0.5b", "qwen2.5-coder-0.5b",
    ]  # fmt: skip
    half = AnswerTable("half.json", ("p",), ("b-70b", "c-8b"), np.array([[1.0, 0.0]]))
    assert fleet(ASK, Questions(half, train=0)) == ["b-70b"]


def test_tables_that_nobody_could_answer_are_refused_before_anything_is_played() -> None:
    strange = AnswerTable("strange.json", ("p",), ("c-8b",), np.array([[1.0]]))
    with pytest.raises(StudyError, match=r"workload\.mix: no agent could answer both ask and more: strange\.json has"):
        Study(Mix({"ask": ASK, "more": Questions(strange, train=0)}), ["random"])
    with pytest.raises(
        StudyError,
        match=r"workload\.mix: questions is scored by ten\.json, which has no scores of 'small-a'; its models",
    ):
        Study(Mix([TALK, ASK]), ["random"], fleet=FLEET)
    Study(Mix([TALK, ASK]), ["random"], fleet=[model_agent("x-8b", name="x"), model_agent("a-8b")][1:])


def test_whatever_changes_in_a_part_decides_the_key_of_a_run(tmp_path: Path) -> None:
    path = tmp_path / "requests.csv"
    path.write_text("at_s,prompt_tokens,output_tokens\n0,5,1\n")

    def key(mix: Mix) -> str:
        return keeping.keys(Study(mix, ["random"], [0], [model_agent("a-8b")])._tasks())[0]

    base = {"talk": TALK, "mine": Trace(str(path))}
    keys = [
        key(Mix(base)),
        key(Mix({"mine": base["mine"], "talk": TALK})),
        key(Mix({"talk": TALK, "yours": base["mine"]})),
        key(Mix(base, shared_bidders=False)),
        key(Mix({**base, "talk": replace(TALK, rate=1.0)})),
        key(Mix({**base, "mine": replace(base["mine"], speedup=2.0)})),
        key(Mix({**base, "more": CODE})),
        key(Mix({**base, "more": Trace(trace(prompt_tokens=[20, 25, 10, 29]))})),
    ]
    assert len(set(keys)) == len(keys) and key(Mix(dict(base))) == keys[0]
    path.write_text("at_s,prompt_tokens,output_tokens\n0,6,1\n")
    assert key(Mix(base)) not in keys


def test_a_study_of_a_mix_goes_on_where_it_was_stopped(tmp_path: Path) -> None:
    mix, kept = Mix([TALK, CODE]), tmp_path / "runs.jsonl"
    first = Study(mix, ["random"], seeds=1).run(workers=0, kept=kept)
    again = Study(mix, ["random"], seeds=2).run(workers=0, kept=kept)
    assert len(kept.read_text().splitlines()) == 2 and repr(again.runs[0]) == repr(first.runs[0])
    loaded = StudyResult.load(again.save(tmp_path / "result.json"))
    assert repr(figures(loaded)) == repr(figures(again))


def test_learned_routers_learn_from_what_all_parts_keep_out() -> None:
    tables = [
        AnswerTable(f"{name}.json", tuple(f"{name}{k}" for k in range(8)), TABLE.models, np.tile([[0.0, 1.0]], (8, 1)))
        for name in "xy"
    ]
    mix = Mix({"x": Questions(tables[0], train=4, count=4), "y": Trace(trace(), answers=tables[1], train=4)})
    result = Study(mix, ["knn@hashed", "random"], seeds=1).run(workers=0)
    assert result.mean("knn@hashed", "quality") == 1.0 > result.mean("random", "quality")
    assert mix.training is not None and len(mix.training.questions) == 8
    with pytest.raises(StudyError, match=r"'knn@hashed' learns from a table of scores, and dialogues: .* keeps none"):
        Study(Mix([TALK, CODE]), ["knn@hashed"]).run(workers=0)


def test_a_measure_may_not_be_called_like_a_part() -> None:
    class Mine:
        def __init__(self, load: object) -> None: ...

        def __call__(self, end: object) -> None: ...

        def figures(self) -> dict[str, float]:
            return {"trace.served": 1.0}

    with pytest.raises(StudyError, match=r"figure called 'trace\.served'"):
        Study(Mix([TALK, CODE]), ["random"], seeds=1, measures=[Mine]).run(workers=0)


def test_agents_that_join_count_in_every_part() -> None:
    churn = [(0.5, "70b-b", "joins"), (1.0, "8b-a", "leaves")]
    [run] = map(play, Study(Mix([TALK, CODE]), ["iemas"], seeds=1, churn=churn)._tasks())
    assert run.figures["dialogues.served"] + run.figures["trace.served"] == run.score.served > 0


FILE = """
policies = ["random"]
seeds = 1

[workload]
shared_bidders = [true, false]

[[workload.mix]]
name = "talk"
dialogues = "shipped"
rate = [0.5, 2.0]
count = 2

[[workload.mix]]
dialogues = "shipped"
answers = "shipped"
"""


def written(folder: Path, content: str) -> Path:
    (folder / "mine.toml").write_text(content)
    return folder / "mine.toml"


def test_a_file_says_each_part_and_lists_are_sweeps(tmp_path: Path) -> None:
    made = read_study(written(tmp_path, FILE))
    other = Dialogues(answers="shipped")
    assert [cell.workload for cell in made.cells] == [
        Mix({"talk": Dialogues(rate=rate, dialogues=2), "dialogues": other}, shared_bidders=shared)
        for rate in (0.5, 2.0)
        for shared in (True, False)
    ]
    assert made.cells[0].axes == {"shared_bidders": "True", "talk.rate": 0.5}
    [nested] = workloads({"mix": [{"mix": [{"dialogues": "a"}, {"trace": "b"}]}, {"questions": "c"}]})
    assert nested == Mix([Dialogues("a"), Trace("b"), Questions("c")])


def test_a_file_says_shares_and_a_list_of_them_is_a_sweep(tmp_path: Path) -> None:
    content = FILE.replace("shared_bidders = [true, false]", "").replace("rate = [0.5, 2.0]", "share = [1, 3.5]")
    parts = {"talk": Dialogues(dialogues=2), "dialogues": Dialogues(answers="shipped")}
    made = read_study(written(tmp_path, content + "share = 2\n"))
    assert [cell.workload for cell in made.cells] == [
        Mix(parts, share={"talk": one, "dialogues": 2}) for one in (1, 3.5)
    ]
    assert [cell.axes for cell in made.cells] == [{"talk.share": 1.0}, {"talk.share": 3.5}]


PART = '[[workload.mix]]\ndialogues = "shipped"\n'


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("[workload]\nmix = []", "workload: Mix: there is no part; name one workload at least"),
        ("[workload]\nmix = 3", r"workload.mix: expected a table for each part, \[\[workload.mix\]\] .found 3"),
        ("[workload]\nmix = ['a']", "workload.mix: expected a table for each part"),
        (PART + PART, "workload.mix.1.name: two parts are called 'dialogues'; give each a `name` of its own"),
        (PART + "name = 'a/b'", "workload: Mix: a part is called 'a/b'"),
        (PART + "name = 3", "workload.mix.0.name: expected a text .found 3"),
        (PART + "rats = 1", "workload.mix.0.rats: there is no such key; with dialogues there are: answers"),
        (PART + "rate = 0", "workload.mix.0: Dialogues: rate = 0; expected a number, more than 0"),
        (PART + "share = 0", "workload.mix.0.share = 0; expected a number, more than 0"),
        (PART + "share = 'half'", "workload.mix.0.share = 'half'; expected a number"),
        (PART + "share = [1, true]", "workload.mix.0.share = True; expected a number"),
        (PART + "share = []", "workload.mix.0.share is an empty sweep"),
        (
            PART + "share = 1\n[[workload.mix]]\ntrace = 'a'",
            "workload.mix.1.share: it is missing; say it of each part or of none",
        ),
        (
            "[[workload.mix]]\ntrace = 'a'\n" + PART + "share = 1",
            "workload.mix.0.share: it is missing; say it of each part or of none",
        ),
        (PART + "rate = []", "workload.mix.0.rate is an empty sweep"),
        (PART + "trace = 'a'", "workload.mix.0: name one of dialogues, questions, trace"),
        ("[[workload.mix]]\nname = 'a'", "workload.mix.0: name one of dialogues, questions, trace"),
        ("[workload]\nrate = 2\n" + PART, "workload.rate: there is no such key; with mix there are: shared_bidders"),
        ("[workload]\nshared_bidders = 1\n" + PART, "workload: Mix: shared_bidders = 1; expected true or false"),
        ("[workload]\nshared_bidders = []\n" + PART, "workload.shared_bidders is an empty sweep"),
        ("[workload]\ntrace = 'a'\n" + PART, "workload: name one of dialogues, questions, trace"),
        (
            PART + "[[workload.mix]]\n[[workload.mix.mix]]\ndialogues = 'shipped'\n",
            "workload: Mix: two parts are called 'dialogues'",
        ),
        (
            PART + "answers = 'shipped'\n[[workload.mix]]\nquestions = '{folder}/mine.jsonl'\ntrain = 0\n",
            "workload.mix: no agent could answer both dialogues and questions: .*mine.jsonl",
        ),
    ],
)
def test_what_is_wrong_with_a_mix_is_named_by_file_and_key(content: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "mine.jsonl").write_text(
        '{"format": "iemas-answers/1", "models": ["mine-1b"]}\n'
        '{"question": "What is two and two?", "answers": {"mine-1b": {"score": 1, "output_tokens": 4}}}\n'
    )
    with pytest.raises(StudyError, match=said) as raised:
        read_study(written(tmp_path, content.replace("{folder}", str(tmp_path))))
    assert str(raised.value).startswith(str(tmp_path / "mine.toml")) and "\n" not in str(raised.value)
