"""The command: what people type, what comes back, and what survives a kill."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image
from support.photos import make_photo
from support.runtime_system import CARD, write_toy_bundle

from dit4sr.runtime import cli
from dit4sr.runtime.batch.ledger import NAME as LEDGER
from dit4sr.runtime.bundles.presets import Preset
from dit4sr.runtime.cli import command
from dit4sr.runtime.console.command import run_command
from dit4sr.runtime.costs.probe import Sample
from dit4sr.runtime.image.colour import ColourFix
from dit4sr.runtime.image.photo import WRITABLE
from dit4sr.runtime.noise.streams import Rng, picture_seed
from dit4sr.runtime.sampling.solver import Solver

MAIN = "from dit4sr.runtime.cli import main; main()"


@pytest.fixture
def upscale(toy_bundle):
    """Run the command in this process; a few steps are enough."""

    def run(*arguments) -> int:
        words = [str(argument) for argument in arguments]
        return run_command(command, ["-m", str(toy_bundle), "--steps", "2", "--threads", "1", *words])

    return run


@pytest.fixture
def folder(tmp_path):
    """Three pictures, one of them deeper down, and what is none."""
    place = tmp_path / "in"
    (place / "deeper").mkdir(parents=True)
    for i, name in enumerate(["a.png", "b.jpg", "deeper/c.png"]):
        Image.fromarray(make_photo(8, 8, i)).save(place / name)
    (place / "notes.md").write_text("no picture")
    (place / ".hidden.png").write_text("no picture")
    return place


def names(folder: Path) -> list[str]:
    return sorted(
        p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file() and p.name != LEDGER
    )


def digests(folder: Path) -> dict[str, str]:
    return {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in names(folder)}


# ------------------------------------------------------------------------------------- inputs and outputs


def test_a_folder_becomes_a_folder(upscale, folder, tmp_path):
    assert upscale(folder, "-o", tmp_path / "out") == 0
    assert names(tmp_path / "out") == ["a.png", "b.jpg"]
    assert upscale("-i", folder, "-o", tmp_path / "all", "--recursive", "--suffix", "_x4", "-x", "webp") == 0
    assert names(tmp_path / "all") == ["a_x4.webp", "b_x4.webp", "deeper/c_x4.webp"]


def test_one_picture_becomes_a_file(upscale, folder, tmp_path):
    assert upscale(folder / "a.png", "-o", tmp_path / "new" / "big.jpg", "-s", "2") == 0
    with Image.open(tmp_path / "new" / "big.jpg") as image:
        assert (image.format, image.size) == ("JPEG", (16, 16))


def test_patterns_are_expanded_and_repeats_taken_once(upscale, folder, tmp_path):
    assert upscale(f"{folder}/*.png", folder / "a.png", folder, "-o", tmp_path / "out") == 0
    assert names(tmp_path / "out") == ["a.png", "b.jpg"]


def test_standard_input_and_output(toy_bundle, folder):
    done = subprocess.run(
        [sys.executable, "-c", MAIN, "-", "-o", "-", "-m", str(toy_bundle), "--steps", "1"],
        input=(folder / "a.png").read_bytes(),
        capture_output=True,
        check=True,
    )
    with Image.open(io.BytesIO(done.stdout)) as image:
        assert (image.format, image.size) == ("PNG", (32, 32))
    # One line in a pipe.
    assert re.fullmatch(r"1 picture restored in [0-9.]+ s, seed 0\n", done.stderr.decode())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "no INPUT"),
        (["{in}"], "no --output"),
        (["{in}/absent.png", "-o", "{out}"], "cannot be read"),
        (["{in}/*.tif", "-o", "{out}"], "no pictures"),
        (["{in}/notes.md", "-o", "{out}"], "no picture"),
        (["{in}", "-o", "-"], "2 pictures into one output"),
        (["-", "-o", "{out}"], "expected a file ending in"),
        (["{in}/a.png", "-o", "{out}.gif"], "not written as GIF; expected a file ending in png, jpg"),
        (["{in}", "-o", "{out}.heic"], "not written as HEIC; expected a file ending in png, jpg"),
        (["{in}", "-o", "{out}.png"], "2 pictures into one output, {out}.png; expected a folder for -o"),
        (["{in}", "-o", "{in}"], "is itself an input"),
        (["{in}", "-o", "{in}", "--overwrite"], "is itself an input"),
        (["{in}/a.png", "-o", "{in}/a.png", "--overwrite"], "is itself an input"),
        (["{in}", "-o", "{out}", "--seed", "x"], "no seed"),
        (["{in}", "-o", "{out}", "--seed", "-1"], "no seed"),
        (["{in}", "-o", "{out}", "--backend", "vulkan"], "no backend 'vulkan'"),
        (["{in}", "-o", "{out}", "--backend", "tensorrt"], "holds no engines"),
        (["{in}", "-o", "{out}", "--device", "cuda"], "no CUDA device"),
        (["{in}", "-o", "{out}", "--resume", "--overwrite"], "exclude one another"),
        (["{in}", "-o", "{out}", "--tile", "30"], "a multiple of 8"),
        (["{in}", "-o", "{out}", "--steps", "0"], "0 steps"),
        (["{in}", "-o", "{out}", "--prompt", "a cat"], "no text encoders"),
        (["{in}", "-o", "{out}", "--prompts", "{in}/notes.md"], "is no JSON"),
        (["{in}", "-o", "{out}", "--captioner", "absent-captioner"], "not installed"),
        (["{in}", "-o", "{out}", "--captioner", "false"], "status 1"),
        (["{in}", "-o", "{out}", "--captioner", "'"], "is no command"),
        (["{in}", "-o", "{in}/notes.md/out"], "Not a directory"),
        (["{in}", "-o", "{out}", "--json", "{in}"], "cannot be written"),
        (["{in}", "-o", "-", "--json", "-"], "cannot both go"),
    ],
)
def test_misuse_is_one_clear_line(upscale, folder, tmp_path, capfd, arguments, words):
    before = digests(folder)
    filled = [text.format(**{"in": folder, "out": tmp_path / "out"}) for text in arguments]
    assert upscale(*filled) in {2, 3, 4}
    error = capfd.readouterr().err
    assert words.format(**{"in": folder, "out": tmp_path / "out"}) in error
    assert "Traceback" not in error
    assert digests(folder) == before
    assert not (tmp_path / "out").exists() or names(tmp_path / "out") == []
    assert list(tmp_path.glob("out.*")) == []


def test_two_pictures_do_not_become_one(upscale, folder, tmp_path, capfd):
    Image.fromarray(make_photo(8, 8)).save(folder / "a.jpg")
    assert upscale(folder, "-o", tmp_path / "out", "-x", "png") == 2
    assert "a.jpg and a.png would both become" in capfd.readouterr().err


def test_a_bundle_that_is_none(folder, tmp_path, capfd):
    assert run_command(command, [str(folder), "-o", str(tmp_path / "out"), "-m", str(folder)]) == 2
    assert "holds no manifest.json" in capfd.readouterr().err


def test_choices_are_those_of_the_library():
    """They are spelled out in the command so that --help needs no NumPy."""
    assert tuple(each.value for each in Solver) == cli.SOLVERS
    assert tuple(each.value for each in Rng) == cli.RNGS
    assert tuple(each.value for each in ColourFix) == cli.COLOUR_FIXES
    assert set(cli.ENDINGS) - {"auto"} < set(WRITABLE)


# ------------------------------------------------------------------------------------ what is there already


def test_nothing_is_overwritten_unasked(upscale, folder, tmp_path, capfd):
    out = tmp_path / "out"
    out.mkdir()
    (out / "b.jpg").write_bytes(b"precious")
    assert upscale(folder, "-o", out) == 2
    assert "b.jpg exists" in capfd.readouterr().err
    assert names(out) == ["b.jpg"]  # found out before a.png was begun
    assert upscale(folder, "-o", out, "--resume") == 2
    assert "is not what this job made" in capfd.readouterr().err
    assert upscale(folder, "-o", out, "--skip-existing") == 0
    assert (out / "b.jpg").read_bytes() == b"precious"
    assert upscale(folder, "-o", out, "--overwrite") == 0
    assert (out / "b.jpg").read_bytes() != b"precious"


def test_bad_pictures_do_not_stop_the_others(upscale, folder, tmp_path, capfd):
    (folder / "a0.png").write_bytes(b"")
    (folder / "z.png").write_bytes((folder / "a.png").read_bytes()[:80])
    out = tmp_path / "out"
    assert upscale(folder, "-o", out) == 2
    assert names(out) == ["a.png"]
    assert upscale(folder, "-o", out, "--resume", "--continue-on-error", "--json", tmp_path / "log") == 9
    assert names(out) == ["a.png", "b.jpg"]
    assert "2 of 4 pictures failed" in capfd.readouterr().err
    records = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    assert [r["status"] for r in records] == ["skipped", "failed", "done", "failed"]
    assert records[1]["error"].endswith("a0.png is empty")


# ----------------------------------------------------------------------------------------------- records


def test_records_say_what_happened(upscale, folder, tmp_path, capsys):
    assert upscale(folder, "-o", tmp_path / "out", "--json", "-", "--seed", "7") == 0
    records = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(records) == 2
    first = records[0]
    assert first["seed"] == picture_seed(7, "a.png")
    assert first["job_seed"] == 7
    assert first["input_sha256"] == digests(folder)["a.png"]
    assert first["output_sha256"] == digests(tmp_path / "out")["a.png"]
    assert (first["input_size"], first["output_size"]) == ([8, 8], [32, 32])
    assert set(first["seconds"]) == {"text", "vae_encoder", "prepare", "step", "vae_decoder", "colour"}
    assert first["backend"] == "onnxruntime/cpu"
    assert "tensorrt passed over: the bundle holds no engines for it" in first["passed_over"]
    assert first["settings"]["steps"] == 2
    assert first["settings"]["guidance"] == 3.0  # the bundle's, filled in


def test_a_drawn_seed_is_in_the_last_line_and_in_every_record_and_repeats_the_job(
    upscale, folder, tmp_path, capfd
):
    assert upscale(folder, "-o", tmp_path / "first", "--seed", "random", "--json", "-") == 0
    printed = capfd.readouterr()
    [seed] = {json.loads(line)["job_seed"] for line in printed.out.splitlines()}
    assert printed.err.splitlines()[-1].endswith(f", seed {seed}")
    assert upscale(folder, "-o", tmp_path / "again", "--seed", seed) == 0
    assert digests(tmp_path / "again") == digests(tmp_path / "first")


def test_the_last_line_counts_what_became_of_the_pictures(upscale, folder, tmp_path, capfd):
    (folder / "z.png").write_bytes(b"")
    words = (folder, "-o", tmp_path / "out", "--continue-on-error")
    assert upscale(*words, "--seed", "3") == 9
    lines = capfd.readouterr().err.splitlines()
    assert re.fullmatch(r"2 pictures restored in [0-9.]+ s, 1 failed, seed 3", lines[-2])
    assert upscale(*words, "--skip-existing") == 9
    lines = capfd.readouterr().err.splitlines()
    assert re.fullmatch(r"0 pictures restored in [0-9.]+ s, 2 skipped, 1 failed, seed 0", lines[-2])


def test_a_picture_after_json_is_not_written_into(upscale, folder, tmp_path, capfd):
    before = digests(folder)
    assert upscale(folder / "a.png", "-o", tmp_path / "out", "--json", folder / "b.jpg") == 2
    assert "b.jpg holds something else than records; name another --json file" in capfd.readouterr().err
    assert digests(folder) == before
    assert not (tmp_path / "out").exists()


def test_records_are_added_to_those_that_are_there(upscale, folder, tmp_path, capfd):
    for expected in (1, 2):
        assert upscale(folder / "a.png", "-o", tmp_path / "out", "--force", "--json", tmp_path / "log") == 0
        assert len((tmp_path / "log").read_text().splitlines()) == expected
    assert upscale(folder / "a.png", "-o", tmp_path / "out", "--force", "--json") == 0
    assert json.loads(capfd.readouterr().out)["status"] == "done"


def test_standard_input_has_no_dry_run(upscale, tmp_path, capfd):
    assert upscale("-", "-o", tmp_path / "out.png", "--dry-run") == 2
    assert "standard input can be read only once; leave out --dry-run" in capfd.readouterr().err


def test_seeds_by_name_or_one_for_all(upscale, folder, tmp_path):
    (folder / "b.png").write_bytes((folder / "a.png").read_bytes())
    assert upscale(folder / "a.png", folder / "b.png", "-o", tmp_path / "own") == 0
    own = digests(tmp_path / "own")
    assert own["a.png"] != own["b.png"]
    assert upscale(folder / "a.png", folder / "b.png", "-o", tmp_path / "same", "--same-seed") == 0
    same = digests(tmp_path / "same")
    assert same["a.png"] == same["b.png"]


def test_a_dry_run_touches_nothing(upscale, folder, tmp_path, capsys):
    (folder / "bad.png").write_bytes(b"")
    assert upscale(folder, "-o", tmp_path / "out", "--dry-run") == 0
    printed = capsys.readouterr().out
    assert re.search(r"^a\.png +8×8 +32×32 ", printed, re.MULTILINE)
    assert "bad.png is empty" in printed
    assert "onnxruntime/cpu; tensorrt passed over" in printed
    assert not (tmp_path / "out").exists()


def test_a_dry_run_says_what_the_job_would_take(folder, tmp_path, capsys, monkeypatch):
    samples = {name: Sample(1.0, 2.0) for name in ("vae_encoder", "prepare", "step", "vae_decoder")}
    monkeypatch.setattr("dit4sr.runtime.costs.estimate.probe", lambda *_: samples)
    monkeypatch.setattr("dit4sr.runtime.batch.dry_run.free_disk", lambda _: 1000)
    words = [str(folder), "-o", str(tmp_path / "out"), "--steps", "3", "--dry-run"]
    assert run_command(command, words) == 0
    printed = capsys.readouterr().out
    # Opened once, and then 2 + 2 + 3 × 2 + 2 for each.
    assert "\ntime 28 s, measured\n" in printed
    assert re.search(r"^memory [0-9.]+ [MG]B, of [0-9.]+ GB available$", printed, re.MULTILINE)
    assert "\ndisk 6.1 kB at most, of 1.0 kB free: too little\n" in printed
    assert run_command(command, [*words, "--json"]) == 0
    records = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [record["status"] for record in records] == ["would restore"] * 2
    assert records[0]["seconds"] == 16
    assert records[0]["output_size"] == [32, 32]
    assert (records[0]["basis"], records[0]["exists"]) == ("measured", False)


def test_a_dry_run_of_a_bundle_that_tells_nothing_claims_no_time(upscale, folder, tmp_path, capsys):
    assert upscale(folder, "-o", tmp_path / "out", "--dry-run") == 0
    printed = capsys.readouterr().out
    assert "\nmemory " in printed
    assert "\ntime" not in printed


def test_plain_progress_is_a_line_a_picture(upscale, folder, tmp_path, capfd):
    assert upscale(folder, "-o", tmp_path / "out", "--progress", "plain") == 0
    lines = capfd.readouterr().err.splitlines()
    assert [line.split(":")[0] for line in lines[:-1]] == ["a.png", "b.jpg"]
    assert "32×32 in" in lines[0]


def test_a_terminal_sees_progress_and_time_left(toy_bundle, folder, tmp_path):
    import pty  # noqa: PLC0415 - not everywhere

    reader, writer = pty.openpty()
    steps = ["--steps", "1000"]
    process = subprocess.Popen(
        [sys.executable, "-c", MAIN, str(folder), "-o", str(tmp_path / "out"), "-m", str(toy_bundle), *steps],
        stderr=writer,
        stdout=subprocess.DEVNULL,
    )
    os.close(writer)
    seen = b""
    with os.fdopen(reader, "rb", buffering=0) as terminal:
        while True:
            try:
                part = terminal.read(1024)
            except OSError:  # how Linux says that the other side is closed
                break
            if not part:
                break
            seen += part
    assert process.wait() == 0
    text = seen.decode()
    assert "a.png: 32×32" in text
    assert "[1/2] a.png  " in text
    assert "  step " in text
    assert " left" in text


# -------------------------------------------------------------------------------------------- interruptions


def start(arguments: list[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", MAIN, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def wait_for(folder: Path, pictures: int) -> None:
    deadline = time.monotonic() + 60
    while len(list(folder.glob("*.png"))) < pictures:
        assert time.monotonic() < deadline
        time.sleep(0.002)


def test_killed_and_resumed_is_the_same_as_never_killed(toy_bundle, tmp_path):
    source, full, out = tmp_path / "in", tmp_path / "full", tmp_path / "out"
    source.mkdir()
    for i in range(50):
        Image.fromarray(make_photo(8 + i % 5, 8, i)).save(source / f"{i:02}.png")
    common = [str(source), "-m", str(toy_bundle), "--steps", "3", "--threads", "1"]
    assert run_command(command, [*common, "-o", str(full)]) == 0

    for pictures in (1, 9, 17, 33):
        process = start([*common, "-o", str(out), "--resume"])
        wait_for(out, pictures)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert process.returncode == -signal.SIGKILL
    finished = len(list(out.glob("*.png")))
    assert finished < 50

    log = tmp_path / "log"
    assert run_command(command, [*common, "-o", str(out), "--resume", "--json", str(log)]) == 0
    assert digests(out) == digests(full)
    assert not list(out.rglob("*.partial"))
    statuses = [json.loads(line)["status"] for line in log.read_text().splitlines()]
    assert statuses.count("skipped") == finished
    assert statuses.count("done") == 50 - finished


def test_interrupted_says_how_to_go_on(toy_bundle, tmp_path):
    """Once the first picture's record has been read, the job is on its way whatever the machine's speed."""
    (tmp_path / "in").mkdir()
    for name, side in (("a.png", 8), ("b.png", 96), ("c.png", 96)):  # thousands of steps for those of 96
        Image.fromarray(make_photo(side, side)).save(tmp_path / "in" / name)
    arguments = [str(tmp_path / "in"), "-o", str(tmp_path / "out"), "-m", str(toy_bundle), "--threads", "1"]
    process = start([*arguments, "--steps", "1000", "--tile", "8", "--json", "-"])
    assert b"a.png" in process.stdout.readline()
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 130
    lines = [line for line in error.decode().splitlines() if line]
    assert lines == ["stopped after 1 of 3; go on with --resume", "error: interrupted"]
    assert names(tmp_path / "out") == ["a.png"]


def test_resuming_doubts_what_has_changed(upscale, folder, tmp_path, capfd):
    out = tmp_path / "out"
    assert upscale(folder, "-o", out) == 0
    assert upscale(folder, "-o", out, "--resume") == 0
    before = digests(out)

    assert upscale(folder, "-o", out, "--resume", "--seed", "1") == 2  # another job
    assert "is not what this job made" in capfd.readouterr().err
    (out / "b.jpg").unlink()  # a line without its picture: to be made again
    assert upscale(folder, "-o", out, "--resume") == 0
    assert digests(out) == before
    (out / "a.png").write_bytes(b"edited")
    assert upscale(folder, "-o", out, "--resume") == 2
    assert (out / "a.png").read_bytes() == b"edited"


def test_a_ledger_that_was_cut_short_is_still_a_ledger(upscale, folder, tmp_path):
    out = tmp_path / "out"
    assert upscale(folder, "-o", out) == 0
    ledger = out / LEDGER
    ledger.write_bytes(ledger.read_bytes()[:-20])
    (out / "b.jpg").unlink()
    assert upscale(folder, "-o", out, "--resume") == 0
    assert upscale(folder, "-o", out, "--resume") == 0
    assert names(out) == ["a.png", "b.jpg"]


# ------------------------------------------------------------------------------------------------ presets


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
