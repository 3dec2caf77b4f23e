"""What is the auction worth in traffic that is served, and on which fleets? Imports `exhibits`.

| module | question |
|---|---|
| `paper` | the paper's table beside ours |
| `prediction` | how well is it foretold what a request takes? |
| `heterogeneity` | when does affinity suffice, and when does the auction pay? |
| `engine_limits` | do the limits of the paper's engines bind? |
| `gateways` | what if several gateways serve one fleet? |
| `disturbances` | one run on agents that come and go, break off, or misstate themselves |
| `churn` | what do such agents cost? |
"""
