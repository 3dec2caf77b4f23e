"""A study: the same traffic under one policy after another, in many cells, at many seeds; differences with intervals.

    from experiments.studies.study import Dialogues, Study

    result = Study(Dialogues("shipped", rate=0.5), policies=["iemas", "cache-aware"], seeds=5).run()
    result                # a table; result.frame(), result.to_pandas(), result.plot(), result.report("report.html")

| module or room | question |
|---|---|
| `cells/` | what is played, and by whom? |
| `running/` | what does a run come to, and how are many of them run? |
| `keeping/` | which runs are finished already? |
| `telling/` | what did it find? |
| `study` | all of it |
| `file` | a study as a TOML file |

Each imports those before it alone.
"""

from experiments.studies.study.cells.cell import Cell
from experiments.studies.study.cells.policies import Entrant
from experiments.studies.study.running.playing import Measuring
from experiments.studies.study.study import Study
from experiments.studies.study.telling.diff import diff
from experiments.studies.study.telling.result import StudyResult
from experiments.worlds.rooflines import model_agent, table_fleet
from experiments.worlds.traffic.agents import SimulatedAgent
from experiments.worlds.workloads.mix import Mix
from experiments.worlds.workloads.workload import Dialogues, Questions, Trace

__all__ = [
    "Cell",
    "Dialogues",
    "Entrant",
    "Measuring",
    "Mix",
    "Questions",
    "SimulatedAgent",
    "Study",
    "StudyResult",
    "Trace",
    "diff",
    "model_agent",
    "table_fleet",
]
