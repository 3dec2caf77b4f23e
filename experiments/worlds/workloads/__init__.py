"""From which recipe does each seed draw its traffic? Imports `traffic` and `presets`.

| module | question |
|---|---|
| `fields` | what may each field of a workload be? |
| `reading` | what is in its files, each read once? |
| `workload` | dialogues, questions of a table, requests of a trace |
| `mix` | several at the same time |
"""
