"""Two records of plans held against each other: counts have no noise, so there is nothing to tolerate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dit4sr.bench.plans.record import PlanRecord
from dit4sr.runtime.bundles.plan_account import PlanAccount
from dit4sr.runtime.console.table import format_table
from dit4sr.runtime.errors import BadInputError, PerformanceError


@dataclass(frozen=True)
class PlanChange:
    """The account of one plan, before and after."""

    plan: str
    before: PlanAccount
    after: PlanAccount

    @property
    def grown(self) -> str:
        """What became more, in words; empty if nothing did."""
        pairs = {
            "kernels": (_kernels(self.before), _kernels(self.after)),
            "bytes": (_moved(self.before), _moved(self.after)),
        }
        return " and ".join(what for what, (old, new) in pairs.items() if new > old)


def compare_plans(before: PlanRecord, after: PlanRecord) -> list[PlanChange]:
    """The plans that both records have; other sizes are other work, and refused.

    An axis that only one of them has is none: what a graph reads may have changed with its form.
    """
    both = [name for name in before.plans if name in after.plans]
    if not both:
        raise BadInputError("two records without a plan in common", expected="records of the same bundle")
    changes = [PlanChange(name, before.plans[name], after.plans[name]) for name in both]
    for change in changes:
        first, second = change.before.sizes, change.after.sizes
        if any(first[axis] != second[axis] for axis in first.keys() & second.keys()):
            raise BadInputError(
                f"{change.plan} was counted at other sizes", expected="the same sizes in both records"
            )
    return changes


def format_plan_changes(changes: Sequence[PlanChange]) -> str:
    """A line for every plan."""
    rows = [
        [
            change.plan,
            f"{_kernels(change.before)} → {_kernels(change.after)}",
            f"{_moved(change.before) / 1e9:.3f} → {_moved(change.after) / 1e9:.3f} GB",
            f"{_moved(change.after) / max(_moved(change.before), 1):.3f}×",
        ]
        for change in changes
    ]
    return format_table(["plan", "kernels", "moved", "of what was moved"], rows)


def refuse_growth(changes: Sequence[PlanChange]) -> None:
    """Raise an error if any plan has more kernels or moves more bytes."""
    if worse := [f"{change.plan}: more {change.grown}" for change in changes if change.grown]:
        raise PerformanceError("; ".join(worse), expected="no more than before")


def _kernels(account: PlanAccount) -> int:
    return sum(account.kernels.values())


def _moved(account: PlanAccount) -> int:
    return account.bytes_read + account.bytes_written
