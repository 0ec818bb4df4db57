"""The page over HTTP, as Gradio's own client and anybody else ask for it; in a browser: test_browser.py."""

from __future__ import annotations

import shlex
import shutil
import socket
import threading
import time
from pathlib import Path

import httpx
import numpy as np
import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image
from support.page import call_in, network_refused, open_page
from support.photos import make_photo
from support.runtime_system import write_toy_bundle
from support.toy_text import add_text_encoders

from dit4sr.runtime.cli import command as upscale
from dit4sr.runtime.console.command import run_command
from dit4sr.runtime.image.png import encode_png


@pytest.fixture(scope="module")
def client(page, tmp_path_factory):
    return asking(page, tmp_path_factory.mktemp("downloads"))


def asking(page, downloads):
    """Gradio's client, which reports no visits."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
        return Client(page.address, verbose=False, download_files=str(downloads), analytics_enabled=False)


def restored(client, photo, *, preset="", prompt="", seed=0):
    """The stage, the file and the recipe that the page answers with."""
    stage, file, recipe = client.predict(handle_file(photo), preset, prompt, seed, api_name="/restore")
    return stage, file["value"] and Path(file["value"]), recipe


def restored_by_hand(page, photo, *, seed, before=lambda _place: None):
    """What comes of a photo for somebody who has no client, which has visits of its own to count."""
    api = page.address + "gradio_api/"
    [place] = httpx.post(api + "upload", files={"files": (photo.name, photo.read_bytes())}).json()
    file = {"path": place, "meta": {"_type": "gradio.FileData"}}
    before(Path(place))
    event = httpx.post(api + "call/restore", json={"data": [file, "", "", seed]}).json()["event_id"]
    return httpx.get(f"{api}call/restore/{event}", timeout=30).text


def write_jpeg(path):
    exif = Image.Exif()
    exif[271] = "a camera"
    Image.fromarray(make_photo(12, 16)).save(path, exif=exif, icc_profile=b"a profile")


def write_deep_png(path):
    path.write_bytes(encode_png(make_photo(12, 16).astype(np.uint16) * 257))


def write_bmp(path):
    Image.fromarray(make_photo(12, 16)).save(path)


@pytest.mark.parametrize(
    ("name", "write", "result"),
    [
        ("it's one.jpg", write_jpeg, "it's one-restored.jpg"),
        ("-deep.png", write_deep_png, "-deep-restored.png"),
        ("old.bmp", write_bmp, "old-restored.png"),
    ],
)
def test_the_download_is_what_the_calls_beside_it_make(client, tmp_path, monkeypatch, name, write, result):
    write(tmp_path / name)
    stage, file, recipe = restored(client, tmp_path / name, seed=7)
    assert file.name == result
    assert "16×12 → 64×48 · seed 7" in stage
    program = call_in(recipe, "python")
    words = shlex.split(call_in(recipe, "command").replace("\\\n", ""))  # as a shell joins lines
    content = file.read_bytes()
    for folder, make in (
        ("command", lambda: run_command(upscale, words[1:])),
        ("python", lambda: exec(program, {})),
    ):
        (tmp_path / folder).mkdir()
        monkeypatch.chdir(tmp_path / folder)
        shutil.copy(tmp_path / name, ".")
        assert not make()
        assert Path(result).read_bytes() == content


def test_what_belongs_to_a_photo_is_in_the_download(client, tmp_path):
    write_jpeg(tmp_path / "a.jpg")
    _, file, _ = restored(client, tmp_path / "a.jpg")
    with Image.open(file) as image:
        assert image.getexif()[271] == "a camera"
        assert image.info["icc_profile"] == b"a profile"


def test_a_seed_makes_a_picture_of_its_own(client, picture):
    contents = [restored(client, picture, seed=seed)[1].read_bytes() for seed in (0, 1, 0)]
    assert contents[0] == contents[2] != contents[1]


def test_what_is_shown_is_before_and_after(client, page, picture):
    stage, _, _ = restored(client, picture)
    for name in ("bicubic.jpg", "restored.jpg"):
        [start] = [part for part in stage.split('src="')[1:] if name in part]
        answer = httpx.get(page.address + start.partition('"')[0])
        assert (answer.status_code, answer.headers["content-type"]) == (200, "image/jpeg")


@pytest.mark.parametrize(
    ("name", "content", "line"),
    [
        ("broken.png", b"\x89PNG\r\n\x1a\n" + b"\0" * 50, "broken.png is "),
        ("words.png", b"no picture at all", "words.png is no picture in a format known here; expected PNG, "),
        ("empty.png", b"", "empty.png is empty"),
    ],
)
def test_what_is_no_photo_is_one_line(client, tmp_path, name, content, line):
    (tmp_path / name).write_bytes(content)
    stage, file, recipe = restored(client, tmp_path / name)
    assert stage.startswith('<div class="hint wrong" role="alert"><p>' + line)
    assert "\n" not in stage
    assert "Traceback" not in stage
    assert (file, recipe) == (None, "")


def test_a_photo_that_was_swept_away_is_to_be_dropped_again(page, picture, capfd):
    said = restored_by_hand(page, picture, seed=0, before=Path.unlink)
    assert "a photo.png is not here (it was here for too long, or never); drop it again" in said
    assert "Traceback" not in capfd.readouterr().err


def test_names_are_no_markup(client, tmp_path):
    (tmp_path / "<b>&.png").write_bytes(b"no picture")
    stage, _, _ = restored(client, tmp_path / "<b>&.png")
    assert "<b>" not in stage


@pytest.mark.parametrize("side", [600, 2100])
def test_a_photo_that_is_too_large_before_or_after_is_one_line(client, tmp_path, side):
    Image.new("1", (side, side)).save(tmp_path / "large.png")
    stage, file, _ = restored(client, tmp_path / "large.png")
    assert "4,194,304 at most" in stage
    assert file is None


def test_a_file_that_is_too_large_is_refused_while_it_comes(page):
    content = b"\0" * ((1 << 20) + 1)
    answer = httpx.post(page.address + "gradio_api/upload", files={"files": ("a.png", content)})
    assert answer.status_code == 413
    assert list(page.shelf.folder.rglob("a.png")) == []


def test_a_preset_that_there_is_not_is_refused(client, picture):
    with pytest.raises(AppError):
        restored(client, picture, preset="none such")


@pytest.mark.parametrize(("seed", "said"), [(-1, "seed -1"), (2**60, f"seed {2**60}"), (None, "no seed")])
def test_a_seed_that_there_cannot_be_is_one_line(client, picture, capfd, seed, said):
    stage, file, _ = restored(client, picture, seed=seed)
    assert f"{said}; expected a whole number from 0 to 9007199254740991" in stage
    assert file is None
    assert "Traceback" not in capfd.readouterr().err


def test_files_are_found_by_those_who_know_their_place_and_by_nobody_else(client, page, picture, tmp_path):
    restored(client, picture)
    outside = tmp_path / "secret.png"
    outside.write_bytes(b"secret")
    for path in (page.shelf.folder, page.shelf.folder / "a photo.png", outside, "/etc/passwd"):
        assert httpx.get(f"{page.address}gradio_api/file={path}").status_code in {403, 404}
    parts = {len(path.relative_to(page.shelf.folder).parts[0]) for path in page.shelf.folder.rglob("*.*")}
    assert min(parts) >= 32, "letters that somebody would have to guess"


@pytest.mark.parametrize(
    "path",
    [
        "gradio_api/file=http://127.0.0.1:9/",
        "gradio_api/proxy=http://127.0.0.1:9/",
        "gradio_api/runs",
        "gradio_api/vibe-code",
        "gradio_api/openapi.json",
        "monitoring",
        "docs",
        "svelte/x",
    ],
)
def test_what_the_page_does_not_need_is_shut(page, path):
    assert httpx.get(page.address + path).status_code == 404


def test_a_file_named_by_an_address_is_not_fetched(page):
    photo = {"path": "http://127.0.0.1:9/a.png", "meta": {"_type": "gradio.FileData"}}
    answer = httpx.post(page.address + "gradio_api/call/restore", json={"data": [photo, "", "", 0]})
    assert (answer.status_code, answer.text) == (403, "files are sent, not fetched\n")


def test_a_page_of_this_machine_answers_to_its_names_alone(page):
    """A stranger's name that leads here would let the stranger's page ask ours."""
    assert httpx.get(page.address, headers={"host": "127.0.0.1:80"}).status_code == 200
    assert httpx.get(page.address, headers={"host": "stranger.example"}).status_code == 403


def test_the_page_names_nothing_of_elsewhere_to_load(page):
    answer = httpx.get(page.address)
    assert answer.headers["content-security-policy"].startswith("default-src 'self'; ")
    assert "https://fonts." not in answer.text
    assert httpx.get(page.address + "theme.css").text.count("@import") == 0


def test_nothing_is_sent_anywhere_while_a_page_opens_restores_and_ends(toy_bundle, picture):
    with network_refused() as tried:
        with pytest.raises(OSError, match="not this machine"):
            socket.create_connection(("192.0.2.1", 80))
        assert tried.pop() == "192.0.2.1", "so it would be seen"
        with open_page(toy_bundle) as page:
            assert "seed 3" in restored_by_hand(page, picture, seed=3)
        assert tried == []


def test_a_prompt_reaches_the_picture_and_the_call_beside_it(tmp_path, picture, monkeypatch):
    monkeypatch.setenv("DIT4SR_CACHE", str(tmp_path / "cache"))
    bundle = add_text_encoders(write_toy_bundle(tmp_path / "toy"))
    with open_page(bundle) as page:
        client = asking(page, tmp_path / "downloads")
        _, plain, _ = restored(client, picture)
        _, prompted, recipe = restored(client, picture, prompt=" a cat's nap ")
        stage, _, _ = restored(client, picture, prompt="x" * 2001)
    assert plain.read_bytes() != prompted.read_bytes()
    words = shlex.split(call_in(recipe, "command").replace("\\\n", ""))
    assert words[words.index("--prompt") + 1] == "a cat's nap"
    monkeypatch.chdir(picture.parent)
    assert run_command(upscale, words[1:]) == 0
    assert Path("a photo-restored.png").read_bytes() == prompted.read_bytes()
    assert "a prompt of 2,001 characters; expected 2,000 at most" in stage


def test_one_is_restored_at_a_time_and_who_stops_makes_room(toy_bundle, picture, tmp_path):
    """The second is told its place; once the first has gone, it is its turn."""
    with open_page(toy_bundle) as page:
        release = hold_at_first_step(page)
        first, second = (asking(page, tmp_path / name) for name in "ab")
        ask = (handle_file(picture), "", "", 0)
        held = first.submit(*ask, api_name="/restore")
        wait_until(lambda: page.answers.visitors.are_served)
        waiting = second.submit(*ask, api_name="/restore")
        wait_until(lambda: waiting.status().rank == 0)
        assert not waiting.done()
        page.answers.visitors.stop(first.session_hash)
        release.set()
        assert "Stopped." in held.result(timeout=30)[0]
        assert "seed 0" in waiting.result(timeout=30)[0]


def hold_at_first_step(page):
    """Have the first picture wait within its first step until the event that is returned is set."""
    upscaler, release = page.answers.upscaler, threading.Event()
    original = upscaler.upscale

    def upscale(*given, progress, **choices):
        def wait(done):
            release.wait(30)
            progress(done)

        return original(*given, progress=wait, **choices)

    upscaler.upscale = upscale
    return release


def wait_until(is_so, seconds=30):
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.02)
