"""A sheet of comparisons in a real browser. Needs Chromium on the PATH, and fails without it."""

from __future__ import annotations

import pytest
from PIL import Image
from support.browser import PHONE, Page, browser
from support.photos import make_photo

from dit4sr.runtime.cli import command
from dit4sr.runtime.console.command import run_command

STAGE = "document.querySelector('.stage')"


@pytest.fixture
def sheet(toy_bundle, tmp_path):
    """The page of a job of two photos, one of them with a name that goes on and on."""
    (tmp_path / "in").mkdir()
    for i, name in enumerate(["a" * 200 + ".png", "b.png"]):
        Image.fromarray(make_photo(48, 64, i)).save(tmp_path / "in" / name)
    words = [tmp_path / "in", "-o", tmp_path / "out", "-m", toy_bundle, "--steps", 2, "--threads", 1]
    page = tmp_path / "sheet.html"
    assert run_command(command, [*map(str, words), "--compare-sheet", str(page)]) == 0
    return page


def line(page: Page) -> float:
    """Where the line stands that divides the first picture, as a share of the picture's width."""
    places = page.evaluate(
        f"[{STAGE}, {STAGE}.querySelector('.line')].map(each => each.getBoundingClientRect())"
        ".flatMap(({left, width}) => [left, width])"
    )
    return (places[2] + places[3] / 2 - places[0]) / places[1]


def shown(page: Page, kind: str) -> bool:
    return page.evaluate(f"getComputedStyle({STAGE}.querySelector('.{kind}')).visibility") == "visible"


@pytest.mark.slow
@pytest.mark.parametrize("width", [PHONE, 1440])
def test_the_line_follows_pointer_and_keys_on_a_page_that_fits_its_screen(sheet, width):
    with browser() as page:
        page.open(sheet, width=width)
        assert page.evaluate("document.documentElement.scrollWidth") <= width == page.evaluate("innerWidth")
        assert line(page) == pytest.approx(0.5, abs=0.01)
        left, top, across, down = page.evaluate(
            f"(({{left, top, width, height}}) => [left, top, width, height])({STAGE}.getBoundingClientRect())"
        )
        assert across <= 1.25 * 256 + 1, "no picture is much larger than it is"
        for kind, share in (("Pressed", 0.75), ("Moved", 0.4), ("Moved", 0.25), ("Released", 0.25)):
            page.point(kind, left + share * across, top + down / 2)
            assert line(page) == pytest.approx(share, abs=0.01)
        page.point("Moved", left + across / 2, top + down / 2)
        assert line(page) == pytest.approx(0.25, abs=0.01), "it has been let go"
        page.press("ArrowRight", 39)
        assert 0.25 < line(page) < 0.3
        page.press("End", 35)
        assert line(page) == pytest.approx(1.0, abs=0.01)
        assert page.complaints == []


@pytest.mark.slow
def test_either_of_two_states_stands_beside_the_restored_one(sheet):
    with browser() as page:
        page.open(sheet, width=PHONE)
        assert [shown(page, kind) for kind in ("bicubic", "input", "restored")] == [True, False, True]
        page.evaluate("document.querySelector('[value=input]').click()")
        assert [shown(page, kind) for kind in ("bicubic", "input", "restored")] == [False, True, True]
        names = page.evaluate("[...document.querySelectorAll('[type=range]')].map(each => each.ariaLabel)")
        assert names[1].startswith("b.png: ")
        assert page.complaints == []


@pytest.mark.slow
def test_without_its_script_the_page_shows_all_states_below_one_another(sheet):
    with browser() as page:
        page.open(sheet, width=PHONE, has_scripts=False)
        tops = page.evaluate(
            f"[...{STAGE}.querySelectorAll('img')].map(image => image.getBoundingClientRect().top)"
        )
        assert tops[0] < tops[1] < tops[2]
        assert [shown(page, kind) for kind in ("bicubic", "input", "restored")] == [True, True, True]
