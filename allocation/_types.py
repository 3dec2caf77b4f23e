"""Signatures of the kernels' entry points: compiled once, for read-only markets, as their module is first imported."""

from numba import types

NUMBER = types.int64
FLAG = types.boolean
ROW = types.Array(types.int64, 1, "C")
TABLE = types.Array(types.int64, 2, "C")
VECTOR = types.Array(types.int64, 1, "C", readonly=True)
MATRIX = types.Array(types.int64, 2, "C", readonly=True)
CUBE = types.Array(types.int64, 3, "C", readonly=True)
