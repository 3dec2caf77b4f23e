"""Hubs: groups of agents, each with rounds and an auction of its own, behind one door, one ledger, one event stream."""
