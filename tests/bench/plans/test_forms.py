"""A record of plans in every form that a report has, and as a table of a document."""

from __future__ import annotations

from dataclasses import replace
from xml.etree import ElementTree

import pytest
from support.html import assert_whole_and_alone
from support.plan_records import RECORD

from dit4sr.bench.plans.measured import Measurement
from dit4sr.bench.plans.plots import plan_plots
from dit4sr.bench.plans.report import html_plans, markdown_plans, terminal_plans
from dit4sr.bench.report.tables import renewed

MEASURED = replace(RECORD, measurements=(Measurement("A100-80", "tensorrt", 0.06, 2.5),))
TITLES = (
    "What the compiler made",
    "A step by kind of kernel",
    "A step by group of layers",
    "Casts and copies of a step that stand alone",
    "Predictions",
)


def test_every_section_is_in_every_form():
    for title in TITLES:
        assert title.upper() in terminal_plans(RECORD)
        assert f"## {title}" in markdown_plans(RECORD)
        assert f"<h2>{title}</h2>" in html_plans(RECORD)
    for form in (terminal_plans(RECORD), markdown_plans(RECORD), html_plans(RECORD)):
        assert "a compiler 1: compiled, not run" in form
        assert "node_Cast_7" in form


def test_what_was_measured_stands_beside_what_was_predicted():
    lines = terminal_plans(MEASURED).splitlines()
    [header] = [line for line in lines if line.startswith("card")]
    assert header.endswith("step, measured  measured / predicted")
    [row] = [line for line in lines if line.startswith("A100-80")]
    assert row.split()[-4:] == ["60", "ms", "(tensorrt)", "1.20"]
    assert "measured" not in terminal_plans(RECORD)


def test_scales_that_stand_in_are_told_of():
    for form in (terminal_plans, markdown_plans, html_plans):
        assert "no photo was seen" in form(replace(RECORD, has_stand_in_scales=True))
        assert "no photo was seen" not in form(RECORD)


def test_plots_are_drawings_of_cards_and_kernels():
    drawn = plan_plots(MEASURED)
    assert list(drawn) == ["A step, predicted, card by card", "What a step moves, by kind of kernel"]
    for svg in drawn.values():
        assert ElementTree.fromstring(svg).tag.endswith("svg")
    assert plan_plots(MEASURED) == drawn  # the same record, the same bytes
    assert plan_plots(RECORD) != drawn  # a mark for what was measured
    assert plan_plots(replace(RECORD, guided_step="")) == {}


def test_the_page_is_whole_and_alone():
    page = assert_whole_and_alone(html_plans(MEASURED))
    assert len(page.sources) == 3  # an icon, two plots
    assert "Compiled 2026-11-26T00:00:00+00:00, not run" in html_plans(MEASURED)


@pytest.mark.parametrize("title", TITLES)
def test_a_document_gets_its_tables_from_records_of_plans(tmp_path, title):
    (tmp_path / "plan.json").write_text(RECORD.to_text())
    text = renewed(f"<!-- table: plan.json {title} -->\n<!-- /table -->", tmp_path)
    assert "Compiled 2026-11-26 by a compiler 1, not run." in text
    assert text.count("\n|") >= 3
