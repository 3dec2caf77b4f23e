"""What happens at scale? Data, routers, worlds, studies, reports, and the `iemas` command.

| sub-room | question |
|---|---|
| `files/` | files of data as such: read or refused, known by their bytes, found in the cache |
| `answers/` | tables of what models scored on each question |
| `traces/` | requests as they came: when, how long, which begin alike |
| `data/` | dialogues: layouts, catalogue, fetching, the chats they become, how answers are scored |
| `routers/` | routing without prices, to compare the auction with |
| `worlds/` | who asks what of whom, and one run of it under one policy |
| `audits/` | may a bidder gain by misreporting to the policy that serves |
| `results/` | from what was served to figures |
| `studies/` | questions: audit then serve, the matrix of rules, a simulated engine's speed |
| `reports/` | figures for people: terminal, HTML, charts |
| `cli`, `commands/` | `iemas` |
"""
