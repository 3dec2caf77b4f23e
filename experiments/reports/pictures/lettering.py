"""How wide a text is and where its lines break. Readers have fonts of their own: widths are of a broad Helvetica."""

#: Of the letter's size.
_NARROW, _MIDDLE, _CAPITAL, _BROAD = 0.31, 0.58, 0.7, 0.9
_THIN, _THICK = frozenset("ijlftrI.,:;'|!()[] "), frozenset("mwMW%—@")


def width(text: str, size: float) -> float:
    """In the unit of `size`.

    >>> width("ill", 10.0) < width("mmm", 10.0)
    True
    """
    found = 0.0
    for letter in text:
        if letter in _THIN:
            found += _NARROW
        elif letter in _THICK:
            found += _BROAD
        else:
            found += _CAPITAL if letter.isupper() else _MIDDLE
    return found * size


def lines(text: str, size: float, most: float) -> list[str]:
    """The text in lines that are no wider than `most`, as long as no word is.

    >>> lines("one two three", 10.0, 45.0)
    ['one two', 'three']
    """
    found: list[str] = []
    for word in text.split():
        if found and width(f"{found[-1]} {word}", size) <= most:
            found[-1] += f" {word}"
        else:
            found.append(word)
    return found
