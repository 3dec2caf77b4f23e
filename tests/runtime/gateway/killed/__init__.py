"""A gateway that is killed again and again under load, and what its books say afterwards.

`python -m tests.runtime.gateway.killed --kills 200` kills as often, at points drawn anew.
"""
