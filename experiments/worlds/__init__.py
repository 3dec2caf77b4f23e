"""Who asks what of whom, and one run of it under one policy. Imports `data`.

| module or room | question |
|---|---|
| `traffic/` | who asks what, when, and how good is an answer? |
| `presets` | what are bidders like, what do tokens cost, when do rounds close? |
| `fleets`, `rooflines` | which agents: ready-made, and of models that nobody could run here? |
| `churn`, `disturbed` | which agents come and go, break off, misstate what they are? |
| `workloads/` | from which recipe does each seed draw its traffic? |
| `running/` | what does one run come to? |

`workloads` and `running` import those before them, and know nothing of each other.
"""
