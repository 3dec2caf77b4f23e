"""What did a study find? Imports `cells`, `running`, `keeping`.

| module | question |
|---|---|
| `remarks` | what has a reader to know of its runs? |
| `result` | frames, differences with intervals |
| `diff` | what changed from one result to another? |
| `tables`, `figures`, `page` | the same for the terminal, as plots, as a page |
"""
