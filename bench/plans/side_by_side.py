"""Two systems' steps beside each other, by what the compiler made of them and what that predicts."""

from __future__ import annotations

from dit4sr.bench.plans.record import PlanRecord
from dit4sr.bench.references import TABLE_2
from dit4sr.bench.report.sections import Section
from dit4sr.bench.report.units import format_seconds
from dit4sr.runtime.bundles.plan_account import PlanAccount
from dit4sr.runtime.errors import BadInputError


def side_by_side(one: PlanRecord, other: PlanRecord) -> Section:
    """The guided steps of two systems and their ratios, which are the first's share of the second."""
    step, against = (_guided_step(record) for record in (one, other))
    seconds = {each.card: each.step_seconds for each in other.predictions}
    rows = [
        _row("kernels", sum(step.kernels.values()), sum(against.kernels.values()), "{:,}"),
        _row("GFLOP", step.flops / 1e9, against.flops / 1e9, "{:,.0f}"),
        _row("GB moved", _gigabytes(step), _gigabytes(against), "{:.2f}"),
        *(
            (
                f"{each.card}, predicted",
                format_seconds(each.step_seconds),
                format_seconds(seconds[each.card]),
                f"{each.step_seconds / seconds[each.card]:.2f}",
            )
            for each in one.predictions
            if each.card in seconds
        ),
    ]
    published = {each.system: each.seconds for each in TABLE_2 if each.system}
    if {one.system, other.system} <= published.keys():
        rows.append(
            _row(
                "picture on an A100-80, published", published[one.system], published[other.system], "{:.2f} s"
            )
        )
    return Section(
        "Beside each other",
        ("a guided step", one.system, other.system, "ratio"),
        tuple(rows),
        (f"{one.factors}.",),
    )


def _guided_step(record: PlanRecord) -> PlanAccount:
    if record.guided_step not in record.plans:
        raise BadInputError(f"the record of {record.bundle} has no guided step", fix="compile its step too")
    return record.plans[record.guided_step]


def _gigabytes(account: PlanAccount) -> float:
    return (account.bytes_read + account.bytes_written) / 1e9


def _row(name: str, value: float, other: float, form: str) -> tuple[str, str, str, str]:
    return name, form.format(value), form.format(other), f"{value / other:.2f}"
