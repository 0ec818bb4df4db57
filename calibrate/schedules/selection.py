"""Which schedules are kept: those that beat fewer steps of the same cost, and that nothing dominates."""

from __future__ import annotations

from collections.abc import Sequence

from dit4sr.calibrate.schedules.judge import Verdict

MARGIN = 1.0
"""Decibels more that are asked for where a schedule is chosen: other photos fare a little differently."""
SHARES = (0.75, 0.5, 0.4, 0.3, 0.2, 0.15, 0.1, 0.075, 0.05)
"""Costs that are looked at, as shares of the exact schedule's rows."""
RIVAL_SHARES = (0.2, 0.1)
"""Of these, those at which fewer steps of other solvers are shown."""
FAST_BELOW = 6.0
"""Decibels that `fast` may be below `balanced`."""


def costs(rows: int, letter_rows: int, shares: Sequence[float] = SHARES) -> list[int]:
    """Rows that are looked at, each of which fewer steps can have exactly; the costliest first."""
    steps = {max(round(share * rows / letter_rows), 1) for share in shares}
    return [letter_rows * each for each in sorted(steps, reverse=True) if letter_rows * each < rows]


def not_dominated(verdicts: Sequence[Verdict]) -> list[Verdict]:
    """Those that no other is as cheap as and nearer than; the costliest first."""
    kept: list[Verdict] = []
    for verdict in sorted(verdicts, key=lambda each: (each.candidate.rows, -each.psnr)):
        if not kept or verdict.psnr > kept[-1].psnr:
            kept.append(verdict)
    return kept[::-1]


def better_than_fewer(verdicts: Sequence[Verdict], fewer: Sequence[Verdict]) -> list[Verdict]:
    """Those that are nearer to exact than fewer steps at the same cost, or the next that these can have."""
    kept = []
    for verdict in verdicts:
        dearer = [each for each in fewer if each.candidate.rows >= verdict.candidate.rows]
        rival = min(dearer, key=lambda each: each.candidate.rows, default=None)
        if rival is None or verdict.psnr > rival.psnr:
            kept.append(verdict)
    return kept


def cheapest(verdicts: Sequence[Verdict], min_psnr: float, max_drop: float) -> Verdict | None:
    """The cheapest that is as near as asked for, with the margin, and loses no more of the truth."""
    fine = [
        each
        for each in verdicts
        if each.psnr >= min_psnr + MARGIN and (each.drop is None or each.drop <= max_drop)
    ]
    return min(fine, key=lambda each: each.candidate.rows) if fine else None
