"""``--compare-sheet``: a page of a job's pictures, whatever became of the job."""

from __future__ import annotations

import re
import struct
import tempfile
import zlib

import pytest
from PIL import Image
from support.html import PageReader, assert_whole_and_alone
from support.photos import make_photo

from dit4sr.runtime.batch import sheet as sheets
from dit4sr.runtime.batch.inputs import Item
from dit4sr.runtime.batch.job import Job, Record
from dit4sr.runtime.batch.previews import Previews
from dit4sr.runtime.batch.sheet import CompareSheet
from dit4sr.runtime.cli import command
from dit4sr.runtime.console.command import run_command
from dit4sr.runtime.html.document import Document


@pytest.fixture
def folder(tmp_path):
    """Two photos, and one whose name would be markup."""
    place = tmp_path / "in"
    place.mkdir()
    for i, name in enumerate(["a.png", "b.jpg", '<img src=x onerror="alert(1)">.png']):
        Image.fromarray(make_photo(8, 8, i)).save(place / name)
    return place


@pytest.fixture
def upscale(toy_bundle, tmp_path):
    """Run the command with a sheet, in this process; a step is enough."""

    def run(*arguments, sheet=tmp_path / "sheet.html") -> int:
        options = ["-m", toy_bundle, "--steps", 1, "--threads", 1, "--compare-sheet", sheet, *arguments]
        return run_command(command, [str(word) for word in options])

    return run


def deep_png(picture) -> bytes:
    """A picture as a PNG of 16 bits a channel, which Pillow cannot write."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        )

    height, width = picture.shape[:2]
    rows = b"".join(b"\0" + row.tobytes() for row in (picture.astype(">u2") * 257).reshape(height, -1))
    header = struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)
    parts = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


def read(page) -> PageReader:
    return assert_whole_and_alone(page.read_text(encoding="utf-8"))


def test_a_page_shows_every_picture_in_three_states_and_no_stranger_writes_on_it(
    upscale, folder, tmp_path, capfd
):
    assert upscale(folder, "-o", tmp_path / "out") == 0
    page = read(tmp_path / "sheet.html")
    assert page.tags.count("figure") == 3
    assert page.tags.count("img") == 9
    assert "3 pictures before and after" in page.said
    assert '<img src=x onerror="alert(1)">.png' in page.said, "as words"
    assert "toy · 4× the size · 1 step (euler)" in page.said
    assert page.said.count("8×8 → 32×32") == 3
    assert len(re.findall(r"seed \d+", page.said)) == 3
    assert "compressed again" in page.said
    assert re.fullmatch(r"3 pictures restored in [0-9.]+ s, seed 0\n", capfd.readouterr().err)


def test_a_page_may_lie_in_the_folder_that_the_job_makes(upscale, folder, tmp_path):
    place = tmp_path / "new" / "out"
    assert upscale(folder, "-o", place, sheet=place / "sheet.html") == 0
    assert read(place / "sheet.html").tags.count("figure") == 3


def test_a_picture_of_sixteen_bits_a_channel_is_shown(upscale, tmp_path):
    (tmp_path / "deep.png").write_bytes(deep_png(make_photo(8, 8)))
    assert upscale(tmp_path / "deep.png", "-o", tmp_path / "out.png") == 0
    assert "8×8 → 32×32" in read(tmp_path / "sheet.html").said


def test_one_picture_has_a_page_too(upscale, folder, tmp_path):
    assert upscale(folder / "a.png", "-o", tmp_path / "a.png") == 0
    assert "1 picture before and after" in read(tmp_path / "sheet.html").said


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("arguments", "sheet", "says"),
    [
        (["IN", "-o", "out"], "sheet.png", "expected a file ending in .html"),
        (["IN", "-o", "out"], "-", "expected a file ending in .html"),
        (["IN/a.png", "-o", "-"], "sheet.html", "- is none"),
        (["-", "-o", "a.png"], "sheet.html", "- is none"),
        (["IN", "-o", "out"], "nowhere/sheet.html", "a folder that exists"),
        (["IN/a.png", "-o", "out.png"], "out.png/sheet.html", "a folder that exists"),
        (["IN", "-o", "out"], "there.html", "there.html exists"),
        (["IN", "-o", "out", "--resume"], "there.html", "there.html exists"),
        (["IN", "-o", "out", "--dry-run"], "there.html", "there.html exists"),
    ],
)
def test_what_could_not_be_written_is_refused_before_anything_is_restored(
    upscale, tmp_path, monkeypatch, capfd, arguments, sheet, says
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there.html").write_text("somebody's page")
    assert upscale(*(word.replace("IN", "in") for word in arguments), sheet=sheet) == 2
    error = capfd.readouterr().err
    assert says in error
    assert error.count("\n") == 1
    assert {path.name for path in tmp_path.iterdir()} == {"in", "there.html"}
    assert (tmp_path / "there.html").read_text() == "somebody's page"


def test_force_replaces_a_page(upscale, folder, tmp_path):
    (tmp_path / "sheet.html").write_text("somebody's page")
    assert upscale(folder, "-o", tmp_path / "out", "--force") == 0
    assert read(tmp_path / "sheet.html").tags.count("figure") == 3


def test_what_failed_is_named_and_the_others_are_shown(upscale, folder, tmp_path):
    (folder / "a.png").write_text("no picture")
    assert upscale(folder, "-o", tmp_path / "out", "--continue-on-error") == 9
    page = read(tmp_path / "sheet.html")
    assert page.tags.count("figure") == 2
    assert "2 of 3 pictures before and after" in page.said
    assert "a.png is no picture" in page.said


def test_what_has_no_room_is_named_and_not_the_end_of_the_job(upscale, folder, tmp_path, monkeypatch):
    made = Previews.of

    def exhausted(photo, restored):
        if photo.format == "JPEG":
            raise MemoryError
        return made(photo, restored)

    monkeypatch.setattr(Previews, "of", exhausted)
    assert upscale(folder, "-o", tmp_path / "out") == 0
    page = read(tmp_path / "sheet.html")
    assert page.tags.count("figure") == 2
    assert "b.jpg: no memory left" in page.said


def test_an_interrupted_job_shows_what_it_did_and_the_resumed_one_all(upscale, folder, tmp_path, monkeypatch):
    restore, done = Job._restore, []

    def interrupted(self, item, *arguments):
        if done:
            raise KeyboardInterrupt
        done.append(item)
        return restore(self, item, *arguments)

    monkeypatch.setattr(Job, "_restore", interrupted)
    assert upscale(folder, "-o", tmp_path / "out") == 130
    assert "1 of 3 pictures before and after" in read(tmp_path / "sheet.html").said
    monkeypatch.undo()
    assert upscale(folder, "-o", tmp_path / "out", "--resume") == 0
    page = read(tmp_path / "sheet.html")
    assert page.tags.count("figure") == 3
    assert page.said.count("was there before this run") == 1


def test_without_a_picture_there_is_no_page(upscale, folder, tmp_path, capfd):
    (folder / "a.png").write_text("no picture")
    assert upscale(folder / "a.png", "-o", tmp_path / "a.png") == 2
    assert not (tmp_path / "sheet.html").exists()
    assert "no picture was restored" in capfd.readouterr().err


def test_a_page_holds_so_many_pictures_and_counts_the_others(upscale, folder, tmp_path, monkeypatch):
    monkeypatch.setattr(sheets, "MOST_PICTURES", 2)
    assert upscale(folder, "-o", tmp_path / "out") == 0
    page = read(tmp_path / "sheet.html")
    assert page.tags.count("figure") == 2
    assert "2 of 3 pictures before and after" in page.said
    assert "1 more; a page shows 2 at most" in page.said


def test_pictures_wait_in_a_file_and_not_in_memory(upscale, folder, tmp_path, monkeypatch):
    drafts = []
    opened = tempfile.TemporaryFile

    def remembered(*arguments, **options):
        drafts.append(opened(*arguments, **options))
        return drafts[-1]

    monkeypatch.setattr(tempfile, "TemporaryFile", remembered)
    sizes, restore = [], Job._restore

    def watched(self, *arguments):
        sizes.append(drafts[0].tell())
        return restore(self, *arguments)

    monkeypatch.setattr(Job, "_restore", watched)
    assert upscale(folder, "-o", tmp_path / "out") == 0
    assert sizes[0] == 0 < sizes[1] < sizes[2]
    assert sizes[2] + (sizes[2] - sizes[1]) // 2 < (tmp_path / "sheet.html").stat().st_size


def test_a_name_that_is_no_text_is_shown_as_far_as_it_is(tmp_path):
    for name in ("before", "after"):
        Image.fromarray(make_photo(8, 8)).save(tmp_path / f"{name}.png")
    item = Item("a\udcff.png", tmp_path / "before.png", tmp_path / "after.png", "PNG")
    with tempfile.TemporaryFile() as drafts:
        page = CompareSheet(drafts, 1, most_pixels=1 << 20)
        page.add(Record(item, "skipped", {"reason": "exists"}))
        content = b"".join(page.content(Document("A page"), "said"))
    assert "a\\udcff.png" in PageReader(content.decode("utf-8")).said
