"""How far the pictures of two records are apart, to stand beside how far their times are."""

from __future__ import annotations

from dit4sr.bench.accuracy.rows import TRUTH, compared
from dit4sr.bench.record import OURS, AccuracyRow, Record
from dit4sr.runtime.console.table import format_table


def format_differences(before: Record, after: Record) -> str:
    """The pictures against their truths in both records, and the timed picture of one against the other's."""
    rows = list(_against_truth(before, after))
    header = (
        "PSNR (Y), dB",
        f"before, {before.subject.precision}",
        f"after, {after.subject.precision}",
        "change",
    )
    return "\n".join([*([format_table(header, rows)] if rows else []), _between(before, after)])


def _against_truth(before: Record, after: Record) -> list[tuple[str, ...]]:
    later = {row.picture: row for row in _ours(after)}
    return [
        (
            f"{row.picture} against {TRUTH}",
            f"{row.psnr:.2f}",
            f"{later[row.picture].psnr:.2f}",
            f"{later[row.picture].psnr - row.psnr:+.2f}",
        )
        for row in _ours(before)
        if row.picture in later
    ]


def _ours(record: Record) -> list[AccuracyRow]:
    return [row for row in record.accuracy if (row.against, row.made_by) == (TRUTH, OURS)]


def _between(before: Record, after: Record) -> str:
    first, second = before.kept, after.kept
    if first is None or second is None:
        return "pictures before and after: not in both records, for one is of a former version; measure again"
    if first.given != second.given:
        return "pictures before and after: not comparable, for they were made of different photos"
    row = compared(second.name, "before", second.pixels(), first.pixels())
    return (
        f"{row.picture}, after against before: PSNR (Y) {row.psnr:.2f} dB, SSIM {row.ssim:.4f}, "
        f"off by {row.max_error} of 255 at most"
    )
