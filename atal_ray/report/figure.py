"""One look for every chart of the report: colours, lines, and the way into the page."""

import io
from base64 import b64encode
from collections.abc import Callable
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

PALETTE = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7f7f7f")
"""Colours that stay apart for colour-blind readers (Okabe and Ito 2008)."""
SHADES = "viridis"
"""Colour map of values and of rounds."""

_INK, _LINE = "#3c4652", "#c9d0d8"
_STYLE: Any = {
    "svg.hashsalt": "atal",  # equal charts give equal bytes
    "text.parse_math": False,  # names of test sets may hold a dollar sign
    "font.size": 8.5,
    "axes.titlesize": 9,
    "axes.titlelocation": "left",
    "axes.labelcolor": _INK,
    "axes.edgecolor": _LINE,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e9edf1",
    "grid.linewidth": 0.8,
    "text.color": _INK,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "lines.linewidth": 1.6,
    "lines.markersize": 3.5,
    "legend.frameon": False,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.dpi": 200,
}
_FILE_STYLE: Any = {"figure.facecolor": "white", "axes.facecolor": "white", "legend.handlelength": 3.2}


def chart(draw: Callable[[Figure], None], width: float = 9.6, height: float = 2.9) -> str:
    """The SVG of a figure as a data URI.

    Args:
        draw: puts axes and lines on an empty figure.
        width: of the figure in inches.
        height: of the figure in inches.
    """
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        draw(figure)
        buffer = io.BytesIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return data_uri("image/svg+xml", buffer.getvalue())


def files(draw: Callable[[Figure], None], width: float = 9.6, height: float = 2.9) -> dict[str, bytes]:
    """A figure on white as "svg" and as "png", to be saved on their own; equal drawings give equal bytes.

    Args:
        draw: puts axes and lines on an empty figure; called once.
        width: of the figure in inches.
        height: of the figure in inches.
    """
    with matplotlib.rc_context(_STYLE | _FILE_STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        draw(figure)
        found = {}
        for kind, unwanted in (("svg", "Date"), ("png", "Software")):
            buffer = io.BytesIO()
            figure.savefig(buffer, format=kind, metadata={unwanted: None})
            found[kind] = buffer.getvalue()
    return found


def data_uri(kind: str, data: bytes) -> str:
    """Bytes as an address that holds them."""
    return f"data:{kind};base64,{b64encode(data).decode()}"


def legend_below(figure: Figure, axes: Axes, columns: int) -> None:
    """One legend under the whole figure with the labelled lines of one of its axes."""
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=columns)


def visible(name: str) -> str:
    """A name as a legend shows it: labels with a leading underscore would be left out."""
    return f" {name}" if name.startswith("_") else name
