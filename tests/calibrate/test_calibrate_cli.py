"""``dit4sr-calibrate``: options, exit codes, and what is printed."""

from __future__ import annotations

import json
import re

import pytest
from support.quantised_system import MATMULS

from dit4sr.calibrate import cli, speed
from dit4sr.calibrate.__main__ import command as study_command
from dit4sr.calibrate.speed import LEAST_PAIRS
from dit4sr.calibrate.study import study
from dit4sr.calibrate.study.page import BEGIN, END
from dit4sr.runtime.console.command import run_command


def run(*arguments: object) -> int:
    return run_command(cli.command, [str(argument) for argument in arguments])


def test_a_run_prints_what_it_did(half_bundle, photos, observed, tmp_path, capsys):
    options = ["--images", photos, "--held-out", photos, "--statistics", observed[1], "--threads", 1]
    limits = ["--min-psnr", 20, "--max-psnr-drop", 2, "--no-sensitivity"]
    output = tmp_path / "quantised"
    assert run(half_bundle.path, "-o", output, *options, *limits, "--json") == 0
    out, err = capsys.readouterr()
    said = json.loads(out)
    assert said["precision"] == "fp8"
    assert said["speed"]["backend"] == "onnxruntime/cpu"
    assert len(said["speed"]["before"]) == len(said["speed"]["after"]) >= LEAST_PAIRS
    assert "not measured" in said["speed"]["elsewhere"]
    assert json.loads((output / "calibration.json").read_text())["speed"] is None, "no property of a bundle"
    assert err == "", "quiet in a pipe"
    assert run(half_bundle.path, "-o", output, *options, *limits) == 2
    assert "or replace it with --force" in capsys.readouterr().err
    assert run(half_bundle.path, "-o", output, *options, "--no-sensitivity", "--min-psnr", 99, "--force") == 6
    assert json.loads((output / "calibration.json").read_text())["precision"] == "fp8"
    smaller = ["--weights-only", "int4", "--images", photos, "--threads", 1, *limits[:4]]
    assert run(half_bundle.path, "-o", tmp_path / "small", *smaller, "--min-psnr", 5) == 0
    out = capsys.readouterr().out
    assert "int4 weights, evaluated on 1 photo" in out
    assert "\na step here: " in out


def test_timing_can_be_left_out_and_is_where_both_bundles_have_no_room(
    half_bundle, photos, tmp_path, monkeypatch, capsys
):
    options = ["--weights-only", "int4", "--images", photos, "--threads", 1, "--min-psnr-rgb", 5, "--force"]
    assert run(half_bundle.path, "-o", tmp_path / "small", *options, "--no-timing") == 0
    assert "a step here" not in capsys.readouterr().out
    monkeypatch.setattr(speed, "fits_in_memory", lambda _bundle: False)
    assert run(half_bundle.path, "-o", tmp_path / "small", *options) == 0
    out = capsys.readouterr().out
    assert "a step here" not in out
    assert "not timed: too large to be open together" in out


def test_the_record_goes_into_a_file_beside_the_tables(half_bundle, photos, tmp_path, capsys):
    record = tmp_path / "record.json"
    options = ["--weights-only", "int4", "--images", photos, "--threads", 1, "--json", record]
    assert run(half_bundle.path, "-o", tmp_path / "small", *options, "--min-psnr-rgb", 5) == 0
    assert "int4 weights, evaluated on 1 photo" in capsys.readouterr().out
    assert json.loads(record.read_text())["precision"] == "int4 weights"
    assert run(half_bundle.path, "-o", tmp_path / "other", *options, "--min-psnr-rgb", 5) == 2
    assert "record.json exists; choose another name, or replace it with --force" in capsys.readouterr().err
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["nowhere"], 2, "no bundle at nowhere"),
        (["--precision", "fp4"], 2, "fp4"),
        (["BUNDLE", "--images", "nowhere"], 2, "no folder nowhere"),
        (["BUNDLE", "--switch-scales-at", "2"], 2, "add --form onnxruntime"),
        (["BUNDLE", "--method", "mse", "--smooth"], 2, "add --no-smooth"),
    ],
)
def test_bad_input_gets_one_line(half_bundle, tmp_path, monkeypatch, capsys, arguments, code, message):
    monkeypatch.chdir(tmp_path)
    assert run(*(half_bundle.path if a == "BUNDLE" else a for a in arguments)) == code
    err = capsys.readouterr().err
    assert message in err
    assert "Traceback" not in err
    assert not list(tmp_path.iterdir())


def test_damaged_statistics_have_their_own_code(half_bundle, photos, tmp_path, capsys):
    (tmp_path / "seen.npz").write_bytes(b"PK\3\4 nonsense")
    options = ["--images", photos, "--statistics", tmp_path / "seen.npz", "-o", tmp_path / "out"]
    assert run(half_bundle.path, *options) == 5
    assert "no calibration, or a damaged one" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_the_study_fills_its_page(half_bundle, photos, tmp_path, monkeypatch, capsys):
    page, picture = tmp_path / "page.md", tmp_path / "side.png"
    page.write_text(f"# Before\n{BEGIN}\nold\n{END}\nafter\n")
    every = study.recipes
    shown = [
        "FP8, amax, one scale per weight",
        "INT8, amax, one per output",
        "INT8, SmoothQuant, one per output",
        "INT8, amax of the early steps only",
        "INT8, two sets, switched at step 2",
    ]
    monkeypatch.setattr(study, "recipes", lambda steps: {name: every(steps)[name] for name in shown})
    options = ["--images", photos, "--steps", 2, "--threads", 1, "--page", page, "--picture", picture]
    assert run_command(study_command, [str(option) for option in (half_bundle.path, *options)]) == 0
    text = page.read_text()
    assert text.startswith("# Before\n")
    assert text.endswith("\nafter\n")
    assert "old" not in text
    rows = [line.split(" | ")[0].removeprefix("| ") for line in text.splitlines() if " dB |" in line]
    ways = [*shown, *(f"weights only, {bits}" for bits in ("int8", "fp8", "int4"))]
    assert rows[: len(ways)] == ways
    assert {name.strip("`") for name in rows[len(ways) :]} == set(MATMULS)
    assert re.search(
        r"INT8: with scales of the early steps alone .* PSNR \(RGB\) to FP16 by [+-]\d\.\d\d dB\.", text
    )
    assert "FP8: with" not in text
    assert "times as long while it is observed" in text
    from PIL import Image  # noqa: PLC0415

    assert Image.open(picture).size == (5 * 32, 32)
    assert capsys.readouterr().out.strip() in text
    names = every(4)
    assert len(names) == 22
    assert {recipe.format.name for recipe in names.values()} == {"fp8", "int8"}
