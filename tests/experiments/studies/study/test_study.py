"""Studies: cells and axes, who plays, what is kept, what is audited before and looked at while it is served."""

import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from allocation import UNSERVED
from experiments.answers import AnswerTable
from experiments.errors import AuditRefusedError, ContradictionError, StudyError
from experiments.routers.plain.spread import RoundRobin
from experiments.studies.study import Cell, Dialogues, Questions, Study, StudyResult, Trace
from experiments.studies.study import study as studying
from experiments.studies.study.cells.policies import Entrant
from experiments.studies.study.keeping import kept as keeping
from experiments.studies.study.running.playing import Measuring
from experiments.traces import RequestTrace
from experiments.worlds.fleets import FLEET
from experiments.worlds.presets import find_preset
from experiments.worlds.rooflines import model_agent
from experiments.worlds.traffic.traffic import Traffic
from mechanisms import VCG, Preferences, find_mechanism
from runtime import Auction, Decision, Fleet, Offer, Served
from runtime.events import Event

FEW = Dialogues("shipped", rate=2.0, dialogues=2, turns=2)
TABLE = AnswerTable(
    "ten.json", tuple(f"q{k}" for k in range(10)), ("a-8b", "b-8b"), np.tile([[0.0, 1.0]], (10, 1)), sha256="ab" * 32
)


def figures(result: StudyResult) -> list[object]:
    """All but how long decisions took."""
    return [
        (run.cell, run.policy, run.seed, run.score.welfare, run.score.seconds, run.score.charges, run.score.shares)
        for run in result.runs
    ]


class Mine(RoundRobin):
    """Counts what it decided, so that whoever is shared shows it."""

    name = "mine"

    def __init__(self, first: int = 0) -> None:
        super().__init__()
        self.decided = first


def test_cells_are_every_combination_and_columns_what_differs() -> None:
    two = Dialogues("shipped", rate=1.0, dialogues=2, turns=2)
    made = Study([FEW, two], ["random"], bidders=["differing", "varied"], slots=[2, None], seeds=3)
    assert made.runs == 2 * 2 * 2 * 3 and len(made.cells) == 8
    assert made.cells[0].axes == {"rate": 2.0, "bidders": "differing", "slots": 2}
    assert made.cells[-1].axes == {"rate": 1.0, "bidders": "varied", "slots": None}
    assert made.cells[-1].name == "rate 1, bidders varied, slots all"
    [alone] = Study(FEW, ["random"]).cells
    assert alone.axes == {} and alone.name == "shipped, 2/s, dialogues 2, turns 2"
    fleets = Study(FEW, ["random"], fleet={"two": FLEET[:2], "four": FLEET}).cells
    assert [(cell.name, len(cell.fleet)) for cell in fleets] == [("fleet two", 2), ("fleet four", 4)]
    kinds = Study([FEW, Questions(TABLE, train=0)], ["random"]).cells
    assert [cell.axes for cell in kinds] == [{"workload": FEW.name}, {"workload": "ten.json, 2/s, train 0"}]
    assert [agent.name for agent in kinds[1].fleet] == ["a-8b", "b-8b"]
    trace = RequestTrace("t.csv", [0.0], [4], [1])  # type: ignore[arg-type]
    assert [agent.name for agent in Cell(Trace(trace, answers=TABLE, train=0)).fleet] == ["a-8b", "b-8b"]
    assert [agent.name for agent in Cell(Trace(trace)).fleet] == ["8b-a", "8b-b", "70b-a", "70b-b"]


def test_seeds_are_how_many_or_which() -> None:
    for given, seeds in (
        (3, (0, 1, 2)),
        ("2..4", (2, 3, 4)),
        ([5, 1], (5, 1)),
        (np.arange(2), (0, 1)),
        (range(2), (0, 1)),
    ):
        assert Study(FEW, ["random"], seeds=given).seeds == seeds  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"workload": "shipped"}, "'shipped' is no workload; use Dialogues, Questions, Trace or a Mix"),
        ({"workload": Dialogues}, "is no workload"),
        ({"workload": []}, "workload is an empty sweep"),
        ({"workload": [FEW, FEW]}, "two of workload are called 'shipped, 2/s, dialogues 2, turns 2'"),
        ({"policies": []}, "no policy plays"),
        ({"policies": ["random", "random"]}, "policies are called random, random; give each a name of its own"),
        ({"policies": [("a", "random"), ("a", "sticky")]}, "policies are called a, a"),
        ({"policies": [{"name": "a"}]}, "it names no `policy`"),
        ({"policies": [{"policy": "random", "rate": 1}]}, "it has rate"),
        ({"policies": ["random+knn"]}, "'random' asks nobody what to foretell"),
        ({"seeds": []}, "there is no seed"),
        ({"seeds": "0-3"}, "expected how many, a range"),
        ({"seeds": [1, 1]}, "a list of different whole numbers"),
        ({"seeds": [-1]}, "a list of different whole numbers"),
        ({"seeds": 2.5}, "expected how many"),
        ({"fleet": []}, "fleet: there is no agent"),
        ({"fleet": [FLEET[0], FLEET[0]]}, "agents are called small-a, small-a"),
        ({"fleet": ["small"]}, "fleet: 'small' is no agent"),
        ({"fleet": FLEET[0]}, "fleet is one agent, 'small-a'; give a list of agents"),
        ({"slots": 0}, "slots = 0; an agent serves at least 1"),
        ({"slots": [2, 2]}, "two of slots are called 2"),
        ({"bidders": "nobody"}, "no preset 'nobody'"),
        ({"bidders": 3}, "3 draws no bidders"),
        ({"delay": "sometime"}, "no delay 'sometime'"),
        ({"measures": [3]}, "3 measures nothing"),
        ({"mechanism": 3}, "3 is no mechanism"),
        (
            {"mechanism": VCG()},
            r"a payment rule goes as Mechanism\(MinCostFlow\(\), rule\), or by name",
        ),
        ({"policies": [{"policy": "random", "mechanism": "vcg"}]}, "'random' runs no mechanism; leave out mechanism"),
        ({"policies": [{"policy": "random", "predictor": "knn"}]}, "'random' asks nobody what to foretell"),
        (
            {"policies": [{"policy": RoundRobin, "allocator": "greedy"}]},
            "runs no mechanism; leave out allo",
        ),
        ({"mechanism": find_mechanism("vcg"), "allocator": "greedy"}, "allocator 'greedy' is for a mechanism by name"),
        ({"churn": [(1.0, "nobody", "leaves")]}, "no agent 'nobody' in this fleet"),
    ],
)
def test_what_is_no_study_is_refused_before_anything_is_read(given: Mapping[str, object], said: str) -> None:
    with pytest.raises(StudyError, match=said):
        Study(**{"workload": FEW, "policies": ["random"], **given})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("policy", "said"),
    [
        ("psychic", "no policy 'psychic'; there are: iemas, "),
        ("iemass", "no policy 'iemass'; did you mean iemas\\? There are: iemas, "),
        ("nowhere_at_all:Policy", r"run where nowhere_at_all\.py lies"),
        ("knn", "'knn' learns from a table of scores, and shipped, 2/s, .* keeps none; use Questions"),
        ("iemas+psychic", "no predictor 'psychic'; there are: by-question, knn"),
        (object(), "is no policy"),
        (lambda: object(), "is no policy .*: it has no attach, ready, decide, notice"),
    ],
)
def test_who_cannot_play_is_found_out_before_anything_is_played(policy: object, said: str, tmp_path: Path) -> None:
    with pytest.raises(StudyError, match=said):
        Study(FEW, ["random", policy], despite_audit=True).run(workers=0, kept=tmp_path / "folder" / "runs.jsonl")
    assert list(tmp_path.iterdir()) == []


def test_learned_routers_say_what_they_lack() -> None:
    with pytest.raises(StudyError, match=r"'knn@hashed' learns .* keeps none; give `train` rows"):
        Study(Questions(TABLE, train=0, count=2), ["knn@hashed"]).run(workers=0)


def test_learned_routers_learn_from_what_is_kept_out_and_route_by_it() -> None:
    load = Questions(TABLE, train=6, count=6, rate=5.0)
    result = Study(load, ["knn@hashed", "iemas+knn@hashed", "random"], seeds=1).run(workers=0)
    assert result.mean("knn@hashed", "quality") == 1.0 > result.mean("random", "quality")
    [run] = result.of_policy("knn@hashed")
    assert run.score.shares == (0.0, 1.0) and result.described["quality"].startswith("scores of ten.json")


def test_entrants_are_called_by_name_class_or_as_told() -> None:
    class Titled(RoundRobin):
        @property
        def name(self) -> str:  # type: ignore[override]
            return "its own"

        @name.setter
        def name(self, value: str) -> None: ...

    class Fixed(RoundRobin):
        name = property(lambda self: "fixed")  # type: ignore[assignment]

        def __init__(self) -> None: ...

    def builder() -> RoundRobin:
        return RoundRobin()

    given = [
        "iemas+by-question",
        Mine,
        Mine(3),
        builder,
        ("other", Mine),
        {"name": "half", "policy": "iemas+knn"},
        Fixed,
    ]
    made = Study(FEW, given[:2] + given[3:]).entrants
    assert [one.name for one in made] == ["iemas+by-question", "mine", "builder", "other", "half", "Fixed"]
    assert (made[0].policy, made[0].predictor) == ("iemas", "by-question")
    assert (made[4].policy, made[4].predictor) == ("iemas", "knn")
    assert Study(FEW, [Entrant("x", "random")]).entrants[0].policy == "random"
    # A name that cannot be set is no reason not to play, and tables go by the entrant's.
    result = Study(Dialogues("shipped", dialogues=1, turns=1), [("a", Fixed()), ("b", Titled)], seeds=1).run(workers=0)
    assert result.policies == ("a", "b")


def test_a_policy_of_yours_is_new_for_every_run() -> None:
    class Learner(Mine):
        def decide(self, offers, fleet):  # type: ignore[no-untyped-def]
            self.decided += 1
            assert self.decided < 99
            return super().decide(offers, fleet)

    mine, shared = Learner(90), Learner(90)
    result = Study(FEW, [("mine", mine), ("shared", lambda: shared), ("plain", "round-robin")], seeds=3).run(workers=0)
    assert mine.decided == shared.decided == 90
    runs = [[one[3:] for one in figures(result) if one[1] == name] for name in ("mine", "shared", "plain")]  # type: ignore[index]
    assert runs[0] == runs[1] == runs[2]


def test_a_study_goes_on_where_it_was_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept, steps = tmp_path / "folder" / "runs.jsonl", []
    played: list[str] = []
    plain = studying.play
    monkeypatch.setattr(studying, "play", lambda task: (played.append(task.title), plain(task))[1])
    # Tasks of this process are copied as if they travelled; what counts them is not.
    monkeypatch.setattr(keeping, "run_all", lambda work, tasks, *_: ((k, work(one)) for k, one in enumerate(tasks)))

    def go(policies: list[object], seeds: int) -> StudyResult:
        played.clear()
        return Study(FEW, policies, seeds).run(
            workers=0, kept=kept, progress=lambda done, total: steps.append((done, total))
        )

    first = go(["random", Mine], 2)
    assert len(played) == 4 == len(kept.read_text().splitlines()) and steps[-1] == (4, 4)
    again = go(["random", Mine], 2)
    assert played == [] and repr(again.runs) == repr(first.runs)
    assert (first.made.kept, again.made.kept) == ("", "4 of 4 runs kept, 0 run")
    # Another seed, another policy: what was there already is not played again.
    go(["random", Mine, "round-robin"], 3)
    assert len(played) == 3 + 2 and "random in shipped, 2/s, dialogues 2, turns 2 at seed 2" in played
    # A line that was cut off, and one that is none, are played again and take no other with them.
    lines = kept.read_bytes().splitlines()
    kept.write_bytes(b"\xff\n[1]\n" + b"\n".join(lines)[:-40])
    go(["random", Mine, "round-robin"], 3)
    assert len(played) == 1
    go(["random", Mine, "round-robin"], 3)
    assert played == []
    # A figure that somebody changed.
    lines = [line for line in kept.read_bytes().splitlines() if line.startswith(b'{"key"')]
    row = json.loads(lines[0])
    row["run"]["score"]["quality"] = 1.0
    kept.write_bytes(b"\n".join([json.dumps(row).encode(), *lines[1:]]) + b"\n")
    go(["random", Mine, "round-robin"], 3)
    assert len(played) == 1
    # Another code of ours.
    monkeypatch.setattr(keeping, "ours", lambda: "other code")
    go(["random"], 1)
    assert len(played) == 1


def test_what_decides_a_run_decides_its_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine_kept.py").write_text("class Policy:\n    pass\n")
    (tmp_path / "talks.csv").write_text("at_s,prompt_tokens,output_tokens\n0,5,1\n")
    monkeypatch.syspath_prepend(tmp_path)
    __import__("mine_kept")

    def key(**changed: object) -> str:
        given: dict[str, object] = {"workload": FEW, "policies": ["mine_kept:Policy"], "seeds": [0], **changed}
        return keeping.keys(Study(**given)._tasks())[0]  # type: ignore[arg-type]

    keys = {
        key(),
        key(seeds=[1]),
        key(slots=1),
        key(bidders="varied"),
        key(bidders=lambda rng: Preferences(1.0, 2.0)),
        key(bidders=lambda rng: Preferences(1.0, 3.0)),
        key(fleet=FLEET[:2]),
        key(fleet=[model_agent("a-8b")]),
        key(fleet=[model_agent("a-8b", billions=9)]),
        key(churn=[(1.0, "small-a", "leaves")]),
        key(measures=[lambda load: Measuring()]),
        key(policies=[{"policy": "iemas", "name": "mine_kept:Policy"}]),
        key(policies=["iemas"], mechanism="posted-price"),
        key(workload=Dialogues("shipped", rate=2.0, dialogues=2, turns=2, answers="shipped")),
    }
    assert len(keys) == 14 and key() == key() == key(despite_audit=True, delay="last-token", name="other")
    before = key()
    (tmp_path / "mine_kept.py").write_text("class Policy:\n    changed = 1\n")
    assert key() != before
    monkeypatch.delitem(sys.modules, "mine_kept")


HALF = """
from mechanisms import Payments, find_mechanism, serving_costs


class HalfPrice:
    \"\"\"Whoever is served pays half of what that costs, and agents get all of it.\"\"\"

    promises = {}

    def charge(self, market, allocation, allocator):
        costs = market.take(market.costs, allocation)
        return Payments(costs // 2, serving_costs(market, allocation))


def make():
    from runtime import Auction

    return Auction(find_mechanism("half_price:HalfPrice"), name="yours")
"""


@pytest.fixture
def half(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, replayed_here: None) -> Path:
    """A folder with a rule that is refuted."""
    (tmp_path / "half_price.py").write_text(HALF)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "half_price", raising=False)
    return tmp_path


@pytest.mark.parametrize(
    "policies",
    [
        [{"policy": "iemas", "name": "cheap", "mechanism": "half_price:HalfPrice"}],
        pytest.param(["random", "half_price:make"], marks=pytest.mark.slow),
    ],
    ids=["a rule of yours", "an auction of yours"],
)
def test_a_refuted_mechanism_is_refused_before_anything_runs_and_writes_nothing(
    policies: list[object], half: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeping, "run_all", lambda *given: pytest.fail("something was played"))
    before = set(half.iterdir())
    with pytest.raises(AuditRefusedError, match=r"refuted truthful \(bidder 0 .* and gains 1\), no-deficit \(.+\);"):
        Study(FEW, policies, seeds=1).run(workers=0, kept=half / "runs" / "runs.jsonl")
    assert {one for one in half.iterdir() if one.name != "__pycache__"} == before


def test_a_refuted_mechanism_that_runs_despite_its_audit_says_so(half: Path) -> None:
    cheap = {"policy": "iemas", "name": "cheap", "mechanism": "half_price:HalfPrice"}
    result = Study(FEW, [cheap, "random"], seeds=1, despite_audit=True).run(workers=0, kept=half / "runs.jsonl")
    assert "no-deficit" in result.described["despite its audit"]
    assert "no-deficit fails while cheap serves (seed 0)" in result.described["contradicted"]
    shown = " ".join(result.table().split())
    assert "despite its audit: " in shown and "contradicted: " in shown
    # What contradicted an audit is not taken for settled: it is played, and told, each time.
    assert [json.loads(line)["run"] for line in (half / "runs.jsonl").read_text().splitlines()] and len(
        list(keeping.rows(half / "runs.jsonl"))
    ) == 1


def test_what_is_served_is_held_against_the_audit(half: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Here the audit saw nothing, and the run stops all the same."""
    made = Study(FEW, [{"policy": "iemas", "name": "cheap", "mechanism": "half_price:HalfPrice"}], seeds=1)
    monkeypatch.setattr(Study, "audit", lambda self, progress=None: [])
    with pytest.raises(ContradictionError, match=r"no-deficit fails while cheap serves \(seed 0\)"):
        made.run(workers=0)


def test_every_mechanism_that_plays_is_audited_once() -> None:
    vcg = find_mechanism("vcg")
    made = Study(FEW, ["iemas", "paper-auction", "oracle", "iemas without gathering", "random", ("own", Auction(vcg))])
    assert [one.audited() for one in made.entrants[:4]] == [("vcg", None)] * 4
    assert made.entrants[4].audited() == (None, None) and made.entrants[5].audited()[0] is not None
    assert [str(report.subject) for report in Study(FEW, ["iemas", "oracle", "random"]).audit()] == [
        "VCG over MinCostFlow"
    ]
    assert Study(FEW, ["random", Mine]).audit() == []


def test_ablations_and_warmed_auctions_run_the_mechanism_that_was_audited() -> None:
    posted = find_mechanism("posted-price")
    warm = Dialogues("shipped", dialogues=2, turns=1, warm_up=1)
    for load in (FEW, warm):
        made = Study(load, ["iemas", "iemas without gathering", "oracle", "oracle of times"], mechanism=posted)
        traffic = load.draw(find_preset("differing"), 0)
        assert {id(one.make(made.cells[0], 0, traffic).mechanism) for one in made.entrants} == {id(posted)}  # type: ignore[attr-defined]


def test_an_oracle_is_told_each_answer() -> None:
    scores = np.tile([[0.0, 1.0], [1.0, 0.0]], (5, 1))
    table = AnswerTable("ten.json", tuple(f"q{k}" for k in range(10)), ("a-8b", "b-8b"), scores)
    rich = Study(
        Questions(table, train=0, count=10, rate=1.0),
        ["oracle", "random"],
        seeds=1,
        bidders=lambda rng: Preferences(1000.0, 0.001),
    ).run(workers=0)
    assert rich.mean("oracle", "quality") == 1.0 > rich.mean("random", "quality")
    [run] = rich.of_policy("oracle")
    assert run.score.shares == (0.5, 0.5)
    # Whatever others are told to foretell with.
    made = Study(Questions(table, train=0, count=10), ["oracle"], predictor="by-question")
    assert (
        made.entrants[0].make(made.cells[0], 0, made.cells[0].workload.draw(find_preset("differing"), 0)).name
        == "oracle"
    )


class Tokens(Measuring):
    def __init__(self, load: Traffic) -> None:
        self.tokens = 0

    def __call__(self, end: object) -> None:
        self.tokens += end.completion.prompt_tokens if isinstance(end, Served) else 0

    def figures(self) -> Mapping[str, float]:
        return {"prompt_tokens": self.tokens}


@pytest.mark.parametrize("drawn", [(1.0, 2.0), None])
def test_bidders_that_are_none_are_refused_by_what_was_drawn(drawn: Any) -> None:
    def mine(rng: np.random.Generator) -> Any:
        return drawn

    with pytest.raises(StudyError, match=r"mine draws no Preferences: it returns .*; return mechanisms\.Preferences"):
        Study(FEW, ["random"], bidders=mine, seeds=1)


class Cost(Tokens):
    def figures(self) -> Mapping[str, float]:
        return {"cost": 1.0}


def test_measures_of_yours_are_columns(tmp_path: Path) -> None:
    result = Study(FEW, ["random"], seeds=2, measures=[Tokens]).run(workers=0, kept=tmp_path / "runs.jsonl")
    tokens = result.frame()["prompt_tokens"].to_list()
    assert min(tokens) > 100 and result.mean("random", "prompt_tokens") == np.mean(tokens)
    again = Study(FEW, ["random"], seeds=2, measures=[Tokens]).run(workers=0, kept=tmp_path / "runs.jsonl")
    assert again.frame()["prompt_tokens"].to_list() == tokens and "prompt_tokens" in str(again.plot("prompt_tokens"))
    for measures, said in (
        ([Cost], "'cost', which is a column already"),
        ([Tokens, Tokens], "two measures give"),
        ([lambda traffic: 3], "gives 3, which measures nothing: it has no __call__, figures"),
    ):
        with pytest.raises(StudyError, match=said):
            Study(FEW, ["random"], seeds=1, measures=measures).run(workers=0)


def test_captions_tell_cells_apart_where_they_differ() -> None:
    small = Dialogues("shipped", dialogues=1, turns=1)
    measured = Dialogues("shipped", dialogues=1, turns=1, answers="shipped")
    said = Study([small, measured], ["random"], seeds=1).run(workers=0).described
    assert said["quality"].startswith("answers are right as often as an assumed skill has it (no answers); scores of")
    two = Study(small, ["random"], seeds=1, fleet={"two": FLEET[:2], "four": FLEET}).run(workers=0)
    assert "2 agents; " in two.described["engines"] and "(fleet two); 4 agents; " in two.described["engines"]
    assert "(" not in two.described["traffic"]


def test_churn_is_told_and_asked_of_who_plays() -> None:
    churn = [(2.0, "small-a", "leaves"), (4.0, "small-a", "joins")]
    made = Study(FEW, ["random"], seeds=1, churn=churn)
    with pytest.raises(StudyError, match="random takes no agent more while it serves, and small-a joins"):
        made.run(workers=0)
    said = Study(FEW, ["random"], seeds=1, churn=churn[:1]).run(workers=0).described
    assert said["churn"] == "small-a leaves at 2 s"


def test_a_cell_needs_agents_of_different_names() -> None:
    with pytest.raises(StudyError, match="agents are called"):
        Cell(FEW, fleet=(FLEET[0], FLEET[0]))


def test_nothing_is_printed_where_nobody_looks(capfd: pytest.CaptureFixture[str]) -> None:
    Study(Dialogues("shipped", dialogues=1, turns=1), ["random"], seeds=1).run(workers=0)
    assert capfd.readouterr() == ("", "")


@pytest.mark.slow
def test_who_fails_to_take_note_is_told_as_one_error_and_no_traceback_is_printed(
    capfd: pytest.CaptureFixture[str],
) -> None:
    class Forgetful(Mine):
        def notice(self, event: Event) -> None:
            raise KeyError("x")

    with pytest.raises(KeyError, match="x"):
        Study(FEW, [("forgetful", Forgetful)], seeds=1).run(workers=1, progress=lambda done, of: None)
    assert capfd.readouterr() == ("", "")


@pytest.mark.slow
def test_numbers_are_the_same_in_any_number_of_processes(tmp_path: Path) -> None:
    class Local(Mine):
        """Of no file: it travels by its code."""

    made = Study(
        FEW, ["iemas", ("local", Local), "random"], seeds=2, bidders=lambda rng: Preferences(50.0, rng.uniform())
    )
    found = [figures(made.run(workers=workers)) for workers in (0, 1, 2)]
    assert found[0] == found[1] == found[2]


@pytest.mark.slow
def test_numbers_are_the_same_on_ray() -> None:
    ray = pytest.importorskip("ray", reason="Ray is not installed; install iemas[ray]")
    made = Study(FEW, [("mine", Mine), "random"], seeds=1)
    ray.init(num_cpus=2, log_to_driver=False, include_dashboard=False, logging_level="ERROR")
    try:
        assert figures(made.run(workers="ray")) == figures(made.run(workers=0))
    finally:
        ray.shutdown()


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="exit codes as POSIX systems have them")
def test_a_policy_that_kills_its_worker_is_named() -> None:
    class Deadly(Mine):
        def decide(self, offers, fleet):  # type: ignore[no-untyped-def]
            os._exit(7)

    with pytest.raises(StudyError, match=r"deadly in shipped, .* at seed 0 ended 2 worker processes \(exit 7\)"):
        Study(FEW, [("deadly", Deadly)], seeds=1).run(workers=1)


def test_a_rival_that_takes_reports_on_trust_is_stopped_by_nothing() -> None:
    """Greedy at cost is no truthful mechanism, and does not say that it is one: it is there to be compared with."""
    # At this seed a report would have gained in a round that greedy served.
    found = Study(Dialogues("shipped", rate=0.15, answers="shipped"), policies=["greedy", "flow"], seeds=[1])
    result = found.run(workers=0)
    assert [run.played.contradictions for run in result.runs] == [()] * 2 and result.audits == ()


class Asleep(RoundRobin):
    """Never ready for a round."""

    name = "asleep"

    def ready(self, fleet: Fleet) -> bool:
        return False


class Aloof(RoundRobin):
    """Declines everybody."""

    name = "aloof"

    def decide(self, offers: Sequence[Offer], fleet: Fleet) -> Decision:
        return Decision(np.full(len(offers), UNSERVED), np.zeros(len(offers), np.int64))


class Picky(RoundRobin):
    """Declines one of the dialogues."""

    name = "picky"

    def decide(self, offers: Sequence[Offer], fleet: Fleet) -> Decision:
        if any(one.request.dialogue == "ferry-1" for one in offers):
            return Decision(np.full(len(offers), UNSERVED), np.zeros(len(offers), np.int64))
        return super().decide(offers, fleet)


def test_who_serves_nobody_is_told_once_with_how_often_and_why(tmp_path: Path) -> None:
    # Whoever waits for ever is told so at the end of its bidder's patience.
    result = Study(FEW, [Asleep, Aloof, "random"], seeds=2).run(workers=0)
    told = "4 of 4 requests were declined by "
    assert result.described["served nobody"] == (
        f"{told}asleep, which was never asked: it was never `ready` for a round; {told}aloof"
    )
    assert result.table().count("served nobody: ") == 1
    again = StudyResult.load(result.save(tmp_path / "result.json"))
    assert again.described == result.described
    assert "served nobody" in result.report(tmp_path / "report.html").read_text()
    # Of several cells at once, and of some.
    one = Dialogues("shipped", rate=1.0, dialogues=1, turns=1)
    cells = Study([FEW, one], [Aloof], seeds=1).run(workers=0)
    assert cells.described["served nobody"] == "3 of 3 requests were declined by aloof"
    some = Study([FEW, one], [Picky], seeds=1).run(workers=0)
    assert some.described["served nobody"] == f"1 of 1 requests were declined by picky ({some.cells[1]})"
    assert "served nobody" not in Study(FEW, ["random"], seeds=1).run(workers=0).described


def test_one_policy_and_one_measure_need_no_list() -> None:
    class Turns(Measuring):
        def __init__(self, load: Traffic) -> None:
            self._turns = load.turns

        def figures(self) -> Mapping[str, float]:
            return {"turns": self._turns}

    result = Study(FEW, Mine, seeds=1, measures=Turns).run(workers=0)
    assert result.policies == ("mine",) and result.frame()["turns"].to_list() == [4.0]
    assert [one.name for one in Study(FEW, {"policy": "iemas", "name": "ours"}).entrants] == ["ours"]


def test_a_measure_that_fails_or_gives_no_numbers_is_named() -> None:
    class Odd(Measuring):
        given: object = 3

        def __init__(self, load: Traffic) -> None:
            self.load = load

        def figures(self) -> Mapping[str, float]:
            return self.given  # type: ignore[return-value]

    class Worded(Odd):
        given: object = {"a": "x"}

    def failing(load: Traffic) -> Measuring:
        raise KeyError("lognormal")

    for one, said in ((Odd, "Odd gives the figures 3;"), (Worded, r"Worded gives the figures {'a': 'x'};")):
        with pytest.raises(StudyError, match=f"{said} expected a dict of numbers by name"):
            Study(FEW, "random", seeds=1, measures=one).run(workers=0)
    with pytest.raises(KeyError) as raised:
        Study(FEW, "random", seeds=1, measures=failing).run(workers=0)
    assert raised.value.__notes__ == ["in measure failing"]
