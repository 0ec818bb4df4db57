"""What all plots share: a figure for a phone's width, its colours, and SVG that is the same every time."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

from dit4sr.runtime.errors import MissingDependencyError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WIDTH, HEIGHT = 3.6, 3.4
"""Inches of a plot: at 96 dots they fit a phone, and the letters keep their size."""
INK, ROOF, DOT, REST = "#334155", "#b45309", "#0369a1", "#cbd5e1"


def new_figure() -> tuple[Figure, Any]:
    """A figure without pyplot, which would keep it and look for a screen."""
    from matplotlib.backends.backend_svg import FigureCanvasSVG  # noqa: PLC0415  (an extra)
    from matplotlib.figure import Figure  # noqa: PLC0415

    figure = Figure(figsize=(WIDTH, HEIGHT))
    FigureCanvasSVG(figure)
    axes: Any = figure.add_subplot()
    axes.tick_params(labelsize=7, colors=INK)
    axes.xaxis.label.set(fontsize=8, color=INK)
    axes.yaxis.label.set(fontsize=8, color=INK)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def as_svg(figure: Figure) -> str:
    """The figure as SVG, which is the same for the same record."""
    from matplotlib import rc_context  # noqa: PLC0415

    buffer = io.StringIO()
    # Without a date and with names that are not drawn by lot, the same record gives the same bytes.
    with rc_context({"svg.hashsalt": "dit4sr"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()


def require_matplotlib() -> None:
    """Refuse in one line where what draws is missing."""
    from importlib.util import find_spec  # noqa: PLC0415

    if find_spec("matplotlib") is None:
        raise MissingDependencyError(
            "not installed: matplotlib, which draws the plots", fix="pip install 'dit4sr[bench]'"
        )
