"""Mechanisms that draw lots: what can be claimed of averages and of every draw? Imports `evidence`."""
