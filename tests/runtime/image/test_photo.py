"""Picture files of every kind, through the command: a restored picture, or one line."""

from __future__ import annotations

import io
import os
import stat
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, TiffImagePlugin
from support.runtime_pictures import (
    odd_pictures,
    oriented,
    pages,
    pixels,
    png,
    png_of_chunks,
    profile,
    saved,
    transparent,
)

from dit4sr.runtime.cli import command
from dit4sr.runtime.console.command import run_command
from dit4sr.runtime.errors import BadInputError, OutOfMemoryError
from dit4sr.runtime.files import drafts
from dit4sr.runtime.files.whole import write_whole
from dit4sr.runtime.image.photo import Photo, read_content, read_photo
from dit4sr.runtime.image.writing import write_photo

ODD = odd_pictures()
LIMIT = 1_000_000


def read(content: bytes) -> Photo:
    return read_photo(content, most_pixels=LIMIT)


def test_the_corpus_is_large():
    assert len({odd.file for odd in ODD}) == len(ODD) >= 60


@pytest.mark.parametrize("odd", ODD, ids=lambda odd: odd.file)
def test_every_file_has_its_stated_outcome(odd, toy_bundle, tmp_path, capfd):
    source, out = tmp_path / odd.file, tmp_path / "out"
    source.write_bytes(odd.content)
    code = run_command(
        command, [str(source), "-o", str(out), "-m", str(toy_bundle), "--steps", "1", f"--max-pixels={LIMIT}"]
    )
    error = capfd.readouterr().err
    assert source.read_bytes() == odd.content
    assert "Traceback" not in error
    written = [path for path in out.glob("*") if not path.name.startswith(".")] if out.exists() else []
    assert not list(tmp_path.rglob("*.partial"))
    if odd.refusal:
        assert code == 2
        assert odd.refusal in error
        assert error.startswith("error: ")
        assert error.count("\n") == 1
        assert written == []
        return
    assert code == 0, error
    assert odd.warning in error
    *warned, last = error.splitlines()
    assert len(warned) == bool(odd.warning)
    assert last.startswith("1 picture restored in ")
    [result] = written
    with Image.open(result) as image:
        assert image.mode == odd.mode
        assert image.size == (odd.size[0] * 4, odd.size[1] * 4)


def test_orientation_is_applied_once_and_exif_kept():
    for turn, transpose in ((3, Image.Transpose.ROTATE_180), (6, Image.Transpose.ROTATE_270)):
        photo = read(oriented(turn))
        with Image.open(io.BytesIO(oriented(turn))) as raw:
            np.testing.assert_array_equal(photo.rgb, np.asarray(raw.transpose(transpose)))
        with Image.open(io.BytesIO(write_photo(photo, "JPEG")[0])) as again:
            assert 0x0112 not in again.getexif()
            assert again.getexif()[0x010E] == "a description"


@pytest.mark.parametrize("format_name", ["PNG", "JPEG", "WEBP", "TIFF"])
def test_profile_and_exif_survive_every_format(format_name):
    photo = Photo(pixels(), exif=read(oriented(3)).exif, icc=profile())
    with Image.open(io.BytesIO(write_photo(photo, format_name)[0])) as image:
        assert image.info["icc_profile"] == profile()
        assert image.getexif()[0x010E] == "a description"


def test_jpeg_lays_transparency_on_white_and_says_so():
    content, lost = write_photo(Photo(np.zeros((9, 12, 3), np.uint8), np.zeros((9, 12), np.uint8)), "JPEG")
    assert "laid on white" in lost[0]
    assert read(content).rgb.min() > 250


def test_alpha_comes_through_unchanged_by_the_file():
    photo = read(saved(transparent(), "PNG"))
    np.testing.assert_array_equal(np.dstack([photo.rgb, photo.alpha]), np.asarray(transparent()))
    again = read(write_photo(photo, "PNG")[0])
    np.testing.assert_array_equal(again.alpha, photo.alpha)


def test_exif_too_long_for_the_format_is_dropped_with_a_word():
    content, lost = write_photo(Photo(pixels(), exif=b"Exif\0\0" + bytes(70_000)), "JPEG")
    assert "EXIF was dropped" in lost[0]
    assert read(content).size == (12, 9)


def test_a_picture_too_large_for_its_format_is_refused():
    with pytest.raises(BadInputError, match="20000×2 cannot be written as WEBP"):
        write_photo(Photo(np.zeros((2, 20_000, 3), np.uint8)), "WEBP")


def test_a_picture_may_have_as_many_pixels_as_were_allowed():
    """Pillow has a limit of its own, of 179 million pixels, and what it says is not what was asked for."""
    content = png_of_chunks(14_000, 14_000, b"")
    with pytest.raises(BadInputError, match=r"14000×14000 pixels; expected 195,999,999 at most"):
        read_photo(content, most_pixels=195_999_999)
    with pytest.raises(BadInputError, match=r"is damaged \(image file is truncated"):
        read_photo(content, most_pixels=196_000_000)


def test_forty_thousand_pages_are_not_visited(monkeypatch):
    """Each is a directory of a few bytes, and to count them takes a time that grows with their square."""
    visited = []
    load = TiffImagePlugin.ImageFileDirectory_v2.load
    monkeypatch.setattr(
        TiffImagePlugin.ImageFileDirectory_v2, "load", lambda *args: visited.append(0) or load(*args)
    )
    photo = read(pages(40_000))
    assert photo.size == (8, 8)
    assert photo.warnings == ("has several frames: the first is used",)
    assert len(visited) < 10


def test_memory_that_runs_out_is_no_damage(monkeypatch):
    def exhausted(*_):
        raise MemoryError

    content = png("L")
    monkeypatch.setattr(Image.Image, "convert", exhausted)
    with pytest.raises(OutOfMemoryError, match="memory ran out while the input was decoded"):
        read(content)


def test_places_that_are_no_pictures(tmp_path):
    with pytest.raises(BadInputError, match="is a folder"):
        read_content(tmp_path)
    with pytest.raises(BadInputError, match="No such file"):
        read_content(tmp_path / "absent.png")
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(BadInputError, match="no ordinary file"):
        read_content(tmp_path / "pipe.png")
    (tmp_path / "loop.png").symlink_to(tmp_path / "loop.png")
    with pytest.raises(BadInputError, match="cannot be read"):
        read_content(tmp_path / "loop.png")


def test_no_permission(tmp_path, monkeypatch):
    file = tmp_path / "secret.png"
    file.write_bytes(b"x")
    file.chmod(0)
    if os.geteuid() == 0:  # whom no permission stops

        def refuse(*_):
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(BadInputError, match="Permission denied"):
        read_content(file)


def test_writing_is_whole_or_not_at_all(tmp_path, monkeypatch):
    target = tmp_path / "sub" / "a.png"
    write_whole(target, b"first")
    with pytest.raises(BadInputError, match="exists"):
        write_whole(target, b"second")
    assert target.read_bytes() == b"first"
    write_whole(target, b"third", replace=True)
    assert target.read_bytes() == b"third"

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    for name in ("a.png", "b.png"):
        with pytest.raises(BadInputError, match="No space left"):
            write_whole(tmp_path / "sub" / name, b"fourth", replace=True)
    assert [path.name for path in (tmp_path / "sub").iterdir()] == ["a.png"]
    assert target.read_bytes() == b"third"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_disk_loses_nothing(toy_bundle, tmp_path, capfd, monkeypatch):
    """The real error of a full device, met while the picture is written."""
    source = tmp_path / "a.png"
    source.write_bytes(ODD[0].content)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a.png").write_bytes(b"precious")

    def on_a_full_disk(path):
        path.touch()
        return os.open("/dev/full", os.O_WRONLY)

    monkeypatch.setattr(drafts, "_new_file", on_a_full_disk)
    code = run_command(
        command, [str(source), "-o", str(tmp_path / "out"), "-m", str(toy_bundle), "--steps=1", "--overwrite"]
    )
    assert code == 2
    assert "No space left on device" in capfd.readouterr().err
    assert (tmp_path / "out" / "a.png").read_bytes() == b"precious"


def test_written_files_are_for_everyone(tmp_path):
    """A picture has the rights of any new file, not those of a secret."""
    write_whole(tmp_path / "a.png", b"x")
    umask = os.umask(0)
    os.umask(umask)
    assert stat.S_IMODE((tmp_path / "a.png").stat().st_mode) == 0o666 & ~umask
