"""The command: what it refuses, and one whole run on a small system."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from PIL import Image
from support.runtime_system import CARD, write_toy_bundle

from dit4sr.bench.cli import ABLATIONS, BASELINES, command
from dit4sr.bench.measure import limit_probe
from dit4sr.bench.pictures import drawn_picture
from dit4sr.bench.record import OURS, read_record
from dit4sr.runtime.console.command import run_command

QUICK = ["--steps", "2", "-w", "1", "-r", "3", "--min-time", "0", "--max-time", "0.1", "--threads", "1"]


@pytest.fixture(autouse=True)
def quick_limits(monkeypatch):
    """What the machine can do at best is not what these tests are about."""
    monkeypatch.setattr(limit_probe, "LEAST_SECONDS", 0.001)
    monkeypatch.setattr(limit_probe, "SIDES", (64,))
    monkeypatch.setattr(limit_probe, "COPIED", 2 * limit_probe.SLICE)


@pytest.fixture(scope="module")
def photo(tmp_path_factory):
    """One that makes one tile."""
    file = tmp_path_factory.mktemp("photo") / "photo.png"
    side = CARD.training_tile * CARD.vae_factor // 4
    Image.fromarray(drawn_picture(side, side).pixels).save(file)
    return str(file)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    tile, pixels = CARD.training_tile, CARD.training_tile * CARD.vae_factor
    fixed = {"h": tile, "w": tile, "H": pixels, "W": pixels}
    return write_toy_bundle(tmp_path_factory.mktemp("bundle") / "toy", fixed=fixed)


def test_a_whole_run(bundle, photo, tmp_path, capsys):
    """Every form of report at once, and the record says what the reports show."""
    files = {form: tmp_path / f"r.{form}" for form in ("json", "markdown", "html")}
    outputs = [word for form, file in files.items() for word in (f"--{form}", str(file))]
    options = [
        "--baseline",
        "none",
        "--cold",
        "1",
        "--batches",
        "2",
        "--ablate",
        "guidance-interval,prepare",
        "--picture",
        photo,
    ]
    assert run_command(command, [str(bundle), *QUICK, *options, *outputs, "--explain"]) == 0
    record = read_record(files["json"])
    scopes = {series.scope for series in record.series}
    assert {"cold start", "picture", "step", "stage step", "stage vae_decoder"} <= scopes
    assert len(record.find("step", OURS).seconds) == 3
    assert len(record.find("step", OURS).warmups) == 1
    assert [row.optimisation for row in record.ablations] == ["guidance-interval", "prepare"]
    assert record.sweep[0].images == 2
    assert record.peak_bytes["host, dit4sr, one picture"] > 10_000_000
    assert record.environment.copy_bandwidth > 1e7
    assert "WHAT HOLDS IT BACK" in capsys.readouterr().out
    assert "## Latency" in files["markdown"].read_text()
    assert files["html"].read_text().startswith("<!doctype html>")
    assert run_command(command, [str(bundle), *outputs]) == 2  # they are there
    assert "--force" in capsys.readouterr().err


def test_an_accuracy_gate_exits_with_6_after_the_report(bundle, photo, capsys):
    options = [
        "--baseline",
        "none",
        "--cold",
        "0",
        "--no-roofline",
        "--reference",
        str(bundle),
        "--json",
        "-",
    ]
    assert (
        run_command(command, [str(bundle), *QUICK, *options, "--picture", photo, "--min-psnr-y", "101"]) == 6
    )
    captured = capsys.readouterr()
    [row] = [row for row in json.loads(captured.out)["accuracy"] if row["against"] == "FP32"]
    assert (row["psnr"], row["max_error"], row["worst_step_error"]) == (100.0, 0, 0.0)
    assert "PSNR (Y) 100.00 dB; expected 101 dB at least" in captured.err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["nowhere"], "no bundle at nowhere"),
        (["--baseline", "magic"], "--baseline 'magic'"),
        (["--baseline", "eager,none"], "--baseline 'none'"),
        (["--ablate", "everything"], "--ablate 'everything'"),
        (["--sizes", "12y"], "is not a size"),
        (["--batches", "0"], "no batch sizes"),
        (["--truth", "x.png"], "--truth is that of a --picture"),
        (["--json", "-", "--markdown", "-"], "only one of"),
        (["--json", "/nowhere/at/all.json"], "cannot be written"),
        (["--compare", "x.json", "y.json"], "x.json cannot be read"),
        (["--picture", "x.png"], "x.png cannot be read"),
    ],
)
def test_wrong_usage_is_one_line_and_2(bundle, arguments, says, capsys):
    given = arguments if arguments == ["nowhere"] or "--compare" in arguments else [str(bundle), *arguments]
    assert run_command(command, given) == 2
    error = capsys.readouterr().err
    assert says in error
    assert "Traceback" not in error


def test_a_bundle_whose_axes_are_not_ours_is_refused_in_one_line(tmp_path, photo, capsys):
    other = write_toy_bundle(tmp_path / "other")
    assert (
        run_command(command, [str(other), *QUICK, "--cold", "0", "--baseline", "none", "--picture", photo])
        == 2
    )
    error = capsys.readouterr().err
    assert "an axis is 'h'; expected arithmetic on" in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["--sizes", "100"], 2, "a picture of 100×100"),
        (["--iqa", "musiq"], 3, "not installed: pyiqa"),
        (["--checkpoint", "nowhere"], 2, "no checkpoint at nowhere"),
        (["--reference", "nowhere"], 2, "no bundle at nowhere"),
    ],
)
def test_what_could_only_fail_later_is_refused_before_anything_is_measured(
    bundle, photo, arguments, code, says, capsys, monkeypatch
):
    def nothing_is_measured(*_):
        raise AssertionError("measured")

    monkeypatch.setattr("dit4sr.bench.measure.latency.Latency.cold_starts", nothing_is_measured)
    monkeypatch.setitem(sys.modules, "pyiqa", None)
    assert run_command(command, [str(bundle), *QUICK, "--picture", photo, *arguments]) == code
    assert says in capsys.readouterr().err


def test_sizes_that_the_engine_does_not_take_are_noted(bundle, photo, capsys):
    options = ["--cold", "0", "--baseline", "none", "--no-roofline", "--sizes", "64", "--picture", photo]
    assert run_command(command, [str(bundle), *QUICK, *options]) == 0
    shown = capsys.readouterr().out
    assert "a step at 64×64, batch 1: this bundle's step is fixed to another" in shown
    assert "ONE STEP AT OTHER SIZES" not in shown


def test_a_bundle_that_does_not_name_its_network_is_measured_without_torch(bundle, photo, capsys):
    """As those that older versions exported: by default a note, if asked for one line."""
    options = ["--cold", "0", "--no-roofline", "--picture", photo]
    assert run_command(command, [str(bundle), *QUICK, *options]) == 0
    assert "does not name its network; export it anew" in capsys.readouterr().out
    assert run_command(command, [str(bundle), *QUICK, *options, "--baseline", "eager"]) == 2
    assert "does not say of which network it was made" in capsys.readouterr().err


def test_names_are_those_of_the_modules():
    """The command lists them itself, so that --help need not import NumPy."""
    from dit4sr.bench.baselines import ablations  # noqa: PLC0415
    from dit4sr.bench.baselines import calls as baselines  # noqa: PLC0415
    from dit4sr.export import architectures  # noqa: PLC0415

    own = architectures.named(architectures.DEFAULT).ablations
    assert {*own, *ablations.GENERAL} == set(ABLATIONS)
    assert len(own) + len(ablations.GENERAL) == len(ABLATIONS)
    assert (baselines.EAGER, baselines.COMPILED, baselines.PLAIN) == BASELINES


def test_help_needs_no_numpy():
    script = (
        "import sys\nfrom dit4sr.bench.cli import command\n"
        "from dit4sr.runtime.console.command import run_command\n"
        "assert run_command(command, ['--help']) == 0\n"
        "assert not {'numpy', 'torch', 'onnxruntime'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
