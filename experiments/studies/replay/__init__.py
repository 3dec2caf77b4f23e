"""A recorded trace under other policies: the same requests at the same moments, on simulated engines.

| module | question |
|---|---|
| `prompts` | which tokens stand for prompts of which only beginnings in common are known? |
| `engines` | who serves them? |
| `runs` | what did each policy make of it? |
| `table` | how is that shown? |
"""
