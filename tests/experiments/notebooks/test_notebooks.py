"""The notebooks run from top to bottom, whatever the working directory, and what cells define plays in studies."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.notebooks

ROOT = Path(__file__).parents[3]
SOURCES = sorted((ROOT / "experiments" / "notebooks").glob("*.py"))


def executed(book: Any, folder: Path) -> Any:
    """The notebook with its outputs, run by nbmake in a kernel of its own, whose working directory is the folder."""
    nbformat = pytest.importorskip("nbformat", reason="no notebooks without it: make test-notebooks")
    pytest.importorskip("nbmake", reason="nobody to run notebooks: make test-notebooks")
    file = folder / "book.ipynb"
    nbformat.write(book, file)
    nbmake = ["--nbmake", "--overwrite", "--nbmake-timeout=300", "--nbmake-kernel=python3"]
    # Settings of this tree are for its own tests.
    apart = [
        "-c",
        os.devnull,
        "--rootdir",
        str(folder),
        "-p",
        "no:cacheprovider",
        "-p",
        "no:benchmark",
        "-p",
        "no:iemas_pytest",
    ]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *apart, *nbmake, str(file)],
        cwd=folder,
        capture_output=True,
        text=True,
        # What is tested is this tree, wherever the kernel's own environment finds another.
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found = nbformat.read(file, 4)
    file.unlink()
    return found


def shown(book: Any) -> str:
    """All that its cells printed or showed, as text and as HTML."""
    found = []
    for cell in book.cells:
        for output in cell.get("outputs", ()):
            found.append(output.get("text", ""))
            found += [text for text in output.get("data", {}).values() if isinstance(text, str)]
    return "\n".join(found)


def test_a_cell_that_raises_fails_its_notebook(tmp_path: Path) -> None:
    """Else nothing below could fail."""
    pytest.importorskip("nbformat", reason="no notebooks without it: make test-notebooks")
    from nbformat.v4 import new_code_cell, new_notebook

    with pytest.raises(AssertionError, match="ZeroDivisionError"):
        executed(new_notebook(cells=[new_code_cell("1 / 0")]), tmp_path)


def test_there_are_four() -> None:
    assert [source.name[:2] for source in SOURCES] == ["01", "02", "03", "04"]


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.stem)
def test_a_notebook_runs_from_top_to_bottom_anywhere(source: Path, tmp_path: Path) -> None:
    jupytext = pytest.importorskip("jupytext", reason="sources are of jupytext: make test-notebooks")
    book = jupytext.read(source)
    assert sum(cell.cell_type == "markdown" for cell in book.cells) >= 5
    said = shown(executed(book, tmp_path))
    assert "Traceback" not in said and "Warning" not in said
    for wanted in SHOWS[source.stem]:
        assert wanted in said
    assert list(tmp_path.iterdir()) == []


#: What each answers with.
SHOWS = {
    "01-first-auction": ("is optimal by these prices", "✓ VERIFIED", "not optimal"),
    "02-swap-a-rule": ("✗ REFUTED", "✓ VERIFIED", "instead of"),
    "03-when-it-pays": ("iemas gains over it", "no difference shown", "How it was made"),
    "04-from-a-trace-to-a-claim": ("the auction yields more welfare than round robin",),
}


CELLS = (
    # A loop runs in a kernel's thread; a study and a replay run all the same.
    """
import asyncio
asyncio.get_running_loop()
import numpy as np
from allocation import UNSERVED, MinCostFlow
from mechanisms import Mechanism, Payments, Preferences, serving_costs
from runtime import Decision
from experiments.studies.study import Dialogues, Study

SKILLED = 1
""",
    """
class Always:
    '''The last agent that is possible, whatever it costs. It reads a name of the notebook.'''

    name = "always"

    def attach(self, agents):
        self.agents = len(agents)

    def ready(self, fleet):
        return True

    def decide(self, offers, fleet):
        agents = np.full(len(offers), self.agents - SKILLED)
        return Decision(agents, np.zeros(len(offers), np.int64))

    def notice(self, event):
        pass


class CostPlus:
    '''Every served request pays its cost and 5.'''

    def charge(self, market, allocation, allocator):
        costs = market.take(market.costs, allocation)
        return Payments(costs + 5 * allocation.served, serving_costs(market, allocation))


class Counting:
    def __init__(self, load):
        self.ends = 0

    def __call__(self, end):
        self.ends += 1

    def figures(self):
        return {"ends": self.ends}


def draw(rng):
    return Preferences(worth=50.0, delay_cost=float(rng.uniform(0.1, 1.0)))
""",
    """
study = Study(
    Dialogues("shipped", rate=2.0, dialogues=2, turns=2),
    policies=["iemas", ("mine", Always), ("an object", Always()), "random"],
    mechanism=Mechanism(MinCostFlow(), CostPlus()),
    despite_audit=True,
    bidders=draw,
    measures=[Counting],
    seeds=2,
)
apart, here = study.run(workers=2), study.run(workers=0)
""",
    """
for result in (apart, here):
    assert result.policies == ("iemas", "mine", "an object", "random")
    assert result.mean("mine", "ends") == 4.0
    assert result.mean("mine", "welfare") == result.mean("an object", "welfare")
assert [run.score.welfare for run in apart.runs] == [run.score.welfare for run in here.runs]
assert apart.made.command == "a notebook"
await asyncio.sleep(0)
apart
""",
    """
from importlib.resources import files
from pathlib import Path
from experiments.studies.replay.runs import replay
from runtime.traces.reading import read_trace
played = replay(read_trace(Path(str(files("experiments") / "notebooks/data/trace.jsonl"))), ["round-robin"])
print(played.runs[0].served, "replayed")
""",
)


def test_what_cells_define_plays_in_studies_while_a_loop_runs(tmp_path: Path) -> None:
    pytest.importorskip("nbformat", reason="no notebooks without it: make test-notebooks")
    from nbformat.v4 import new_code_cell, new_notebook

    said = shown(executed(new_notebook(cells=[new_code_cell(cell) for cell in CELLS]), tmp_path))
    assert "an object" in said and "56 replayed" in said
