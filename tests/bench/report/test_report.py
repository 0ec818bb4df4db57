"""The record in its four forms."""

from __future__ import annotations

import base64
import json
import re
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from support.html import assert_whole_and_alone
from support.records import record

from dit4sr.bench.record import OURS, read_record
from dit4sr.bench.report.explanation import explain
from dit4sr.bench.report.html import html_report
from dit4sr.bench.report.markdown import markdown_report
from dit4sr.bench.report.plots import plots
from dit4sr.bench.report.tables import command, renewed
from dit4sr.bench.report.terminal import terminal_report
from dit4sr.bench.report.units import format_flops, format_rate, format_seconds
from dit4sr.runtime.console.command import run_command
from dit4sr.runtime.errors import BadInputError

REPOSITORY = Path(__file__).parents[3]


def test_a_record_comes_back_as_it_was(tmp_path):
    file = tmp_path / "r.json"
    file.write_text(record().to_text())
    assert read_record(file) == record()


def test_a_record_of_the_former_version_is_read(tmp_path):
    former = json.loads(record().to_text())
    former["schema"] = 1
    former["accuracy"] = [row for row in former["accuracy"] if row.pop("made_by") == OURS]
    assert former.pop("kept")
    (tmp_path / "r.json").write_text(json.dumps(former))
    found = read_record(tmp_path / "r.json")
    assert [row.made_by for row in found.accuracy] == [OURS]
    assert found.kept is None
    assert "cat against truth" in markdown_report(found)


def test_every_section_is_in_every_form():
    titles = [
        "Latency",
        "Against the alternatives",
        "Against the published figure",
        "Roofline",
        "Accuracy",
        "Optimisations switched off",
        "One step at other sizes",
        "Peak memory",
        "Not measured",
    ]
    terminal, markdown, page = terminal_report(record()), markdown_report(record()), html_report(record())
    for title in titles:
        assert title.upper() in terminal
        assert f"## {title}" in markdown
        assert f"<h2>{title}</h2>" in page
    assert "2.00× (1.90 to 2.10)" in terminal
    for form in (terminal, markdown, page):
        assert "cat against truth" in form
        assert "cat, bicubic, against truth" in form


def test_a_busy_machine_is_named_in_every_form():
    busy = replace(record(), environment=replace(record().environment, is_busy=True, load=3.5))
    for shown in (terminal_report(busy), markdown_report(busy), html_report(busy)):
        assert "BUSY MACHINE: other work took 3.5 of 2 cores" in shown


def test_the_explanation_names_the_culprit():
    said = " ".join(explain(record()))
    assert "What holds the step back most is norms, modulation, sums" in said
    assert "50% shorter" in said  # six of twelve milliseconds
    assert "decoding the picture takes the most" in said


def test_the_page_is_whole_and_alone():
    picture = np.random.default_rng(0).integers(0, 256, (16, 24, 3), dtype=np.uint8)
    text = html_report(record(), [("given", picture), ("restored", picture)])
    page = assert_whole_and_alone(text)
    assert len(page.sources) == 5  # an icon, two pictures, two plots
    assert "<tiny>" not in text  # what a bundle calls itself is no markup
    assert "width=device-width" in text


def test_plots_are_drawings_of_the_groups():
    drawn = plots(record())
    assert list(drawn) == ["Roofline", "Where the time of a step goes"]
    for svg in drawn.values():
        assert ElementTree.fromstring(svg).tag.endswith("svg")
        assert float(ElementTree.fromstring(svg).get("width").removesuffix("pt")) <= 3.6 * 72 + 1
    assert plots(record()) == drawn  # the same record, the same bytes
    assert plots(replace(record(), groups=())) == {}


def test_without_matplotlib_the_page_says_so(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    page = html_report(record())
    assert "Plots left out: not installed: matplotlib" in page
    assert "svg" not in page


def test_pictures_survive(tmp_path):
    from PIL import Image  # noqa: PLC0415

    picture = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    text = html_report(replace(record(), groups=()), [("given", picture)])
    code = re.search(r'src="data:image/png;base64,([^"]+)"', text)[1]
    (tmp_path / "p.png").write_bytes(base64.b64decode(code))
    assert np.array_equal(np.asarray(Image.open(tmp_path / "p.png")), picture)


def test_tables_are_renewed_and_checked(tmp_path, capsys):
    (tmp_path / "r.json").write_text(record().to_text())
    document = tmp_path / "README.md"
    document.write_text("before\n<!-- table: r.json Latency -->\nstale\n<!-- /table -->\nafter\n")
    options = ["--records", str(tmp_path)]
    assert run_command(command, [str(document), *options, "--check"]) == 5
    assert "make tables" in capsys.readouterr().err
    assert run_command(command, [str(document), *options]) == 0
    text = document.read_text()
    assert "| cold start |" in text
    assert "stale" not in text
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert renewed(text, tmp_path) == text
    assert run_command(command, [str(document), *options, "--check"]) == 0


def test_a_table_that_no_record_has_is_refused(tmp_path):
    (tmp_path / "r.json").write_text(record().to_text())
    with pytest.raises(BadInputError, match="no section 'Nothing'"):
        renewed("<!-- table: r.json Nothing -->\n<!-- /table -->", tmp_path)


def test_what_was_not_measured_says_so_until_it_is(tmp_path):
    block = "<!-- table: later.json Latency -->\n<!-- /table -->"
    assert "Not measured yet" in renewed(block, tmp_path)
    (tmp_path / "later.json").write_text(record().to_text())
    found = renewed(renewed(block, tmp_path), tmp_path)
    assert "Not measured yet" not in found
    assert "| cold start |" in found


@pytest.mark.parametrize(
    "text",
    [
        "<!-- table: r.json Latency -->\n",
        "<!-- table: r.json Latency -->\n<!-- table: r.json Roofline -->\n<!-- /table -->\n",
    ],
)
def test_a_block_without_an_end_is_refused(tmp_path, text):
    """It would swallow what follows it."""
    (tmp_path / "r.json").write_text(record().to_text())
    with pytest.raises(BadInputError, match="has no end"):
        renewed(text, tmp_path)


def test_tables_of_this_repository_are_what_their_records_say():
    documents = [str(REPOSITORY / name) for name in ("README.md", "docs/bench.md", "docs/systems.md")]
    assert run_command(command, [*documents, "--check", "--records", str(REPOSITORY / "bench/results")]) == 0


def test_units():
    assert [format_seconds(v) for v in (1234, 5.61, 0.0123, 4e-5)] == ["1234 s", "5.61 s", "12.3 ms", "40 µs"]
    assert (format_rate(3e12), format_rate(2.5e9)) == ("3 TFLOP/s", "2.5 GFLOP/s")
    assert (format_flops(375.5e12), format_flops(2e9)) == ("375.5 TFLOP", "2 GFLOP")
