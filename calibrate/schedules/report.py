"""A search for schedules as people read it: tables on a terminal and in Markdown, and one page."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from dit4sr.calibrate.schedules.candidate import FEWER, REUSE, UNGUIDED
from dit4sr.calibrate.schedules.plot import draw
from dit4sr.calibrate.schedules.record import Row, ScheduleRecord
from dit4sr.runtime.bundles.presets import Preset
from dit4sr.runtime.console.table import format_table
from dit4sr.runtime.html.document import Document

PRESET_HEAD = ("preset", "rows", "runs", "PSNR (RGB) to exact", "worst", "lost against the truth", "seconds")
COST_HEAD = ("rows", "share", FEWER, REUSE, "gain", "worst", "lost against the truth", "schedule")
OTHER_HEAD = ("rows", "family", "PSNR (RGB) to exact", "worst", "lost against the truth")
LETTERS = "g a guided run, u an unguided one, h the last velocity held, x extrapolated from the last two"
STYLE = "table { border-collapse: collapse; } td, th { padding: 0.2em 0.8em; text-align: right; }"


def as_text(record: ScheduleRecord) -> str:
    """The tables for a terminal."""
    parts = [format_table(list(head), [list(row) for row in rows]) for _, head, rows in _tables(record)]
    return "\n\n".join([*parts, "\n".join(_sentences(record))])


def as_markdown(record: ScheduleRecord) -> str:
    """The tables for a page of documentation."""
    lines: list[str] = []
    for title, head, rows in _tables(record):
        lines += [f"{title}:", "", _line(head), _line(["---:"] * len(head)), *map(_line, rows), ""]
    return "\n".join([*lines, *(f"- {sentence}" for sentence in _sentences(record))])


def as_page(record: ScheduleRecord) -> str:
    """One page with plot and tables, which loads nothing."""
    body = [f"<h1>Schedules of {escape(record.bundle)}</h1>", draw(record)]
    for title, head, rows in _tables(record):
        cells = "".join(f"<th>{escape(name)}</th>" for name in head)
        lines = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>\n" for row in rows)
        body.append(f"<h2>{escape(title)}</h2>\n<table><tr>{cells}</tr>\n{lines}</table>")
    body.append(f"<p>{'<br>'.join(escape(sentence) for sentence in _sentences(record))}</p>")
    return Document(f"Schedules of {record.bundle}", STYLE).around("\n".join(body))


def rivals(record: ScheduleRecord) -> list[tuple[Row, Row | None]]:
    """Every schedule that was kept, beside fewer steps of the same cost, or of the next they can have."""
    fewer = sorted((row for row in record.rows if row.family == FEWER), key=lambda row: row.rows)
    kept = sorted((row for row in record.rows if row.family == REUSE), key=lambda row: -row.rows)
    return [(row, next((each for each in fewer if each.rows >= row.rows), None)) for row in kept]


def _tables(record: ScheduleRecord) -> list[tuple[str, Sequence[str], list[Sequence[str]]]]:
    return [
        ("The presets", PRESET_HEAD, [_preset(record, preset) for preset in record.presets]),
        ("By cost", COST_HEAD, [_cost(record, row, rival) for row, rival in rivals(record)]),
        (
            "The other families",
            OTHER_HEAD,
            [_other(row) for row in record.rows if row.family == UNGUIDED or row.family.startswith(FEWER)],
        ),
    ]


def _preset(record: ScheduleRecord, preset: Preset) -> Sequence[str]:
    loss, timing = preset.loss, record.timings.get(preset.name)
    exact = record.timings.get(record.presets[0].name)
    seconds = "not measured"
    if timing is not None and exact is not None:
        seconds = f"{timing.median:.2f} s" + ("" if timing is exact else f", {timing.over(exact):.0%}")
    return (
        preset.name,
        str(preset.rows),
        str(sum(letter in "gu" for letter in preset.velocities)),
        _decibels(None if loss is None else loss.psnr),
        _decibels(None if loss is None else loss.worst_psnr),
        _drop(None if loss is None else loss.drop),
        seconds,
    )


def _cost(record: ScheduleRecord, row: Row, rival: Row | None) -> Sequence[str]:
    whole = record.rows[0].rows
    return (
        str(row.rows),
        f"{row.rows / whole:.0%}",
        "" if rival is None else f"{_decibels(rival.psnr)} ({rival.rows})",
        _decibels(row.psnr),
        "" if rival is None else f"{row.psnr - rival.psnr:+.1f} dB",
        _decibels(row.worst_psnr),
        _drop(row.drop),
        f"{row.solver} {row.velocities}",
    )


def _other(row: Row) -> Sequence[str]:
    return (str(row.rows), row.family, _decibels(row.psnr), _decibels(row.worst_psnr), _drop(row.drop))


def _sentences(record: ScheduleRecord) -> list[str]:
    exact = record.rows[0]
    return [
        f"Exact: {len(exact.velocities)} steps of {exact.solver}, guidance {record.guidance:g}, "
        f"{exact.rows} rows of the network for a picture of one tile.",
        f"Searched on {len(record.searched_on)} photos, judged by {len(record.judged_by)} others, "
        f"{record.backend} on {record.machine}, {record.made[:10]}.",
        f"Letters: {LETTERS}.",
        *record.remarks,
    ]


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _decibels(value: float | None) -> str:
    return "" if value is None else f"{value:.1f} dB"


def _drop(value: float | None) -> str:
    return "" if value is None else f"{value:+.3f} dB"
