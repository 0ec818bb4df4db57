"""Transparency that is enlarged: nearer to the true edge than bicubic, and no fringe along it."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw

from dit4sr.runtime.image import transparency
from dit4sr.runtime.image.photo import resized
from dit4sr.runtime.image.transparency import enlarged_alpha, spread_colours

SIDE, SCALE = 256, 4


def shape(name: str) -> np.ndarray:
    """A shape drawn at 16 times the size that it is given in."""
    image = Image.new("L", (SIDE * 4, SIDE * 4))
    draw = ImageDraw.Draw(image)
    if name == "disc":
        draw.ellipse([240, 200, 800, 760], fill=255)
    elif name == "band":
        draw.line([80, 120, 920, 800], fill=255, width=28)
    else:
        angles = np.arange(10) * np.pi / 5 + 0.2
        radii = np.where(np.arange(10) % 2, 400, 180)
        draw.polygon(
            [(512 + r * np.cos(a), 512 + r * np.sin(a)) for r, a in zip(radii, angles, strict=True)], fill=255
        )
    return np.asarray(image.resize((SIDE, SIDE), Image.Resampling.BOX))


def small(alpha: np.ndarray, *, is_hard: bool) -> np.ndarray:
    side = SIDE // SCALE
    reduced = np.asarray(Image.fromarray(alpha).resize((side, side), Image.Resampling.BOX))
    return ((reduced > 127) * 255).astype(np.uint8) if is_hard else reduced


def error(alpha: np.ndarray, truth: np.ndarray) -> float:
    return float(np.sqrt(((alpha / np.iinfo(alpha.dtype).max * 255 - truth) ** 2).mean()))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize(("is_hard", "share"), [(False, 0.6), (True, 0.9)])
@pytest.mark.parametrize("name", ["disc", "band", "star"])
def test_edges_are_nearer_to_the_true_ones_than_bicubic(name, is_hard, share, dtype):
    truth = shape(name)
    given = small(truth, is_hard=is_hard)
    given = given if dtype is np.uint8 else given.astype(dtype) * 257
    found = enlarged_alpha(given, (SIDE, SIDE))
    assert found.dtype == dtype
    assert error(found, truth) < share * error(resized(given, (SIDE, SIDE)), truth)


@pytest.mark.parametrize("is_hard", [False, True])
def test_what_is_whole_all_around_stays_whole(is_hard):
    given = small(shape("star"), is_hard=is_hard)
    found = enlarged_alpha(given, (SIDE, SIDE))
    for level in (0, 255):
        surely = np.ones((62, 62), bool)
        for i in range(3):
            for j in range(3):
                surely &= given[i : i + 62, j : j + 62] == level
        cells = np.kron(np.pad(surely, 1), np.ones((SCALE, SCALE), bool))
        assert cells.sum() > 1000
        assert (found[cells] == level).all()


def test_a_hard_edge_has_no_stairs():
    """Along a slanted edge the transition wanders as it should, by half a pixel of the input and no more."""
    rows, columns = np.mgrid[0:64, 0:64]
    given = ((columns < 20 + rows * 0.3) * 255).astype(np.uint8)
    for alpha, most in ((resized(given, (256, 256)), None), (enlarged_alpha(given, (256, 256)), 1.6)):
        crossings = (alpha > 127).sum(1)[16:-16]
        line = np.polyval(np.polyfit(np.arange(len(crossings)), crossings, 1), np.arange(len(crossings)))
        wander = np.abs(crossings - line).max()
        assert wander < most if most else wander > 2


@pytest.mark.parametrize("size", [(256, 256), (200, 211)])
def test_its_bands_do_not_show(size, monkeypatch):
    given = small(shape("star"), is_hard=False)
    whole = enlarged_alpha(given, size)
    monkeypatch.setattr(transparency, "_BAND", 50)
    assert np.abs(enlarged_alpha(given, size).astype(int) - whole).max() <= 1


def test_a_gradient_stays_one():
    ramp = np.add.outer(np.arange(64), np.arange(64)).astype(np.uint8) * 2
    assert np.abs(enlarged_alpha(ramp, (256, 256)).astype(int) - resized(ramp, (256, 256))).max() <= 1


@pytest.mark.parametrize("level", [0, 128, 255])
def test_what_is_alike_everywhere_stays_alike(level):
    alpha = np.full((9, 13), level, np.uint8)
    assert np.unique(enlarged_alpha(alpha, (52, 36))).tolist() == [level]
    assert enlarged_alpha(alpha, (13, 9)) is alpha
    assert enlarged_alpha(alpha, (7, 5)).shape == (5, 7)


def test_a_thin_line_is_still_there():
    alpha = np.zeros((32, 32), np.uint8)
    np.fill_diagonal(alpha, 255)
    assert np.diagonal(enlarged_alpha(alpha, (128, 128))).min() > 100


def test_colours_run_on_beneath_what_is_transparent():
    rgb = np.zeros((40, 56, 3), np.uint8)
    alpha = np.zeros((40, 56), np.uint8)
    rgb[10:30, 12:40], alpha[10:30, 12:40] = (200, 100, 50), 255
    rgb[20:30, 12:40] = (20, 220, 120)
    found = spread_colours(rgb, alpha)
    np.testing.assert_array_equal(found[alpha > 0], rgb[alpha > 0])
    assert found.min(axis=(0, 1)).tolist() == [20, 100, 50]  # no black left, and nothing beyond the colours
    assert np.abs(found[12, 11].astype(int) - (200, 100, 50)).max() < 20  # close by, what is close


def test_where_nothing_or_all_is_seen_colours_stay():
    rgb = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    for level in (0, 255):
        assert spread_colours(rgb, np.full((8, 8), level, np.uint8)) is rgb


@pytest.mark.parametrize("hidden", [0, 255])
def test_no_fringe_of_hidden_colours(upscaler, hidden):
    """What lies beneath the transparent part makes no difference to the picture."""
    rows, columns = np.mgrid[0:12, 0:16]
    alpha = ((columns - 8) ** 2 + (rows - 6) ** 2 < 16).astype(np.uint8) * 255
    rgb = np.full((12, 16, 3), (180, 90, 60), np.uint8)
    clean = upscaler.upscale(np.dstack([rgb, alpha]), seed=2).picture
    rgb[alpha == 0] = hidden
    np.testing.assert_array_equal(upscaler.upscale(np.dstack([rgb, alpha]), seed=2).picture, clean)
