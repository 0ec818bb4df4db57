"""Two plots, drawn for a phone's width: the roofline, and where the time of a step goes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from dit4sr.bench.record import GroupRow, Record
from dit4sr.bench.report.drawing import (
    DOT,
    HEIGHT,
    INK,
    REST,
    ROOF,
    WIDTH,
    as_svg,
    new_figure,
    require_matplotlib,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def plots(record: Record) -> dict[str, str]:
    """The plots of a record as SVG, by title; none where there is nothing to draw."""
    timed = [row for row in record.groups if row.seconds]
    if not record.groups:
        return {}
    require_matplotlib()
    drawn = {"Roofline": as_svg(_roofline(record))}
    if timed:
        drawn["Where the time of a step goes"] = as_svg(_time_split(timed))
    return drawn


def _roofline(record: Record) -> Figure:
    """A plot of attained against attainable speed, by arithmetic intensity; both axes logarithmic."""
    figure, axes = new_figure()
    environment = record.environment
    rows = [row for row in record.groups if row.flops]
    intensities = [row.flops / row.bytes for row in rows]
    left, right = min(intensities) / 3, max(intensities) * 3
    xs = [left * (right / left) ** (i / 99) for i in range(100)]
    memories = {"memory": environment.copy_bandwidth, "caches": environment.cached_bandwidth}
    for (name, bandwidth), style in zip(memories.items(), ("-", ":"), strict=True):
        roof = [min(x * bandwidth, environment.matmul_rate) / 1e9 for x in xs]
        axes.plot(xs, roof, style, color=ROOF, linewidth=1, label=f"limit, from {name}")
    axes.legend(fontsize=6.5, frameon=False, loc="upper left")
    for number, (row, intensity) in enumerate(zip(rows, intensities, strict=True), 1):
        reached = row.flops / (row.seconds or row.roof_seconds) / 1e9
        axes.plot([intensity], [reached], "o", markersize=4, color=DOT)
        side = 1 if number % 2 else -1
        axes.annotate(
            str(number),
            (intensity, reached),
            xytext=(4 * side, 4 * side),
            textcoords="offset points",
            fontsize=7,
        )
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("FLOP per byte")
    axes.set_ylabel("GFLOP/s" + ("" if any(row.seconds for row in rows) else ", at the limit"))
    legend = "\n".join(f"{number} {row.group}" for number, row in enumerate(rows, 1))
    figure.text(0.02, 0.01, legend, fontsize=7, color=INK, va="bottom", linespacing=1.2)
    figure.set_size_inches(WIDTH, HEIGHT + 0.125 * len(rows))
    figure.subplots_adjust(
        left=0.17, right=0.97, top=0.97, bottom=0.13 + 0.125 * (len(rows) + 1) / figure.get_figheight()
    )
    return figure


def _time_split(rows: list[GroupRow]) -> Figure:
    """A plot with a bar for each group of layers; the dark part is what its limit would take."""
    figure, axes = new_figure()
    rows = sorted(rows, key=lambda row: row.seconds or 0)
    spent = [1e3 * (row.seconds or 0) for row in rows]
    least = [1e3 * min(row.roof_seconds, row.seconds or math.inf) for row in rows]
    places = range(len(rows))
    axes.barh(places, spent, color=REST, label="took")
    axes.barh(places, least, color=DOT, label="at this machine's limit")
    axes.set_yticks(places, [row.group for row in rows], fontsize=6.5)
    axes.set_xlabel("milliseconds of a step")
    axes.legend(fontsize=6.5, frameon=False, loc="lower right")
    figure.subplots_adjust(left=0.42, right=0.97, top=0.97, bottom=0.14)
    return figure
