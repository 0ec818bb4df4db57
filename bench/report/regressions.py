"""Two records of the same work, in one precision or two: what became slower, and whether one may say so."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from dit4sr.bench.measure.statistics import Ratio, unpaired_ratio
from dit4sr.bench.record import OURS, Record, Series
from dit4sr.bench.report.sections import format_ratio
from dit4sr.bench.report.units import format_seconds
from dit4sr.runtime.console.table import format_table
from dit4sr.runtime.errors import BadInputError, IncompatibleError, PerformanceError

TOLERANCE = 0.05
"""Changes below this are of no interest, however certain; machines drift by as much from day to day."""
FALSE_ALARMS = 0.02
"""Chance of any false alarm among all scopes of a comparison."""
SAME_WORK = ("latent", "picture", "preset", "steps", "guidance", "rows", "text_rows", "backend", "threads")


class Verdict(Enum):
    """What may be said of how a scope changed."""

    SLOWER = "slower"
    FASTER = "faster"
    SAME = "no change"
    UNKNOWN = "too few runs to say"


@dataclass(frozen=True)
class Change:
    """How one scope changed between two records."""

    scope: str
    before: float
    after: float
    ratio: Ratio
    verdict: Verdict


def compare(
    before: Record, after: Record, *, tolerance: float = TOLERANCE, across_machines: bool = False
) -> list[Change]:
    """Compare every scope that both records timed.

    A scope is slower if the rank test says so at a level shared among all scopes, and if the estimate is more
    than the tolerance. Where there are too few runs for that level, nothing is said. Across machines, times
    are first multiplied by the rate each measured of itself.
    """
    _check_same_work(before, after)
    is_other_machine = before.environment.machine != after.environment.machine
    if is_other_machine and not across_machines:
        raise IncompatibleError(
            f"the records come from {before.environment.machine!r} and {after.environment.machine!r}",
            expected="one machine",
            fix="measure again here, or compare hardware-normalised times with --cross-machine",
        )
    rates = [record.environment.rate_precision for record in (before, after)]
    if is_other_machine and rates[0] != rates[1]:
        raise IncompatibleError(
            f"the machines' rates were measured in {rates[0]} and {rates[1]}",
            expected="one precision, to normalise by",
            fix="compare records of one precision, or of one machine",
        )
    scale = after.environment.matmul_rate / before.environment.matmul_rate if is_other_machine else 1.0
    pairs = list(_pairs(before, after))
    if not pairs:
        raise BadInputError("the records have no timing in common")
    confidence = 1 - FALSE_ALARMS / len(pairs)
    return [_change(old, new, scale, confidence, tolerance) for old, new in pairs]


def format_changes(changes: list[Change]) -> str:
    """The changes as a table."""
    rows = [
        (c.scope, format_seconds(c.before), format_seconds(c.after), format_ratio(c.ratio), c.verdict.value)
        for c in changes
    ]
    return format_table(("scope", "before, p50", "after, p50", "after / before", "verdict"), rows)


def refuse_regressions(changes: list[Change]) -> None:
    """Raise an error if anything became slower."""
    slower = [change for change in changes if change.verdict is Verdict.SLOWER]
    if slower:
        worst = max(slower, key=lambda change: change.ratio.value)
        others = f" (and {len(slower) - 1} more)" if len(slower) > 1 else ""
        raise PerformanceError(f"{worst.scope} takes {format_ratio(worst.ratio)} as long as before{others}")


def _change(old: Series, new: Series, scale: float, confidence: float, tolerance: float) -> Change:
    seconds = [value * scale for value in new.seconds]
    ratio = unpaired_ratio(seconds, old.seconds, confidence)
    verdict = Verdict.SAME
    if ratio.confidence < confidence:
        verdict = Verdict.UNKNOWN
    elif ratio.low > 1 and ratio.value > 1 + tolerance:
        verdict = Verdict.SLOWER
    elif ratio.high < 1 and ratio.value < 1 / (1 + tolerance):
        verdict = Verdict.FASTER
    return Change(old.scope, old.summary.p50, new.summary.p50, ratio, verdict)


def _pairs(before: Record, after: Record) -> Iterator[tuple[Series, Series]]:
    for old in before.series:
        new = after.find(old.scope)
        if old.contender == OURS and new is not None:
            yield old, new


def _check_same_work(before: Record, after: Record) -> None:
    for name in SAME_WORK:
        old, new = (getattr(record.subject, name) for record in (before, after))
        if old != new:
            raise BadInputError(
                f"the records differ in {name.replace('_', ' ')}: {old} and {new}",
                expected="the same work in both",
            )
