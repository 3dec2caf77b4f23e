"""A picture as a file: the same numbers give the same bytes, and it needs nothing beside it.

It has a ground of its own, white or dark as its reader prefers (`prefers-color-scheme`): where a page has another
theme, letters still stand on what they were made for. Marks have one colour on both, with a contrast of at least 3 to
either: orange and blue of Okabe and Ito (Color Universal Design, 2008), violet and grey that differ from them and from
each other by 27 at least (CIE 1976) to every eye, as `charts.palette` has it; and each has a shape of its own.
"""

from html import escape

from experiments.reports.pictures.axes import Axis, axis, decimals, digits, written
from experiments.reports.pictures.dots import Block, Dot, Panel, Picture
from experiments.reports.pictures.lettering import lines, width

#: Marks of series, in order.
COLOURS = ("#D55E00", "#0072B2", "#9A30F0", "#8B8178")
#: Ground, letters, quiet letters, grid; on white and on dark, as GitHub's pages have them.
LIGHT, DARK = ("#ffffff", "#1f2328", "#59636e", "#dfe4ea"), ("#0d1117", "#f0f6fc", "#9198a1", "#2f353d")

_WIDTH, _MARGIN = 820.0, 14.0
_LETTER, _SMALL = 13.0, 12.0
_ROW, _SERIES, _GROUP, _LINE = 23.0, 10.0, 25.0, 16.0
_BETWEEN, _LABELS, _INDENT = 26.0, 250.0, 12.0
_RADIUS = 4.0
#: Numbers below an axis: at most so many, and so much between two of them.
_MOST_TICKS, _APART = 7, 14.0

_FONT = "-apple-system,BlinkMacSystemFont,'Segoe UI','Noto Sans',Helvetica,Arial,sans-serif"


def to_svg(picture: Picture) -> str:
    """The file's text."""
    parts: list[str] = []
    # Labels have one width all the way down, so that axes begin below each other.
    rows = [row for block in picture.blocks for row in block.rows]
    label_x = _MARGIN + (_INDENT if any(row.group for row in rows) else 0.0)
    texts = [label_x + width(row.label, _LETTER) for row in rows] + [
        _MARGIN + width(row.group, _LETTER) for row in rows
    ]
    left = min(max(texts), _MARGIN + _LABELS) + 14
    common = [end for block in picture.blocks if block.shared for end in _ends(block)]
    top = _MARGIN
    told: tuple[str, ...] = ("",)
    for block in picture.blocks:
        top = _Drawing(block, parts, label_x, left, common).draw(top, with_key=block.series not in (told, ("",))) + 14
        told = block.series
    for line in lines(picture.note, _SMALL, _WIDTH - 2 * _MARGIN):
        parts.append(_text(_MARGIN, top + 6, line, "q s"))
        top += _LINE
    height = top + _MARGIN / 2
    return "\n".join([*_head(picture, height), *parts, "</svg>", ""])


def _head(picture: Picture, height: float) -> list[str]:
    title = escape(picture.title, quote=False)
    marks = "".join(f".c{k}{{color:{colour}}}" for k, colour in enumerate(COLOURS))
    return [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_number(_WIDTH)} {_number(height)}" '
        f'width="{_number(_WIDTH)}" height="{_number(height)}" role="img">',
        f"<title>{title}</title>",
        "<style>",
        f"text{{font:{_LETTER:g}px {_FONT}}}.s{{font-size:{_SMALL:g}px}}.b{{font-weight:600}}",
        ".e{text-anchor:end}.m{text-anchor:middle}path{fill:none;stroke-width:1}.w{stroke:currentColor;stroke-width:2}",
        f".f{{fill:currentColor;stroke:currentColor;stroke-width:2}}.h{{stroke:currentColor;stroke-width:2}}{marks}",
        _theme(LIGHT),
        f"@media (prefers-color-scheme:dark){{{_theme(DARK)}}}",
        "</style>",
        '<rect class="p" width="100%" height="100%" rx="6"/>',
    ]


def _theme(colours: tuple[str, str, str, str]) -> str:
    ground, ink, quiet, grid = colours
    return f".p,.h{{fill:{ground}}}text{{fill:{ink}}}.q{{fill:{quiet}}}.g{{stroke:{grid}}}.z{{stroke:{quiet}}}"


class _Drawing:
    """One block; adds to `parts` from the top down."""

    def __init__(self, block: Block, parts: list[str], label_x: float, left: float, common: list[float]) -> None:
        self._block, self._parts, self._label_x = block, parts, label_x
        count = len(block.panels)
        each = (_WIDTH - _MARGIN - left - _BETWEEN * (count - 1)) / count
        # A number beside every row, where a row has one dot in each panel.
        self._digits = [
            min(decimals(_ends(block, k)), digits([dot.mean for dot in block.dots(k)])) for k in range(count)
        ]
        gutters = [
            max((width(self._said(k, dot), _SMALL) for dot in block.dots(k)), default=0.0) + 10 if self._lone else 4.0
            for k in range(count)
        ]
        self._places = [
            (left + k * (each + _BETWEEN), left + k * (each + _BETWEEN) + each - gutter)
            for k, gutter in enumerate(gutters)
        ]
        self._ends = [right + gutter for (_, right), gutter in zip(self._places, gutters, strict=True)]
        numbers = [common if block.shared else _ends(block, k) for k in range(count)]
        self._axes = [
            _fitted(some, panel, right - x)
            for some, (x, right), panel in zip(numbers, self._places, block.panels, strict=True)
        ]

    @property
    def _lone(self) -> bool:
        return len(self._block.series) == 1

    def _said(self, k: int, dot: Dot) -> str:
        return written(dot.mean, self._digits[k], signed=self._block.panels[k].line == 0)

    def draw(self, top: float, with_key: bool) -> float:
        """Everything; returns where it ends."""
        top = self._titles(self._key(top) if with_key else top)
        begin, at = top, []
        tall = _ROW if self._lone else _ROW / 2 + _SERIES * len(self._block.series)
        group = ""
        for row in self._block.rows:
            if row.group != group:
                group = row.group
                if group:
                    top += _GROUP
                    self._parts.append(_text(_MARGIN, top - 7, _cut(group), "b"))
            at.append(top + tall / 2)
            top += tall
        for k, panel in enumerate(self._block.panels):
            self._grid(k, panel, begin, top)
        for row, y in zip(self._block.rows, at, strict=True):
            self._parts.append(_text(self._label_x, y + 4.5, _cut(row.label)))
            for k, cell in enumerate(row.cells):
                for place, dot in enumerate(cell):
                    if dot is not None:
                        self._dot(k, place, dot, y + _SERIES * (place - (len(cell) - 1) / 2))
        return top + 20

    def _key(self, top: float) -> float:
        x = self._places[0][0]
        for k, name in enumerate(self._block.series):
            self._parts.append(f'<path class="f c{k}" d="{_mark(k, x + _RADIUS, top + 6)}"/>')
            self._parts.append(_text(x + 14, top + 10.5, name))
            x += 14 + width(name, _LETTER) + 22
        return top + 26

    def _titles(self, top: float) -> float:
        told = []
        for (x, _), end, panel in zip(self._places, self._ends, self._block.panels, strict=True):
            most = end - x + _BETWEEN / 2
            told.append([(line, "b s") for line in lines(panel.title, _SMALL * 1.06, most)])
            told[-1] += [(line, "q s") for line in lines(panel.unit, _SMALL, most)]
        deepest = max(map(len, told))
        for (x, _), each in zip(self._places, told, strict=True):
            for k, (line, looks) in enumerate(each):
                # Units stand on one line, whatever is above them.
                self._parts.append(_text(x, top + 10 + _LINE * (deepest - len(each) + k), line, looks))
        return top + _LINE * deepest + 4

    def _grid(self, k: int, panel: Panel, begin: float, end: float) -> None:
        (left, right), scale = self._places[k], self._axes[k]
        for tick, said in zip(scale.ticks, _below(scale, panel), strict=True):
            x = _x(scale, tick, left, right)
            self._parts.append(f'<path class="g" d="M{_number(x)} {_number(begin)}V{_number(end + 3)}"/>')
            self._parts.append(_text(x, end + 16, said, "q s m"))
        if panel.line is not None:
            x = _x(scale, panel.line, left, right)
            self._parts.append(f'<path class="z" d="M{_number(x)} {_number(begin)}V{_number(end + 3)}"/>')

    def _dot(self, k: int, place: int, dot: Dot, y: float) -> None:
        panel, (left, right), scale = self._block.panels[k], self._places[k], self._axes[k]
        x = _x(scale, dot.mean, left, right)
        if dot.has_interval:
            low, high = _x(scale, dot.low, left, right), _x(scale, dot.high, left, right)
            self._parts.append(f'<path class="w c{place}" d="M{_number(low)} {_number(y)}H{_number(high)}"/>')
        looks = "h" if dot.spans(panel.line) else "f"
        self._parts.append(f'<path class="{looks} c{place}" d="{_mark(place, x, y)}"/>')
        if self._lone:
            self._parts.append(_text(self._ends[k], y + 4, self._said(k, dot), "q s e"))


def _ends(block: Block, panel: int | None = None) -> list[float]:
    """All that an axis must hold: of a panel, or of all."""
    panels = range(len(block.panels)) if panel is None else (panel,)
    return [end for k in panels for dot in block.dots(k) for end in dot.ends()]


def _fitted(numbers: list[float], panel: Panel, room: float) -> Axis:
    """The axis with as many numbers below it as there is room for."""
    for most in range(_MOST_TICKS, 2, -1):
        found = axis(numbers, most, panel.line, panel.log)
        widest = max((width(said, _SMALL) for said in _below(found, panel)), default=0.0)
        if len(found.ticks) * (widest + _APART) <= room + widest:
            return found
    return axis(numbers, 2, panel.line, panel.log)


def _below(scale: Axis, panel: Panel) -> list[str]:
    """What stands below an axis; on a logarithmic one each number has the digits it needs."""
    places = digits(scale.ticks)
    return [written(tick, digits([tick]) if scale.log else places, panel.line == 0) for tick in scale.ticks]


def _x(scale: Axis, value: float, left: float, right: float) -> float:
    return left + (right - left) * scale.at(value)


def _mark(series: int, x: float, y: float) -> str:
    """A circle, a square, a diamond or a triangle of about one area."""
    r = _RADIUS
    if series == 0:
        return f"M{_number(x - r)} {_number(y)}a{r:g} {r:g} 0 1 1 {2 * r:g} 0a{r:g} {r:g} 0 1 1 {-2 * r:g} 0z"
    corners = {
        1: ((-0.88, -0.88), (0.88, -0.88), (0.88, 0.88), (-0.88, 0.88)),
        2: ((0, -1.25), (1.25, 0), (0, 1.25), (-1.25, 0)),
        3: ((0, -1.2), (1.15, 0.85), (-1.15, 0.85)),
    }[series]
    return "M" + "L".join(f"{_number(x + r * a)} {_number(y + r * b)}" for a, b in corners) + "z"


def _text(x: float, y: float, said: str, looks: str = "") -> str:
    named = f' class="{looks}"' if looks else ""
    return f'<text x="{_number(x)}" y="{_number(y)}"{named}>{escape(said, quote=False)}</text>'


def _cut(label: str) -> str:
    """What there is room for."""
    if width(label, _LETTER) <= _LABELS:
        return label
    while width(f"{label}…", _LETTER) > _LABELS:
        label = label[:-1]
    return f"{label.rstrip()}…"


def _number(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
