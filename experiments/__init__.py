"""What happens at scale? Data, baselines, studies, reports, and the `iemas` command.

| module | idea |
|---|---|
| `data` | dialogues: official layouts, checksums, chats, start times |
| `scoring` | how good an answer is |
| `study` | the same world under one policy after another |
| `baselines` | routing without prices |
| `fleets` | ready-made engines, simulated or real, and their price lists |
| `measures` | from what was served to the figures of the table |
| `results` | all that a study found, ready for `report` and `table` |
| `calibration` | a simulated engine's speed, fitted to a real one |
| `demo` | audit, then serve |
| `cli`, `commands` | `iemas` |
"""
