"""The page as people see it, in a real browser that finds nobody else. Needs Chromium on the PATH.

``DIT4SR_SHOTS=folder`` keeps pictures of what the browser showed, to be looked at.
"""

from __future__ import annotations

import os
import shlex
import time
from pathlib import Path

import pytest
from PIL import Image
from support.browser import OFFLINE, PHONE, Page, browser
from support.page import open_page
from support.photos import make_photo
from support.runtime_system import write_toy_bundle
from support.toy_text import add_text_encoders

from dit4sr.runtime.bundles.built_in import tiny_bundle
from dit4sr.runtime.cli import command as upscale
from dit4sr.runtime.console.command import run_command

pytestmark = pytest.mark.slow

COMPARISON = "document.querySelector('.stage .line')"
ALARM = "document.querySelector('#stage [role=alert]')"
SAVED = "document.querySelector('#download')?.checkVisibility()"
READY = "document.querySelector('#restore')?.checkVisibility()"
GRADIOS_OWN = "Method not implemented."
"""What Gradio's client says in the console whenever it closes a stream."""


@pytest.fixture(scope="module")
def shots(tmp_path_factory):
    folder = Path(os.environ.get("DIT4SR_SHOTS") or tmp_path_factory.mktemp("shots"))
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(scope="module")
def tiny():
    with open_page(tiny_bundle()) as opened:
        yield opened


@pytest.fixture
def chromium():
    with browser(OFFLINE) as page:
        yield page


@pytest.fixture
def large_picture(tmp_path):
    """One that takes a while."""
    path = tmp_path / "large.png"
    Image.fromarray(make_photo(160, 240)).save(path)
    return path


def visited(page: Page, address: str, width: int = 1440, **how: str) -> Page:
    page.visit(address, width=width, **how)
    page.wait_for(READY)
    page.wait_for_quiet()
    return page


def complaints(page: Page) -> list[str]:
    return [each for each in page.complaints if GRADIOS_OWN not in each]


def strangers(page: Page, address: str) -> list[str]:
    """What the page asked for that was not its own server's."""
    return [each for each in page.requests if not each.startswith((address, "data:", "blob:"))]


def line_of(page: Page) -> float:
    """Where the line stands, as a share of the stage's width."""
    return page.evaluate(
        "(([stage, line]) => (line.left + line.width / 2 - stage.left) / stage.width)"
        "(['.stage', '.line'].map(each => document.querySelector(each).getBoundingClientRect()))"
    )


def zoom_of(page: Page) -> float:
    return page.evaluate("Number(document.querySelector('.stage').style.getPropertyValue('--zoom'))")


def text_of(page: Page, selector: str) -> str:
    return page.evaluate(f"document.querySelector({selector!r}).textContent")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [PHONE, 1440])
def test_drop_restore_slide_and_zoom_on_a_page_that_fits_its_screen(chromium, tiny, shots, width, scheme):
    page = visited(chromium, tiny.address, width, scheme=scheme)
    (shots / f"empty-{width}-{scheme}.png").write_bytes(page.picture())
    page.drop(tiny.answers.sample(Path("runtime/samples/coffee.png").absolute()), "#drop")
    page.wait_for("document.querySelector('.stage.alone')")
    assert "150×100 → 600×400" in text_of(page, "figcaption")
    (shots / f"photo-{width}-{scheme}.png").write_bytes(page.picture())
    page.click("#restore")
    page.wait_for("document.querySelector('#stage .progress-level, #stage .progress-text')")
    (shots / f"progress-{width}-{scheme}.png").write_bytes(page.picture())
    page.wait_for(COMPARISON)
    page.wait_for("[...document.querySelectorAll('.stage img')].every(image => image.complete)")
    page.wait_for(READY)
    (shots / f"restored-{width}-{scheme}.png").write_bytes(page.picture())
    assert page.evaluate("document.documentElement.scrollWidth") <= width

    left, top, across, down = page.place_of(".stage")
    assert line_of(page) == pytest.approx(0.5, abs=0.01)
    for kind, share in (("Pressed", 0.75), ("Moved", 0.4), ("Moved", 0.25), ("Released", 0.25)):
        page.point(kind, left + share * across, top + down / 2)
        assert line_of(page) == pytest.approx(share, abs=0.01)
    page.press("ArrowRight", 39)
    assert 0.25 < line_of(page) < 0.3
    page.press("End", 35)
    assert line_of(page) == pytest.approx(1.0, abs=0.01)

    page.click("[data-zoom=in]")
    assert zoom_of(page) == pytest.approx(1.5)
    page.click("[data-zoom=in]")
    left, top, across, down = page.place_of(".stage")
    x = page.evaluate("parseFloat(document.querySelector('.stage').style.getPropertyValue('--x'))")
    for kind, moved in (("Pressed", 0), ("Moved", 40), ("Released", 40)):
        page.point(kind, left + across / 3 + moved, top + down / 2)
    assert page.evaluate(
        "parseFloat(document.querySelector('.stage').style.getPropertyValue('--x'))"
    ) == pytest.approx(x + 40)
    assert line_of(page) == pytest.approx(1.0, abs=0.01), "it is the picture that was moved"
    (shots / f"zoomed-{width}-{scheme}.png").write_bytes(page.picture())
    page.click("[data-zoom=fit]")
    assert zoom_of(page) == 1
    assert not page.evaluate("document.querySelector('#prompt')?.checkVisibility()"), "this one reads none"
    assert strangers(page, tiny.address) == []
    assert complaints(page) == []


def test_wheel_double_click_keys_and_fingers_zoom_where_they_are(chromium, page, tmp_path):
    Image.fromarray(make_photo(48, 64)).save(tmp_path / "a.png")
    at = visited(chromium, page.address, PHONE)
    at.drop(tmp_path / "a.png", "#drop")
    at.wait_for("document.querySelector('.stage.alone')")
    at.click("#restore")
    at.wait_for(COMPARISON)
    at.wait_for(SAVED)
    left, top, across, down = at.place_of(".stage")
    fit = across / 256
    x, y = left + across / 4, top + down / 4

    def spot() -> float:
        """Where in the picture, from 0 to 1, the place under x lies."""
        image = at.place_of(".restored img")
        return (x - image[0]) / image[2]

    at.call("Input.dispatchMouseEvent", type="mouseWheel", x=x, y=y, deltaX=0, deltaY=-100, modifiers=2)
    at.wait_for("Number(document.querySelector('.stage').style.getPropertyValue('--zoom')) > 1.2")
    assert spot() == pytest.approx(0.25, abs=0.01)
    assert "%" in text_of(at, ".lenses output")

    for count in (1, 2):
        for kind in ("mousePressed", "mouseReleased"):
            at.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=count)
    assert zoom_of(at) == 1
    for key, zoom in (("+", 1.5), ("+", 2.25), ("-", 1.5), ("0", 1), ("1", max(1, 1 / fit))):
        at.call("Input.dispatchKeyEvent", type="keyDown", key=key)
        assert zoom_of(at) == pytest.approx(zoom)
    at.press("0", 48)
    assert zoom_of(at) == 1

    at.call("Emulation.setTouchEmulationEnabled", enabled=True, maxTouchPoints=2)
    fingers(at, "touchStart", (x - 20, y), (x + 20, y))
    for apart in (30, 40):  # the browser keeps the first for itself
        fingers(at, "touchMove", (x - apart, y), (x + apart, y))
    at.wait_for("Number(document.querySelector('.stage').style.getPropertyValue('--zoom')) > 1.9")
    fingers(at, "touchEnd")
    assert zoom_of(at) == pytest.approx(2, abs=0.05)
    assert spot() == pytest.approx(0.25, abs=0.02)
    line = line_of(at)
    for kind, moved in (("Pressed", 0), ("Moved", 50), ("Released", 50)):
        at.point(kind, left + line * across + moved, y)
    assert line_of(at) == pytest.approx(line + 50 / across, abs=0.02), (
        "the handle is for the line, near or not"
    )
    assert complaints(at) == []


def fingers(page: Page, kind: str, *places: tuple[float, float]) -> None:
    points = [{"x": x, "y": y, "id": i} for i, (x, y) in enumerate(places)]
    page.call("Input.dispatchTouchEvent", type=kind, touchPoints=points)


def test_a_call_is_copied_with_a_click(chromium, page, picture):
    at = visited(chromium, page.address)
    at.drop(picture, "#drop")
    at.wait_for("document.querySelector('.stage.alone')")
    at.click("#restore")
    at.wait_for("document.querySelector('#recipe .copy')")
    at.evaluate(
        "navigator.clipboard.writeText = text => { window.copied = text; return Promise.resolve(); }; 1"
    )
    at.click("#recipe .command .copy")
    at.wait_for("window.copied")
    assert at.evaluate("copied") == text_of(at, "#recipe .command code")
    assert text_of(at, "#recipe .command .copy") == "Copied"


def test_the_download_is_what_the_command_beside_it_makes(chromium, tiny, tmp_path, monkeypatch):
    page = visited(chromium, tiny.address)
    page.download_into(tmp_path / "downloads")
    page.click("#samples button:nth-child(2)")
    page.wait_for("document.querySelector('.stage.alone')")
    page.evaluate("document.querySelector('#preset input[value=fast]').click()")
    page.click("#seed button")
    page.wait_for("document.querySelector('#seed input').value !== '0'")
    page.click("#restore")
    page.wait_for(COMPARISON)
    page.wait_for(SAVED)
    page.click("#download")
    file = tmp_path / "downloads" / "chelsea-restored.png"
    wait_until(file.exists)
    words = shlex.split(text_of(page, "#recipe .command code").replace("\\\n", ""))
    assert {"--preset", "fast", "--seed"} <= set(words)
    monkeypatch.chdir(tmp_path)
    Path("chelsea.png").write_bytes((Path(__file__).parents[3] / "runtime/samples/chelsea.png").read_bytes())
    assert run_command(upscale, words[1:]) == 0
    assert Path("chelsea-restored.png").read_bytes() == file.read_bytes()


def test_what_is_no_photo_is_said_in_its_place_and_the_page_goes_on(chromium, page, picture, tmp_path, shots):
    broken, words = tmp_path / "broken.png", tmp_path / "words.txt"
    broken.write_bytes(picture.read_bytes()[:200])
    words.write_bytes(b"no picture")
    at = visited(chromium, page.address, PHONE)
    at.drop(broken, "#drop")
    at.wait_for(ALARM)
    assert text_of(at, "#stage [role=alert]").startswith("broken.png is damaged (")
    (shots / "broken.png").write_bytes(at.picture())
    at.click("#drop [aria-label=Clear]")
    at.wait_for("document.querySelector('#stage .hint:not(.wrong)')")
    at.drop(words, "#drop")
    at.wait_for("document.body.textContent.includes('Invalid file type')")
    (shots / "no-picture.png").write_bytes(at.picture())
    at.drop(picture, "#drop")
    at.wait_for("document.querySelector('.stage.alone')")
    at.click("#restore")
    at.wait_for(COMPARISON)


def test_a_file_that_is_too_large_is_refused_in_words(chromium, page, tmp_path, shots):
    large = tmp_path / "large.png"
    large.write_bytes(b"\0" * ((1 << 20) + 1))
    at = visited(chromium, page.address)
    at.drop(large, "#drop")
    at.wait_for("document.body.textContent.includes('exceed the maximum')")
    (shots / "too-large.png").write_bytes(at.picture())


def test_two_visitors_wait_for_one_another_and_get_what_is_theirs(chromium, tiny, large_picture, shots):
    first, second = visited(chromium, tiny.address), visited(chromium.another(), tiny.address)
    first.drop(large_picture, "#drop")
    second.click("#samples button:nth-child(2)")
    for each in (first, second):
        each.wait_for("document.querySelector('.stage.alone')")
    first.click("#restore")
    first.wait_for("document.querySelector('#stop')?.checkVisibility()")
    second.click("#restore")
    second.wait_for("document.querySelector('#stage').textContent.includes('queue: 1/1')")
    (shots / "waiting.png").write_bytes(second.picture())
    second.click("#stop")
    second.wait_for("document.querySelector('#stage').textContent.includes('Stopped.')")
    second.wait_for(READY)
    assert tiny.answers.visitors.are_served, "only who waited has gone"
    second.click("#restore")
    second.wait_for("document.querySelector('#stage').textContent.includes('queue: 1/1')")
    first.wait_for(COMPARISON, 120)
    second.wait_for(COMPARISON)
    assert "large.png" in text_of(first, "figcaption")
    assert "chelsea.png" in text_of(second, "figcaption")


def test_who_presses_stop_or_leaves_makes_room_for_the_next(chromium, tiny, large_picture):
    visitors = tiny.answers.visitors
    for ending in ("stop", "leave"):
        page = visited(chromium.another(), tiny.address)
        page.drop(large_picture, "#drop")
        page.wait_for("document.querySelector('.stage.alone')")
        page.evaluate("document.querySelector('#preset input[value=exact]').click()")
        page.click("#restore")
        wait_until(lambda: visitors.are_served)
        if ending == "leave":
            page.close()
        else:
            page.wait_for("document.querySelector('#stop')?.checkVisibility()")
            page.click("#stop")
            page.wait_for("document.querySelector('#stage').textContent.includes('Stopped.')")
            page.wait_for(READY)
        wait_until(lambda: not visitors.are_served, 20)


def test_words_are_asked_for_where_the_bundle_reads_them(chromium, tmp_path, picture, monkeypatch, shots):
    monkeypatch.setenv("DIT4SR_CACHE", str(tmp_path / "cache"))
    bundle = add_text_encoders(write_toy_bundle(tmp_path / "toy"))
    with open_page(bundle) as worded:
        at = visited(chromium, worded.address)
        at.drop(picture, "#drop")
        at.wait_for("document.querySelector('.stage.alone')")
        at.click("#prompt textarea")
        at.call("Input.insertText", text="a cat")
        at.call("Input.dispatchKeyEvent", type="keyDown", key="Enter", windowsVirtualKeyCode=13, text="\r")
        at.wait_for(COMPARISON)
        (shots / "worded.png").write_bytes(at.picture())
        assert "--prompt 'a cat'" in text_of(at, "#recipe .command code")


def test_a_photo_on_another_takes_its_place_and_what_was_made_of_it(chromium, page, picture):
    at = visited(chromium, page.address)
    for _ in range(2):
        at.drop(picture, "#drop")
        at.wait_for("document.querySelector('.stage.alone')")
        assert not at.evaluate(SAVED)
        at.click("#restore")
        at.wait_for(COMPARISON)
        at.wait_for(SAVED)
        at.click("#drop [aria-label=Clear]")
        at.wait_for("document.querySelector('#stage .hint')")


def wait_until(is_so, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.05)
