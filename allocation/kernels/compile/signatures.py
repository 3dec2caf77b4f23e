"""Signatures of the kernels' entry points: compiled once, for read-only markets, as their module is first imported.

The kernels behind them are `inner`: called by kernels alone, so that no door to Python is compiled for them. With a
dozen arrays to pass, that door takes a third of the time.
"""

from numba import njit, types

NUMBER = types.int64
FLAG = types.boolean
ROW = types.Array(types.int64, 1, "C")
TABLE = types.Array(types.int64, 2, "C")
VECTOR = types.Array(types.int64, 1, "C", readonly=True)
MATRIX = types.Array(types.int64, 2, "C", readonly=True)
CUBE = types.Array(types.int64, 3, "C", readonly=True)

inner = njit(no_cpython_wrapper=True, no_cfunc_wrapper=True)
inlined = njit(no_cpython_wrapper=True, no_cfunc_wrapper=True, forceinline=True)
