"""Can anyone gain by misreporting to a mechanism or a policy? Imports `patience` and `failures` of the commands.

| module | question |
|---|---|
| `paper` | what is an answer printed on? |
| `options` | what do numbers, rows and masks mean that are written after an option? |
| `question` | what was `iemas audit` asked? |
| `answer` | what does it print, write and exit with? |
| `lotteries` | the same of a mechanism that draws lots |
| `child` | the same in a process of its own, for code that is not ours |
| `audit` | `iemas audit` |
| `policy` | `iemas audit-policy` |
| `mechanisms` | `iemas mechanisms`: which rule keeps which promise? |
"""
