"""Plain tables for terminals and pipes."""

from __future__ import annotations

from collections.abc import Sequence

SEPARATOR: Sequence[str] = ()
"""A row that is drawn as a line."""


def format_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Align the first column left and the others right; an empty row becomes a rule."""
    cells = [header, *rows]
    widths = [max(len(row[i]) for row in cells if row) for i in range(len(header))]
    rule = "─" * (sum(widths) + 2 * (len(widths) - 1))

    def line(row: Sequence[str]) -> str:
        first, *others = (
            cell.rjust(width) if i else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        return "  ".join([first, *others]).rstrip()

    return "\n".join([line(header), rule, *(line(row) if row else rule for row in rows)])


def format_bytes(count: float) -> str:
    """Bytes in decimal units, as disks and model cards count."""
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.2f} GB"
