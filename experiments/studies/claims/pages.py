"""Sections of pages and the figures in them.

A figure is a number that somebody may have measured: one with a unit, a share, a decimal, one of four digits or more.
Numbers in code are none: pages' code is run by the suite.
"""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

#: The folder that README and docs lie in.
ROOT = Path(__file__).resolve().parents[3]

_FENCE = re.compile(r"^ *```.*?^ *```[^\n]*$", re.MULTILINE | re.DOTALL)
_INLINE = re.compile(r"`[^`\n]*`")
_LINK = re.compile(r"\]\([^)\n]*\)|<[^>\n]*>|https?://\S+|arXiv:\S+|\d{4}\.\d{4,5}")
_VERSION = re.compile(r"\bv?\d+\.\d+\.\d+\b|\b(?:HTTP/|Python |TLS )\d(?:\.\d+)?")
_UNITS = r"(?:%|x\b|us\b|ms\b|s\b|seconds?\b|minutes?\b|hours?\b|credits?\b|GB\b|MB\b|kB\b|times\b|points?\b|tokens\b)"
_FIGURE = re.compile(
    rf"(?<![\w.])(?:[+-]?\d{{1,3}}(?:,\d{{3}})+(?:\.\d+)?|[+-]?\d*\.\d+|[+-]?\d+(?= ?{_UNITS})|\d{{4,}})(?![\w])"
)
_HEADING = re.compile(r"^(#{1,4}) +(.+?)\s*$", re.MULTILINE)
_IMAGE = re.compile(r"!\[([^\]]*)\]\(([^)\s:]+\.svg)\)")
_COMMAND = re.compile(r"(?:^|`)((?:iemas|make|pytest|python -m|\.venv/bin/) ?[^`\n]*)", re.MULTILINE)
_YEAR = re.compile(r"(?:19|20)\d\d")


@dataclass(frozen=True, slots=True)
class Section:
    """A section of a page, without those below it.

    `figures` as they stand there, `commands` that it names, `images` (SVG of ours) as (what is said of them, path from
    the root), and its text without blocks of code.
    """

    page: str
    title: str
    figures: tuple[str, ...]
    commands: tuple[str, ...]
    images: tuple[tuple[str, str], ...] = ()
    text: str = ""

    @property
    def digest(self) -> str:
        """Of its figures, in order: other figures, other digest."""
        return hashlib.sha256("\n".join(self.figures).encode()).hexdigest()[:12]


def sections(path: Path, root: Path = ROOT) -> list[Section]:
    """Every section of a page, in order; what stands before the first heading belongs to it."""
    text = path.read_text(encoding="utf-8")
    plain = _FENCE.sub(lambda found: "\n" * found[0].count("\n"), text)
    heads = [(found.start(), found[2]) for found in _HEADING.finditer(plain)]
    places = heads or [(0, path.stem)]
    found = []
    titles: dict[str, int] = {}
    for k, (start, title) in enumerate(places):
        begin = 0 if k == 0 else start
        end = places[k + 1][0] if k + 1 < len(places) else len(plain)
        titles[title] = titles.get(title, 0) + 1
        named = title if titles[title] == 1 else f"{title} ({titles[title]})"
        # Fences become blank lines, so lines are the same in both.
        first, last = plain.count("\n", 0, begin), plain.count("\n", 0, end)
        whole = "\n".join(text.split("\n")[first:last] if last > first else text.split("\n")[first:])
        page, body = str(path.relative_to(root)), plain[begin:end]
        images = tuple((alt, str(path.relative_to(root).parent / place)) for alt, place in _IMAGE.findall(body))
        found.append(Section(page, named, figures(body), commands(whole), images, body))
    return found


def figures(text: str) -> tuple[str, ...]:
    """Figures of a text without its code.

    >>> figures("It serves 1,234 requests in .5 s, 3 of them `9.9` times; see (Vitter 1985), arXiv:2603.17302.")
    ('1,234', '.5')
    """
    bare = _VERSION.sub(" ", _LINK.sub(" ", _INLINE.sub(" ", text)))
    return tuple(one for one in _FIGURE.findall(bare) if not _YEAR.fullmatch(one))


def commands(text: str) -> tuple[str, ...]:
    """Commands that a text names, as they stand there, comments cut off."""
    found = (one.split("  #")[0].split(" #")[0].strip() for one in _COMMAND.findall(text))
    return tuple(dict.fromkeys(one for one in found if one))


def pages(root: Path = ROOT) -> list[Path]:
    """README and every page of docs."""
    return [root / "README.md", *sorted((root / "docs").glob("*.md"))]
