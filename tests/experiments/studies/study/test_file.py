"""Studies as TOML files: every key, sweeps, and what is wrong by file and key."""

from pathlib import Path

import pytest

from experiments.errors import StudyError
from experiments.studies.study import Dialogues, Questions, Study, Trace
from experiments.studies.study.file import SHIPPED, read_study, workloads
from experiments.worlds.churn import Change
from prediction import TokenPrices

LOAD = '[workload]\ndialogues = "shipped"\n'

EVERY = """
name = "rates"
about = "every key that there is"
policies = [
  "random", "iemas+by-question",
  {name = "half", policy = "iemas", mechanism = "posted-price", allocator = "greedy"},
]
seeds = "3..5"
measures = ["mine_filed:Measured"]

[workload]
dialogues = "shipped"
rate = [0.5, 2.0]
count = 3
turns = 2
context_words = 100
max_tokens = 16
think_time_s = 1.5
warm_up = 1
answers = "shipped"

[market]
bidders = ["differing", "varied"]
slots = [2, "all"]
mechanism = "vcg"
predictor = "by-question"
despite_audit = true
delay = "last-token"

[[agents]]
name = "small"
calibration = "smollm2-135m-cpu"
model = "smollm2-135m"
prices = [0.01, 0.001, 0.02]
skill = 0.25
copies = 2
block_size = 16
cache_blocks = 100
max_num_seqs = 3
max_num_batched_tokens = 512
max_model_len = 1024

[[agents]]
name = "large"
billions = 8.0
skill = 0.75
max_num_seqs = 5

[[churn]]
at_s = 12
agent = "small-1"
event = "leaves"
"""


def file(folder: Path, content: str) -> Path:
    (folder / "mine.toml").write_text(content)
    return folder / "mine.toml"


def test_every_key_is_what_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine_filed.py").write_text("class Measured:\n    def __init__(self, load):\n        pass\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    made = read_study(file(tmp_path, EVERY))
    assert (made.name, made.seeds, made.delay, made.despite_audit) == ("rates", (3, 4, 5), "last-token", True)
    assert [one.name for one in made.entrants] == ["random", "iemas+by-question", "half"]
    assert (made.entrants[2].mechanism, made.entrants[2].allocator) == ("posted-price", "greedy")
    assert made.entrants[0].predictor == "by-question"
    assert [cell.name for cell in made.cells][:2] == [
        "rate 0.5, bidders differing, slots 2", "rate 0.5, bidders differing, slots all",
    ] and len(made.cells) == 8  # fmt: skip
    cell = made.cells[0]
    assert cell.workload == Dialogues("shipped", 0.5, 3, 2, 100, 16, 1.5, 1, "shipped")
    assert [agent.name for agent in cell.fleet] == ["small-1", "small-2", "large"]
    small, _, large = cell.fleet
    assert (small.prices, small.skill, small.model) == (TokenPrices(0.01, 0.001, 0.02), 0.25, "smollm2-135m")
    assert (small.shape.block_size, small.shape.cache_blocks, small.shape.max_num_seqs) == (16, 100, 3)
    assert (small.shape.max_num_batched_tokens, small.shape.max_model_len) == (512, 1024)
    assert "8 billion" in large.step_time.fitted_to and (large.skill, large.shape.max_num_seqs) == (0.75, 5)
    assert cell.churn == (Change(12, "small-1", "leaves"),) and made.measures[0].__name__ == "Measured"  # type: ignore[attr-defined]


def test_a_file_that_says_little_is_as_by_default(tmp_path: Path) -> None:
    made = read_study(file(tmp_path, LOAD))
    plain = Study(Dialogues("shipped"))
    assert made.name == "mine" and made.seeds == plain.seeds and made.cells == plain.cells
    assert [one.name for one in made.entrants] == [one.name for one in plain.entrants]


def test_a_list_is_a_sweep_and_of_what_may_be_several_a_list_of_lists() -> None:
    assert workloads({"dialogues": "a", "rate": [1.0, 2.0]}) == [Dialogues("a", 1.0), Dialogues("a", 2.0)]
    assert workloads({"dialogues": ["a", "b"]}) == [Dialogues(("a", "b"))]
    assert workloads({"dialogues": [["a"], ["a", "b"]]}) == [Dialogues(("a",)), Dialogues(("a", "b"))]
    assert workloads({"questions": "t", "models": ["a", "b"], "count": 3}) == [
        Questions("t", models=("a", "b"), count=3)
    ]
    assert workloads({"trace": "t", "speedup": [0.5, 1.0]}) == [Trace("t", speedup=0.5), Trace("t")]
    assert workloads({"trace": ["t", "u"]}) == [Trace("t"), Trace("u")]


def test_one_of_what_may_be_several_needs_no_list(tmp_path: Path) -> None:
    """As in Python."""
    (tmp_path / "mine_single.py").write_text("def measure(load):\n    return None\n")
    one = read_study(file(tmp_path, f"policies = 'random'\nmeasures = '{tmp_path}/mine_single.py:measure'\n" + LOAD))
    assert [each.name for each in one.entrants] == ["random"] and len(one.measures) == 1  # type: ignore[arg-type]
    table = read_study(file(tmp_path, "policies = {name = 'ours', policy = 'iemas'}\n" + LOAD))
    assert [each.name for each in table.entrants] == ["ours"]


def test_several_workloads_are_several_tables(tmp_path: Path) -> None:
    more = "[[workload]]\ndialogues = 'shipped'\n[[workload]]\ndialogues = 'shipped'\nrate = 3\n"
    assert [cell.name for cell in read_study(file(tmp_path, more)).cells] == ["rate 0.5", "rate 3"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("nothing", "mine.toml is no TOML: "),
        ("", "mine.toml: workload: it is missing"),
        ("rate = 1\n" + LOAD, "rate: there is no such key; there are: name, about, policies, seeds, workload"),
        (
            LOAD + "rats = 1",
            "workload.rats: there is no such key; with dialogues there are: answers, context_words, count",
        ),
        (LOAD + "rate = 'fast'", "workload: Dialogues: rate = 'fast'; expected a number, more than 0"),
        (LOAD + "rate = []", "workload.rate is an empty sweep; give it one value at least"),
        ("[workload]\ndialogues = []", "workload.dialogues is an empty sweep|workload.data is an empty sweep"),
        ("[workload]\nrate = 1", "workload: name one of dialogues, questions, trace"),
        ("[workload]\ndialogues = 'a'\ntrace = 'b'", "workload: name one of dialogues, questions, trace"),
        ("workload = 3", "workload: expected a valid dictionary; or: .*list .found 3"),
        ("policies = []\n" + LOAD, "no policy plays"),
        ("policies = [1]\n" + LOAD, "policies.0: expected a valid string"),
        ("policies = 3\n" + LOAD, "policies.0: expected a valid string"),
        ("measures = 3\n" + LOAD, "measures.0: expected a valid string"),
        ("policies = [{policy = 'iemas', rate = '1'}]\n" + LOAD, "it has rate"),
        ("seeds = '9..0'\n" + LOAD, "seeds = '9..0': there is no seed"),
        ("seeds = 1.5\n" + LOAD, "seeds: expected a valid integer"),
        ("measures = ['nowhere_at_all:x']\n" + LOAD, "measures: nowhere_at_all:x: No module named"),
        (LOAD + "[market]\nslotz = 1", "market.slotz: there is no such key; there are: bidders, slots, mechanism"),
        (LOAD + "[market]\nslots = 0.5", "market.slots: expected a valid integer; or: expected 'all'"),
        (LOAD + "[market]\nslots = 0", "slots = 0; an agent serves at least 1"),
        (LOAD + "[market]\nbidders = []", "bidders is an empty sweep"),
        (LOAD + "[market]\nbidders = 'nobody'", "no preset 'nobody'"),
        (LOAD + "[market]\ndelay = 'never'", "no delay 'never'"),
        (LOAD + "[[agents]]\nname = 'a'", "agents.a: the name 'a' says no number of parameters"),
        (LOAD + "[[agents]]\nname = 'a'\nsize = 3", "agents.0.size: there is no such key; there are: name, model"),
        (LOAD + "[[agents]]\nname = 'a'\nbillions = 0", "agents.0.billions: expected greater than 0 .found 0"),
        (LOAD + "[[agents]]\nname = 'a-8b'\nskill = 2.0", "agents.0.skill: expected less than or equal to 1"),
        (LOAD + "[[agents]]\nname = 'a'\ncalibration = 'smollm2-135m-cpu'", "agents.a: say its prices"),
        (LOAD + "[[agents]]\nname = 'a'\ncalibration = 'x'\nprices = [1, 1, 1]", "agents.a: no calibration 'x'"),
        (LOAD + "[[agents]]\nname = 'a'\ncalibration = 'x.json'\nprices = [1, 1, 1]", "agents.a: .*x.json"),
        (LOAD + "[[agents]]\nname = 'a-8b'\nprices = [-1, 1, 1]", "agents.a-8b: price `fresh`"),
        (LOAD + "[[agents]]\nname = 'a-8b'\n[[agents]]\nname = 'a-8b'", "agents are called a-8b, a-8b"),
        (LOAD + "[[churn]]\nat_s = 1\nagent = 'small-a'", "churn.0.event: it is missing"),
        (LOAD + "[[churn]]\nat_s = 1\nagent = 'small-a'\nevent = 'dies'", "an agent cannot 'dies'"),
    ],
)
def test_what_is_wrong_is_named_by_file_and_key(content: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(StudyError, match=said) as raised:
        read_study(file(tmp_path, content))
    assert str(raised.value).startswith(str(tmp_path / "mine.toml")) and "\n" not in str(raised.value)


def test_a_study_that_is_nowhere_is_told_with_those_that_ship(tmp_path: Path) -> None:
    with pytest.raises(
        StudyError, match=r"no study 'no-such'; there are: ablation, measured, quality, routing, or a file"
    ):
        read_study("no-such")
    with pytest.raises(StudyError, match="cannot be read"):
        read_study(tmp_path / "mine.toml")


@pytest.mark.parametrize("name", sorted(path.stem for path in SHIPPED.glob("*.toml")))
def test_studies_that_ship_can_be_read(name: str) -> None:
    text = (SHIPPED / f"{name}.toml").read_text()
    assert text.startswith('about = "')
    if "questions" not in text:
        assert read_study(name).runs > 10
