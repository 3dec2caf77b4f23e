"""Loops that numpy has names for, written out: numba compiles them in a fraction of the time."""

from allocation.kernels.compile.signatures import inner


@inner
def copy(source, target):
    """`target[:] = source`, without the shape check that takes seconds to compile."""
    for k in range(target.size):
        target[k] = source[k]


@inner
def select(values, k):
    """The k-th smallest (Hoare 1961); reorders `values`."""
    low, high = 0, values.size - 1
    while low < high:
        pivot, i, j = values[(low + high) >> 1], low, high
        while i <= j:
            while values[i] < pivot:
                i += 1
            while values[j] > pivot:
                j -= 1
            if i <= j:
                values[i], values[j] = values[j], values[i]
                i += 1
                j -= 1
        if k <= j:
            high = j
        elif k >= i:
            low = i
        else:
            break
    return values[k]
