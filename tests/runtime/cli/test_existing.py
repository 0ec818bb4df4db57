"""What is there already is never lost, and what is bad stops nothing else."""

from __future__ import annotations

import json

from support.outputs import names


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
