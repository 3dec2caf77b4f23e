"""Which policy is how good, and by which command does one know? Imports `auditing` and `preparing`.

| module | question |
|---|---|
| `output` | which folder does a run write to, and who else holds it? |
| `demo` | `iemas demo`: audit a mechanism, serve dialogues with it and with others, write a report |
| `study` | `iemas study`: policies over sweeps, and questions that have an exhibit |
| `contest` | `iemas contest`: policies in simulated worlds, paired by seed |
| `replay` | `iemas replay`: recorded traffic under other policies |
| `routers` | `iemas routers`: learned routers on a table of answers |
| `latency` | `iemas latency`: what would each latency model have foretold? |
| `claims` | `iemas claims`: who prints the figures of README and docs again? |
"""
