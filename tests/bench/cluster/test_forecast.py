"""What is said of clusters that nobody here has: it follows from its formulas, and the page says the same."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from dit4sr.bench.cluster.block import renewed
from dit4sr.bench.cluster.forecast import MARK, Forecast, Job, command, seconds_predicted
from dit4sr.bench.cluster.page import MARK as MEASURED
from dit4sr.bench.cluster.page import table
from dit4sr.runtime.cluster.job import AHEAD, MOST_TASKS
from dit4sr.runtime.console.command import run_command
from dit4sr.runtime.errors import BadInputError
from dit4sr.runtime.files.json_file import read_json

ROOT = Path(__file__).parents[3]
PAGE, RECORD = ROOT / "docs" / "cluster.md", ROOT / "bench" / "results" / "ray-cpu.json"
JOB = Job(
    pictures=7200,
    picture_seconds=2.0,
    slowest=5.0,
    read_bytes=1e6,
    written_bytes=3e6,
    bundle_bytes=10e9,
    opening_seconds=20.0,
    storage=1e9,
    price=3.0,
)


def test_a_job_is_its_start_its_pictures_and_its_end():
    found = Forecast(JOB, 4)
    assert found.rate == 2.0
    assert found.start == 4 * 10 + 20
    assert found.end == (AHEAD - 1 + 5) * 2
    assert found.seconds == 60 + 3600 + 12
    assert found.at_work == pytest.approx(3600 / 3672)
    assert found.cost == pytest.approx(4 * 3672 / 3600 * 3)
    assert found.limit == "GPUs"


def test_storage_limits_what_the_gpus_could_do():
    found = Forecast(JOB, 1000)
    assert (found.computed, found.rate, found.limit) == (500.0, 250.0, "storage")


def test_what_is_left_of_a_short_job_is_the_opening_of_the_bundle():
    assert Forecast(replace(JOB, pictures=100), 10).limit == "opening the bundle"
    local = replace(JOB, pictures=100, bundle_bytes=0.0, opening_seconds=0.0, slowest=100.0)
    assert Forecast(local, 10).limit == "the last pictures"


def test_of_very_many_pictures_a_task_has_several_and_the_end_is_longer():
    assert Forecast(replace(JOB, pictures=100 * MOST_TASKS), 4).end == (AHEAD * 100 - 1 + 5) * 2


def test_the_seconds_of_a_picture_are_a_prediction_of_a_record():
    assert 1 < seconds_predicted(ROOT / "bench" / "results" / "plan-full-fp16.json", "A100-80") < 3
    with pytest.raises(BadInputError, match="predicts no picture on Voodoo"):
        seconds_predicted(ROOT / "bench" / "results" / "plan-full-fp16.json", "Voodoo")


def test_the_page_says_what_the_code_computes(monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    assert run_command(command, []) == 0
    lines = capsys.readouterr().out.splitlines()
    page = PAGE.read_text()
    assert renewed(page, MARK, lines) == page
    assert "Predicted, not measured" in page


def test_the_page_says_what_was_measured():
    page = PAGE.read_text()
    assert renewed(page, MEASURED, table(read_json(RECORD))) == page


def test_the_record_holds_what_it_is_there_to_show():
    record = read_json(RECORD)
    for trial in ("equal", "kills"):
        assert record[trial]["records"] == 200
        assert record[trial]["records_are_equal"]
        assert record[trial]["pictures_are_equal"]
    for trial in ("resumed_over_the_cluster", "resumed_by_one_process"):
        assert record[trial]["pictures_are_equal"]


def test_a_page_without_the_part_is_refused():
    with pytest.raises(BadInputError, match="no part 'forecast'"):
        renewed("nothing", MARK, [])
