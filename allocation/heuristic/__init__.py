"""Allocations that claim no optimum: greedy, random, brute force for reference, ranges of agents. Imports `exact`."""
