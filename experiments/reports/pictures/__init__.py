"""Still pictures for pages: rows of dots with their intervals, as an SVG that reads on white and on dark.

dots      what is drawn: pictures of blocks, panels and rows
axes      ticks of an axis, and how its numbers are written
lettering how wide a text is, and where its lines break
svg       the file

Why not a library: plotly, which reports have, needs a browser to write a file; matplotlib would be one dependency more,
writes letters as paths (some 100 kB a picture), and knows one theme. One kind of chart is all that is needed here.
"""

from experiments.reports.pictures.dots import Block, Dot, Panel, Picture, Row
from experiments.reports.pictures.svg import to_svg

__all__ = ["Block", "Dot", "Panel", "Picture", "Row", "to_svg"]
