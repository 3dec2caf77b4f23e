"""What does one run of traffic under one policy come to? Imports `traffic` and `churn`.

| module | question |
|---|---|
| `run` | what happened? |
| `scores` | what did it come to, in a few numbers? |
| `parts` | what did each part of a mix come to? |
| `watch` | does what an audit found hold in the rounds that are served? |
"""
