"""The matrix of rules by properties: everything that ships, audited over small scopes and held to its promises.

| module | idea |
|---|---|
| `cells` | `Cell`: what the trials of one row say about one property; `Trial`, `Evidence` |
| `scopes` | the grids on which rules are tried |
| `rules` | auctions, every rule over every allocator: misreports of bidders, of agents, both on average over a prior |
| `refused` | pairs of rule and allocator that the rule declines |
| `settled` | settlements: costs off their predictions, requests that fail |
| `played` | several rounds with a memory |
| `tables` | which rows there are, and which properties are shown together |
| `work` | all of it, row by row, by several processes |
"""

from experiments.studies.matrix.cells import Cell, Evidence, Row, Trial, smallest
from experiments.studies.matrix.tables import TABLES, Table, rows
from experiments.studies.matrix.work import Examined, examined

__all__ = ["TABLES", "Cell", "Evidence", "Examined", "Row", "Table", "Trial", "examined", "rows", "smallest"]
