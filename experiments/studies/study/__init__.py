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
result    frames, differences, tables
file      a study as a TOML file
"""

from experiments.studies.study.cell import Cell
from experiments.studies.study.result import StudyResult
from experiments.studies.study.study import Study
from experiments.worlds.workload import Dialogues, Questions, Trace

__all__ = ["Cell", "Dialogues", "Questions", "Study", "StudyResult", "Trace"]
