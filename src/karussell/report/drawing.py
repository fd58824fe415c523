"""The pen of every plot: what matplotlib draws becomes inline SVG, coloured by the page.

One drawing serves light and dark; `responsive` draws twice, for wide and for narrow screens: a plot that is only shrunk
cannot be read on a phone.
"""

import hashlib
import io
import re
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from karussell.errors import require
from karussell.report.page import Html, text

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDE, NARROW = 7.6, 3.5
SERIES = 10
# colours matplotlib carries through and the page replaces by its own
INK, MUTED, LINE, ACCENT, PAPER = "#0101f1", "#0101f2", "#0101f3", "#0101f4", "#0101f5"
COLOURS = [f"#0102f{k}" for k in range(SERIES)]
VARIABLES = {INK: "ink", MUTED: "muted", LINE: "line", ACCENT: "accent", PAPER: "paper"} | {
    colour: f"s{k}" for k, colour in enumerate(COLOURS)
}
STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "karussell",
    "image.composite_image": False,
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 8.5,
    "text.color": INK,
    "text.parse_math": False,
    "axes.edgecolor": LINE,
    "axes.labelcolor": MUTED,
    "axes.titlecolor": INK,
    "axes.titlesize": 9,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 10,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.facecolor": "none",
    "axes.grid": True,
    "axes.grid.axis": "y",
    "grid.color": LINE,
    "grid.linewidth": 0.6,
    "xtick.color": LINE,
    "ytick.color": LINE,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "ytick.major.size": 0,
    "legend.frameon": False,
    "legend.labelcolor": INK,
    "legend.borderpad": 0,
    "legend.borderaxespad": 0,
    "legend.handlelength": 1.4,
    "legend.columnspacing": 1,
    "lines.linewidth": 1.6,
    "lines.solid_capstyle": "round",
}


def responsive(draw: Callable[[float], Html], alt: str) -> Html:
    """Draw for wide and for narrow screens; the page shows one of the two. `alt` says what there is to see."""
    label = text(alt)
    return Html(
        f'<div class="plot wide" role="img" aria-label="{label}">{draw(WIDE)}</div>\n'
        f'<div class="plot narrow" role="img" aria-label="{label}">{draw(NARROW)}</div>'
    )


def per_cent_axis(axes: "Axes", axis: str) -> None:
    """Write the shares of one on the x or the y axis as per cent."""
    (axes.xaxis if axis == "x" else axes.yaxis).set_major_formatter(lambda share, _: f"{100 * share:.3g}\u202f%")


def style() -> Any:
    """The context in which plots are drawn."""
    # from the defaults: what a person's matplotlibrc asks for is for their own plots
    return require("matplotlib.style", extra="audio").context(STYLE, after_reset=True)


def new_figure(width: float, height: float) -> "Figure":
    """An empty figure, in inches."""
    # not pyplot: it keeps figures and picks a window system
    figure: Figure = require("matplotlib.figure", extra="audio").Figure(figsize=(width, height), layout="constrained")
    return figure


def to_svg(figure: "Figure") -> Html:
    """The drawing as an <svg> element whose colours are the page\'s."""
    buffer = io.StringIO()
    with warnings.catch_warnings():
        # the letters are the browser's to draw, which has more of them
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    size = re.search(r'viewBox="[^"]*"', svg)
    assert size is not None
    svg = re.sub(r"<svg[^>]*>", f'<svg {size[0]} aria-hidden="true" focusable="false">', svg, count=1)
    svg = svg.replace("xlink:href", "href")
    for colour, name in VARIABLES.items():
        svg = svg.replace(colour, f"var(--{name})")
    return Html(_own_ids(svg))


def _own_ids(svg: str) -> str:
    # ids are one space for a whole page; what nothing points to needs none
    used = set(re.findall(r'(?:url\(#|href="#)([^)"]+)', svg))
    prefix = f"g{hashlib.sha256(svg.encode()).hexdigest()[:8]}-"
    svg = re.sub(r' id="([^"]+)"', lambda m: f' id="{prefix}{m[1]}"' if m[1] in used else "", svg)
    return re.sub(r'(url\(#|href="#)', rf"\1{prefix}", svg)
