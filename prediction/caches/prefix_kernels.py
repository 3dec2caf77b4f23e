"""Names of blocks, and the table from a name to the agents that hold it, compiled; nothing comes from other files.

Names are SipHash-2-4 with 128 bits (Aumasson and Bernstein, 2012, "SipHash: a fast short-input PRF") of all tokens from
the start under a secret key: one running state, finished on a copy at the end of each block. The table is open
addressing with linear probing and deletion by shifting back (Knuth, 1998, "The art of computer programming" 3, 6.4,
algorithm R): no marks of what was deleted are left, so nothing ever has to be cleaned up.

A row of the table is a name (two words, never both 0) and the bits of its holders (64 to a word); an empty one is 0.
"""

import numpy as np
from numba import njit

_WORD = np.uint64
_AHEAD = 8


def _compiled(function):
    try:
        return njit(cache=True)(function)
    except RuntimeError:  # Nowhere to keep it: compiled in every process.
        return njit(function)


@_compiled
def _left(word, bits):
    return (word << _WORD(bits)) | (word >> _WORD(64 - bits))


@_compiled
def _round(a, b, c, d):
    a += b
    c += d
    b = _left(b, 13) ^ a
    d = _left(d, 16) ^ c
    a = _left(a, 32) + d
    c += b
    d = _left(d, 21) ^ a
    b = _left(b, 17) ^ c
    return a, b, _left(c, 32), d


@_compiled
def _begin(key_low, key_high):
    a = key_low ^ _WORD(0x736F6D6570736575)
    b = key_high ^ _WORD(0x646F72616E646F6D) ^ _WORD(0xEE)
    return a, b, key_low ^ _WORD(0x6C7967656E657261), key_high ^ _WORD(0x7465646279746573)


@_compiled
def _absorb(a, b, c, d, tokens, start, block):
    """The state after one more block. Two tokens are a word; the last of an odd number is one by itself."""
    for k in range(start, start + block - 1, 2):
        word = _WORD(tokens[k]) | (_WORD(tokens[k + 1]) << _WORD(32))
        d ^= word
        a, b, c, d = _round(a, b, c, d)
        a, b, c, d = _round(a, b, c, d)
        a ^= word
    if block & 1:
        word = _WORD(tokens[start + block - 1])
        d ^= word
        a, b, c, d = _round(a, b, c, d)
        a, b, c, d = _round(a, b, c, d)
        a ^= word
    return a, b, c, d


@_compiled
def _finish(a, b, c, d):
    """The name of what was absorbed so far; its lowest bit is set, so that it is never the mark of an empty row."""
    c ^= _WORD(0xEE)
    for _ in range(4):
        a, b, c, d = _round(a, b, c, d)
    low = a ^ b ^ c ^ d
    b ^= _WORD(0xDD)
    for _ in range(4):
        a, b, c, d = _round(a, b, c, d)
    return low | _WORD(1), a ^ b ^ c ^ d


@_compiled
def name_blocks(tokens, block, key_low, key_high, names):
    """Fill `names` (K, 2) with the names of the first K blocks of `tokens` (uint32)."""
    a, b, c, d = _begin(key_low, key_high)
    for q in range(names.shape[0]):
        a, b, c, d = _absorb(a, b, c, d, tokens, q * block, block)
        names[q, 0], names[q, 1] = _finish(a, b, c, d)


@_compiled
def _find(table, low, high):
    """The row of a name, or the empty one where it would be put."""
    # The lowest bit is the same in all names.
    row, last = (low >> _WORD(1)) & _WORD(table.shape[0] - 1), _WORD(table.shape[0] - 1)
    while table[row, 0] != _WORD(0) and not (table[row, 0] == low and table[row, 1] == high):
        row = (row + _WORD(1)) & last
    return row


@_compiled
def hold(table, names, agent):
    """Let the agent hold these names, for which the table must have room; return how many rows are new."""
    word, bit = 2 + agent // 64, _WORD(1) << _WORD(agent % 64)
    new = 0
    for q in range(names.shape[0]):
        row = _find(table, names[q, 0], names[q, 1])
        if table[row, 0] == _WORD(0):
            table[row, 0], table[row, 1] = names[q, 0], names[q, 1]
            new += 1
        table[row, word] |= bit
    return new


@_compiled
def release(table, names, agent):
    """Let the agent hold these names no longer; return how many rows nobody holds now, and which are gone."""
    word, bit = 2 + agent // 64, _WORD(1) << _WORD(agent % 64)
    gone = 0
    for q in range(names.shape[0]):
        row = _find(table, names[q, 0], names[q, 1])
        if table[row, 0] == _WORD(0):
            continue
        table[row, word] &= ~bit
        held = _WORD(0)
        for w in range(2, table.shape[1]):
            held |= table[row, w]
        if held == _WORD(0):
            _delete(table, row)
            gone += 1
    return gone


@_compiled
def _delete(table, row):
    """Empty a row, and move back whatever was put further on because of it."""
    last = _WORD(table.shape[0] - 1)
    following = (row + _WORD(1)) & last
    while table[following, 0] != _WORD(0):
        home = (table[following, 0] >> _WORD(1)) & last
        # How far from its home it is, and would be: it may go no further back than home.
        if ((following - home) & last) >= ((following - row) & last):
            table[row] = table[following]
            row = following
        following = (following + _WORD(1)) & last
    table[row] = _WORD(0)


@_compiled
def move_all(old, new):
    """Copy all rows to an empty table of another size."""
    for k in range(old.shape[0]):
        if old[k, 0] != _WORD(0):
            new[_find(new, old[k, 0], old[k, 1])] = old[k]


@_compiled
def count_held(table, tokens, offsets, limits, keys, block, held):
    """Fill `held` (N, M) with how many blocks from the start each agent holds of each prompt.

    Prompt i is `tokens[offsets[i] : offsets[i + 1]]`, of which at most `limits[i]` blocks are looked at, named under
    `keys[i]` (2,). Names are made some blocks ahead, so that the rows of the table come from memory together.
    """
    agents, words = held.shape[1], table.shape[1] - 2
    alive = np.empty(words, np.uint64)
    rows = np.empty((_AHEAD, 2), np.uint64)
    for i in range(limits.shape[0]):
        a, b, c, d = _begin(keys[i, 0], keys[i, 1])
        alive[:] = ~_WORD(0)
        held[i] = 0
        anyone, done = True, 0
        while anyone and done < limits[i]:
            ahead = min(_AHEAD, limits[i] - done)
            for q in range(ahead):
                a, b, c, d = _absorb(a, b, c, d, tokens, offsets[i] + (done + q) * block, block)
                rows[q, 0], rows[q, 1] = _finish(a, b, c, d)
            for q in range(ahead):
                row = _find(table, rows[q, 0], rows[q, 1])
                anyone = False
                for w in range(words):
                    left = alive[w] & ~table[row, 2 + w]
                    if left != _WORD(0) and done > 0:
                        _write(held[i], left, w, done, agents)
                    alive[w] ^= left
                    if alive[w] != _WORD(0):
                        anyone = True
                if not anyone:
                    break
                done += 1
        if anyone and done > 0:
            for w in range(words):
                _write(held[i], alive[w], w, done, agents)


@_compiled
def _write(held, bits, word, blocks, agents):
    for bit in range(min(64, agents - 64 * word)):
        if (bits >> _WORD(bit)) & _WORD(1):
            held[64 * word + bit] = blocks
