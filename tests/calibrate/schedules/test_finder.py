"""The whole search on a small bundle: presets in its manifest, resuming, refusals in one line."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dit4sr.calibrate import cli
from dit4sr.calibrate.schedules import __main__ as documentation
from dit4sr.calibrate.schedules import timing
from dit4sr.calibrate.schedules.candidate import FEWER, REUSE
from dit4sr.calibrate.schedules.config import ScheduleConfig
from dit4sr.calibrate.schedules.finder import find_schedules
from dit4sr.calibrate.schedules.plot import draw
from dit4sr.calibrate.schedules.record import ScheduleRecord, read_schedule_record
from dit4sr.calibrate.schedules.report import as_markdown, as_page, as_text, rivals
from dit4sr.calibrate.study.page import BEGIN, END
from dit4sr.runtime import Settings, Upscaler
from dit4sr.runtime.bundles.bundle import Bundle
from dit4sr.runtime.bundles.manifest import MANIFEST
from dit4sr.runtime.console.command import run_command

STEPS, FLOOR = 8, 20.0


@pytest.fixture(scope="session")
def judged(tmp_path_factory) -> Path:
    """One photo that was not searched on, with its truth."""
    folder = tmp_path_factory.mktemp("judged")
    for name, side, seed in (("other.png", 8, 5), ("other-truth.png", 32, 5)):
        pixels = np.random.default_rng(seed).integers(60, 190, (side, side, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / name)
    return folder


def copied(bundle: Bundle, folder: Path) -> Path:
    shutil.copytree(bundle.path, folder)
    return folder


def config(bundle: Path, photos: Path, judged: Path, **changes) -> ScheduleConfig:
    made = ScheduleConfig(
        bundle,
        images=photos,
        held_out=judged,
        steps=STEPS,
        guidance=2.0,
        min_psnr=FLOOR,
        max_drop=5.0,
        threads=1,
        has_timing=False,
    )
    return replace(made, **changes)


@pytest.fixture(scope="module")
def searched(half_bundle, photos, judged, tmp_path_factory) -> tuple[Path, ScheduleRecord]:
    path = copied(half_bundle, tmp_path_factory.mktemp("searched") / "bundle")
    return path, find_schedules(config(path, photos, judged, has_timing=True))


def test_presets_are_in_the_manifest_and_lose_what_they_say(searched, judged):
    path, record = searched
    bundle = Bundle.open(path)
    bundle.verify()
    assert bundle.card.presets == record.presets
    exact, *others = bundle.card.presets
    assert (exact.name, exact.velocities, exact.solver) == ("exact", "g" * STEPS, "euler")
    assert exact.loss is not None
    assert exact.loss.psnr is None
    assert others, "this network is easy enough"
    for preset in others:
        assert preset.rows < exact.rows
        assert preset.loss.photos == 1
        [row] = [
            row for row in record.rows if (row.solver, row.velocities) == (preset.solver, preset.velocities)
        ]
        assert preset.loss.psnr == pytest.approx(row.psnr, abs=0.01)
    with Upscaler(bundle, threads=1, use_cache=False) as upscaler:
        runs = []
        upscaler.upscale(
            judged / "other.png", settings=Settings(preset=others[-1].name), progress=runs.append
        )
    assert [run.stage for run in runs].count("step") == sum(
        letter in "gu" for letter in others[-1].velocities
    )


def test_nothing_is_kept_that_fewer_steps_do_as_well(searched):
    _, record = searched
    kept = rivals(record)
    assert kept
    for row, rival in kept:
        assert rival is None or row.psnr > rival.psnr
    assert {FEWER, REUSE} <= {row.family for row in record.rows}


def test_presets_are_timed_anew_and_nothing_else_changes(
    searched, half_bundle, tmp_path, monkeypatch, capsys
):
    path, record = searched
    monkeypatch.setattr(timing, "TURNS", 1)
    file = tmp_path / "record.json"
    file.write_text(replace(record, remarks=("kept", "Timed while others worked")).to_text())
    assert run_command(documentation.command, [str(file), "--time", str(path)]) == 0
    found = read_schedule_record(file)
    assert found.timings.keys() == record.timings.keys()
    assert all(len(each.seconds) == 1 for each in found.timings.values())
    kept, said = found.remarks
    assert (kept, said.startswith("Timed anew on ")) == ("kept", True)
    assert replace(found, timings=record.timings, remarks=record.remarks) == record
    assert run_command(documentation.command, [str(file), "--time", str(half_bundle.path)]) == 2
    assert "has no preset exact" in capsys.readouterr().err


def test_the_record_comes_back_and_is_shown(searched, tmp_path):
    _, record = searched
    file, page, plot = tmp_path / "record.json", tmp_path / "page.md", tmp_path / "plot.svg"
    file.write_text(record.to_text())
    assert read_schedule_record(file) == record
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    assert run_command(documentation.command, [str(file), "--page", str(page), "--plot", str(plot)]) == 0
    text = page.read_text()
    assert as_markdown(record) in text
    assert "old" not in text
    assert plot.read_text() == draw(record)
    assert draw(record).count("<polyline") == len({row.family for row in record.rows[1:]})
    assert draw(record) in as_page(record)
    for preset in record.presets:
        assert preset.name in as_text(record)
        assert record.timings[preset.name].median > 0


class StoppedError(Exception):
    """The user's patience has ended."""


def test_a_search_that_was_stopped_goes_on_where_it_was(
    half_bundle, photos, judged, searched, tmp_path, monkeypatch
):
    path, counted, original = copied(half_bundle, tmp_path / "bundle"), [], Upscaler.upscale

    def upscale(self, *arguments, **choices):
        counted.append(choices["settings"].velocities)
        if len(counted) == stop_at:
            raise StoppedError
        return original(self, *arguments, **choices)

    monkeypatch.setattr(Upscaler, "upscale", upscale)
    stop_at = 20
    with pytest.raises(StoppedError):
        find_schedules(config(path, photos, judged))
    assert Bundle.open(path).card.presets == ()
    first, stop_at = len(counted), 0
    counted.clear()
    record = find_schedules(config(path, photos, judged))
    assert [(row.velocities, row.psnr) for row in record.rows] == [
        (row.velocities, row.psnr) for row in searched[1].rows
    ]
    resumed = len(counted)
    counted.clear()
    again = find_schedules(config(path, photos, judged))
    assert not counted, "all is known"
    assert again.rows == record.rows
    assert resumed > first / 2
    with pytest.raises(Exception, match="found with another exact schedule"):
        find_schedules(config(path, photos, judged, steps=6))


def test_a_bundle_that_has_an_exact_preset_is_held_against_it(searched, photos, judged):
    path, record = searched
    again = find_schedules(config(path, photos, judged, steps=None, guidance=None))
    assert again.rows[0].velocities == record.rows[0].velocities
    assert again.guidance == record.guidance


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--schedule"], "no BUNDLE"),
        (["{bundle}", "--schedule", "--precision", "int8"], "--precision is not for --schedule"),
        (["{bundle}", "--schedule", "--steps", "2", "--images", "{photos}"], "an exact schedule of 2 steps"),
        (["{bundle}", "--schedule", "--images", "{photos}/none"], "no folder"),
        (["{bundle}", "--html", "page.html"], "--html is for --schedule"),
        (["{bundle}/none", "--schedule"], "no bundle at"),
    ],
)
def test_what_cannot_be_searched_is_refused_in_one_line(half_bundle, photos, words, said, capsys):
    filled = [word.format(bundle=half_bundle.path, photos=photos) for word in words]
    assert run_command(cli.command, filled) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert said in lines[-1]
    assert Bundle.open(half_bundle.path).card.presets == ()


def test_the_command_writes_presets_page_and_record(half_bundle, photos, judged, tmp_path, capsys):
    path, page, file = copied(half_bundle, tmp_path / "bundle"), tmp_path / "page.html", tmp_path / "r.json"
    words = [
        "--images",
        photos,
        "--held-out",
        judged,
        "--steps",
        4,
        "--guidance",
        2,
        "--min-psnr-to-exact",
        20,
    ]
    more = ["--html", page, "--json", file, "--no-timing", "--threads", 1]
    line = [path, "--schedule", *words, *more]
    assert run_command(cli.command, [str(word) for word in line]) == 0
    out, err = capsys.readouterr()
    assert "exact" in out
    assert err == "", "quiet in a pipe"
    assert page.read_text().startswith("<!doctype html>")
    assert json.loads(file.read_text())["judged_by"] == ["other.png"]
    assert json.loads((path / MANIFEST).read_text())["model"]["presets"][0]["name"] == "exact"
