"""A record of plans in the forms that the bench's reports have."""

from __future__ import annotations

from dit4sr.bench.plans.plots import plan_plots
from dit4sr.bench.plans.record import PlanRecord
from dit4sr.bench.plans.sections import plan_headline, plan_sections
from dit4sr.bench.report.html import html_text
from dit4sr.bench.report.markdown import markdown_text
from dit4sr.bench.report.terminal import terminal_text


def terminal_plans(record: PlanRecord) -> str:
    """The record as aligned tables and sentences."""
    return terminal_text(plan_headline(record), plan_sections(record))


def markdown_plans(record: PlanRecord) -> str:
    """The record for a pull request or a wiki."""
    return markdown_text(plan_headline(record), plan_sections(record), _made(record), record.command)


def html_plans(record: PlanRecord) -> str:
    """The record as a page of HTML, with its plots."""
    return html_text(
        f"The plans of {record.bundle}",
        plan_headline(record),
        plan_sections(record),
        draw=lambda: plan_plots(record),
        made=_made(record),
        command=record.command,
    )


def _made(record: PlanRecord) -> str:
    return f"Compiled {record.made}, not run"
