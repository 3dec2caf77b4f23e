"""A gateway that is sent whatever its documents allow and much that they do not, over engines that answer likewise.

`python -m tests.benchmarks.gateway.fuzz --examples 2000` tries more of it.
"""
