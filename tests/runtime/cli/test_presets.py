"""Presets by the command line."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from support.runtime_system import CARD, write_toy_bundle

from dit4sr.runtime.bundles.presets import Preset
from dit4sr.runtime.cli import command
from dit4sr.runtime.console.command import run_command


@pytest.fixture
def measured_bundle(tmp_path) -> Path:
    preset = Preset("fast", 6, "ab2", 2.5, "gguhhu")
    return write_toy_bundle(tmp_path / "measured", card=replace(CARD, presets=(preset,)))


def record_of_one(folder: Path, tmp_path: Path, *words: object) -> dict:
    out, file = tmp_path / f"out{len(words)}", tmp_path / f"{len(words)}.json"
    line = [folder / "a.png", "-o", out, "--json", file, "--threads", "1", *words]
    assert run_command(command, [str(word) for word in line]) == 0
    return json.loads(file.read_text())


def test_a_preset_is_taken_and_recorded_and_overridden(measured_bundle, folder, tmp_path):
    record = record_of_one(folder, tmp_path, "-m", measured_bundle, "--preset", "fast")
    assert record["settings"]["preset"] == "fast"
    assert (record["settings"]["steps"], record["settings"]["solver"]) == (6, "ab2")
    assert record["schedule"]["velocities"] == "gguhhu"
    assert (record["schedule"]["runs"], record["schedule"]["rows"]) == (4, 6)
    other = record_of_one(folder, tmp_path, "-m", measured_bundle, "--preset", "fast", "--steps", "3")
    assert (other["settings"]["solver"], other["schedule"]["velocities"]) == ("ab2", "ggg")
    assert other["output_sha256"] != record["output_sha256"]


def test_a_preset_that_no_bundle_has_is_wrong_usage(upscale, folder, tmp_path, capsys):
    assert upscale(folder / "a.png", "-o", tmp_path / "a.png", "--preset", "fast") == 2
    assert "no preset 'fast': this bundle has none" in capsys.readouterr().err
