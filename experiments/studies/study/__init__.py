"""A study: the same traffic under one policy after another, in many cells, at many seeds; differences with intervals.

    from experiments.studies.study import Dialogues, Study

    result = Study(Dialogues("shipped", rate=0.5), policies=["iemas", "cache-aware"], seeds=5).run()
    result                # a table; result.frame(), result.to_pandas(), result.plot(), result.report("report.html")

cell      what a policy is put to: a workload, a fleet, bidders, and the axes along which they vary
policies  who plays, by name or as yours, and what it has learnt beforehand
playing   one run
pool      many, in processes that may die
kept      finished runs, so that a study goes on where it was stopped
study     all of it
described what a run is known by
result    frames, differences, tables
file      a study as a TOML file
diff      what changed from one result to another
"""

from experiments.studies.study.cell import Cell
from experiments.studies.study.diff import diff
from experiments.studies.study.playing import Measuring
from experiments.studies.study.policies import Entrant
from experiments.studies.study.result import StudyResult
from experiments.studies.study.study import Study
from experiments.worlds.mix import Mix
from experiments.worlds.rooflines import model_agent, table_fleet
from experiments.worlds.traffic.agents import SimulatedAgent
from experiments.worlds.workload import Dialogues, Questions, Trace

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
