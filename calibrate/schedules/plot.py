"""Loss against cost as one drawing in SVG, a line for each family; nothing is needed to draw it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from html import escape

from dit4sr.calibrate.schedules.candidate import FEWER, REUSE, UNGUIDED
from dit4sr.calibrate.schedules.record import Row, ScheduleRecord

WIDTH, HEIGHT = 560, 380
LEFT, RIGHT, TOP, BOTTOM = 52, 12, 14, 62
INK, GRID, PAPER = "#334155", "#e2e8f0", "#ffffff"
COLOURS = {REUSE: "#0369a1", FEWER: "#b45309", UNGUIDED: "#15803d"}
OTHERS = ("#a21caf", "#64748b", "#be123c")
ROWS_BETWEEN, DECIBELS_BETWEEN = 2.0, 5.0
"""A line of the grid for every doubling of cost, and for so many decibels."""


def draw(record: ScheduleRecord) -> str:
    """The drawing of a record, the same for the same record."""
    rows = [row for row in record.rows[1:] if row.rows > 0]
    if not rows:
        return ""
    plane = _Plane(rows)
    families = list(dict.fromkeys(row.family for row in rows))
    colours = COLOURS | dict(zip([name for name in families if name not in COLOURS], OTHERS, strict=False))
    parts = [*plane.grid(record.rows[0].rows)]
    for place, family in enumerate(families):
        points = sorted((row for row in rows if row.family == family), key=lambda row: row.rows)
        parts += plane.line(points, colours.get(family, INK))
        parts += _legend(place, family, colours.get(family, INK))
    names = {f"{preset.solver} {preset.velocities}": preset.name for preset in record.presets}
    for row in rows:
        if name := names.get(f"{row.solver} {row.velocities}"):
            x, y = plane.at(row)
            parts.append(_text(x - 6, y - 8, name, "end", weight="bold"))
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" '
        f'viewBox="0 0 {WIDTH} {HEIGHT}" role="img" font-family="sans-serif" font-size="11">\n'
        f"<title>Loss against cost</title>\n"
        f'<rect width="{WIDTH}" height="{HEIGHT}" rx="6" fill="{PAPER}"/>\n{body}\n</svg>\n'
    )


class _Plane:
    """Where a cost and a loss lie in the drawing: cost in doublings, loss in decibels."""

    def __init__(self, rows: Sequence[Row]) -> None:
        costs, losses = [row.rows for row in rows], [row.psnr for row in rows]
        self._least, self._most = math.log2(min(costs)) - 0.1, math.log2(max(costs)) + 0.1
        self._low = math.floor(min(losses) / DECIBELS_BETWEEN) * DECIBELS_BETWEEN
        self._high = math.ceil(max(losses) / DECIBELS_BETWEEN) * DECIBELS_BETWEEN + 1

    def at(self, row: Row) -> tuple[float, float]:
        return self._x(row.rows), self._y(row.psnr)

    def line(self, rows: Sequence[Row], colour: str) -> Iterable[str]:
        places = [self.at(row) for row in rows]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        yield f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.5"/>'
        for x, y in places:
            yield f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>'

    def grid(self, whole: int) -> Iterable[str]:
        for power in range(math.ceil(self._least), math.floor(self._most) + 1):
            x, cost = self._x(2**power), 2**power
            yield _rule(x, TOP, x, HEIGHT - BOTTOM)
            yield _text(x, HEIGHT - BOTTOM + 14, str(cost), "middle")
        level = self._low
        while level <= self._high:
            y = self._y(level)
            yield _rule(LEFT, y, WIDTH - RIGHT, y)
            yield _text(LEFT - 6, y + 4, f"{level:g} dB", "end")
            level += DECIBELS_BETWEEN
        middle = (LEFT + WIDTH - RIGHT) / 2
        label = f"rows of the network for a picture of one tile; exact has {whole}"
        yield _text(middle, HEIGHT - BOTTOM + 29, label, "middle")

    def _x(self, cost: float) -> float:
        share = (math.log2(cost) - self._least) / (self._most - self._least)
        return LEFT + share * (WIDTH - LEFT - RIGHT)

    def _y(self, loss: float) -> float:
        share = (loss - self._low) / (self._high - self._low)
        return HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)


def _legend(place: int, family: str, colour: str) -> Iterable[str]:
    x, y = LEFT + 178 * (place % 3), HEIGHT - 18 + 13 * (place // 3)
    yield f'<circle cx="{x}" cy="{y - 4}" r="3" fill="{colour}"/>'
    yield _text(x + 7, y, family, "start")


def _rule(x: float, y: float, to_x: float, to_y: float) -> str:
    return f'<line x1="{x:.1f}" y1="{y:.1f}" x2="{to_x:.1f}" y2="{to_y:.1f}" stroke="{GRID}"/>'


def _text(x: float, y: float, words: str, anchor: str, *, weight: str = "normal") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" fill="{INK}" text-anchor="{anchor}" '
        f'font-weight="{weight}">{escape(words)}</text>'
    )
