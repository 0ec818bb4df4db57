"""A record of plans as tables for people, and two records held against each other."""

from __future__ import annotations

from collections.abc import Iterator

from dit4sr.bench.plans.compiled import PLAIN
from dit4sr.bench.plans.record import PlanRecord
from dit4sr.runtime.bundles.plan_account import PlanAccount
from dit4sr.runtime.console.table import SEPARATOR, format_bytes, format_table
from dit4sr.runtime.doctor.accounts import HEADER, account_row
from dit4sr.runtime.errors import BadInputError, PerformanceError


def format_plans(record: PlanRecord) -> str:
    """What the compiler made of the graphs, group by group for a guided step, and what that predicts."""
    parts = [
        f"{record.bundle}, {record.precision}: compiled, not run",
        format_table(HEADER, list(_rows(record))),
        *_groups(record),
        f"{record.factors}; a picture is of one tile in {record.steps} steps, without reading its prompt",
        format_table(
            ["card", "step, predicted", "plain export, predicted", "times as fast", "picture, predicted"],
            list(_predictions(record)),
        ),
    ]
    return "\n\n".join(parts)


def compare_plans(before: PlanRecord, after: PlanRecord) -> str:
    """A line for every plan of both; more kernels or bytes than before are refused: counts have no noise."""
    both = [name for name in before.plans if name in after.plans]
    if not both:
        raise BadInputError("two records without a plan in common", expected="records of the same bundle")
    rows, worse = [], []
    for name in both:
        first, second = before.plans[name], after.plans[name]
        if first.sizes != second.sizes:
            raise BadInputError(
                f"{name} was counted at other sizes", expected="the same sizes in both records"
            )
        pairs = [(_kernels(first), _kernels(second)), (_bytes(first), _bytes(second))]
        grown = [what for what, (old, new) in zip(("kernels", "bytes"), pairs, strict=True) if new > old]
        worse += [f"{name}: more {' and '.join(grown)}"] if grown else []
        (kernels, moved) = pairs
        rows.append([name, f"{kernels[0]} → {kernels[1]}", f"{moved[0] / 1e9:.3f} → {moved[1] / 1e9:.3f} GB"])
    table = format_table(["plan", "kernels", "moved"], rows)
    if worse:
        raise PerformanceError("; ".join(worse), expected="no more than before")
    return table


def _rows(record: PlanRecord) -> Iterator[list[str]]:
    for name, account in record.plans.items():
        yield account_row(name, account)
    if record.plain is not None:
        yield list(SEPARATOR)
        yield account_row(PLAIN, record.plain)


def _groups(record: PlanRecord) -> Iterator[str]:
    account = record.plans.get(record.guided_step)
    if account is not None:
        rows = [
            [group.group, str(group.kernels), f"{group.flops / 1e9:,.1f}", format_bytes(group.bytes)]
            for group in account.groups
        ]
        yield format_table([record.guided_step, "kernels", "GFLOP", "moved"], rows)


def _predictions(record: PlanRecord) -> Iterator[list[str]]:
    for each in record.predictions:
        plain, faster = each.plain_step_seconds, each.speed_up
        yield [
            each.card,
            f"{1e3 * each.step_seconds:.3g} ms",
            "–" if plain is None else f"{1e3 * plain:.3g} ms",
            "–" if faster is None else f"{faster:.2f}×",
            "–" if each.picture_seconds is None else f"{each.picture_seconds:.3g} s",
        ]


def _kernels(account: PlanAccount) -> int:
    return sum(account.kernels.values())


def _bytes(account: PlanAccount) -> int:
    return account.bytes_read + account.bytes_written
