"""What is told of a job: records, the last line, dry runs, progress."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys

from support.outputs import digests

from dit4sr.runtime.cli import command
from dit4sr.runtime.console.command import run_command
from dit4sr.runtime.costs.probe import Sample
from dit4sr.runtime.noise.streams import picture_seed

MAIN = "from dit4sr.runtime.cli import main; main()"


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
