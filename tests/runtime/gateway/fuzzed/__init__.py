"""A gateway that is sent whatever its documents allow and much that they do not, over engines that answer likewise.

`python -m tests.benchmarks.gateway.fuzz --times 20` tries as many times as much, drawn anew.
"""
