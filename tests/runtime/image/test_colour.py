"""Colour fixes against their definitions, written with torch as the released ones are."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from dit4sr.runtime.image.colour import ColourFix


def pictures(height: int = 90, width: int = 70) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    ramp = np.linspace(30, 220, height * width * 3).reshape(height, width, 3)
    content = (ramp + rng.normal(0, 25, ramp.shape)).clip(0, 255).astype(np.uint8)
    style = (ramp[::-1] * [0.5, 0.8, 1.1] + rng.normal(0, 5, ramp.shape)).clip(0, 255).astype(np.uint8)
    return content, style


def as_tensor(picture: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(picture).permute(2, 0, 1)[None].double() / 255


def as_levels(tensor: torch.Tensor) -> np.ndarray:
    return (tensor[0].clamp(0, 1) * 255).permute(1, 2, 0).numpy()


def cut_off(levels: np.ndarray) -> np.ndarray:
    """As the released fixes do."""
    return (levels + 1e-9).astype(np.uint8)


def adain(content: torch.Tensor, style: torch.Tensor) -> torch.Tensor:
    def moments(x):
        return x.mean((2, 3), keepdim=True), (x.var((2, 3), keepdim=True) + 1e-5).sqrt()

    (mean, spread), (style_mean, style_spread) = moments(content), moments(style)
    return (content - mean) / spread * style_spread + style_mean


def wavelet(content: torch.Tensor, style: torch.Tensor) -> torch.Tensor:
    kernel = torch.tensor([1.0, 2, 1], dtype=torch.double)
    kernel = (kernel[:, None] * kernel / 16).expand(3, 1, 3, 3)

    def split(x):
        detail = torch.zeros_like(x)
        for level in range(5):
            reach = 2**level
            low = F.conv2d(F.pad(x, [reach] * 4, mode="replicate"), kernel, groups=3, dilation=reach)
            detail += x - low
            x = low
        return detail, x

    return split(content)[0] + split(style)[1]


EVERY = pytest.mark.parametrize(
    ("fix", "definition"), [(ColourFix.ADAIN, adain), (ColourFix.WAVELET, wavelet)]
)


@EVERY
@pytest.mark.parametrize("height", [20, 90, 600])
def test_fix_is_its_definition(fix, definition, height):
    content, style = pictures(height)
    expected = cut_off(as_levels(definition(as_tensor(content), as_tensor(style))))
    difference = np.abs(fix.apply(content, style, cuts_off=True).astype(int) - expected)
    assert difference.max() <= 1
    assert (difference > 0).mean() < 1e-3


@EVERY
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_no_fix_makes_a_picture_darker(fix, definition, dtype):
    """Cut off, every channel is half a level below what the definition says."""
    content, style = pictures()
    check_mean(fix, definition, content, style, dtype)


@pytest.mark.parametrize("brighter", [0.1, 0.3, 0.5, 0.7, 0.9])
def test_a_shift_by_less_than_a_level_is_not_lost(brighter):
    """Every level is moved alike: of 8 bits all would stay, or all would go up by one."""
    content, _ = pictures()
    is_up = np.random.default_rng(2).random(content.shape) < brighter
    style = (content + is_up * (content < 255)).astype(np.uint8)
    check_mean(ColourFix.ADAIN, adain, content, style, np.uint8)


def check_mean(fix, definition, content, style, dtype) -> None:
    """Of a picture as the decoder makes it, in levels between those of 8 bits."""
    top = np.iinfo(dtype).max
    between = np.random.default_rng(3).integers(-128, 129, content.shape)
    content = (content.astype(int) * 257 + between).clip(0, 65535).astype(np.uint16)
    style = style.astype(dtype) * dtype(top // 255)
    assert content.dtype == fix.depth(style)
    exact = definition(as_tensor(content) * 255 / 65535, as_tensor(style) * 255 / top)
    levels = as_levels(exact) / 255 * top
    got = fix.apply(content, style)
    assert got.dtype == dtype
    np.testing.assert_allclose(got.mean((0, 1)), levels.mean((0, 1)), atol=0.1)
    assert np.abs(got - levels).max() < 1.001
    assert np.abs(got.astype(int) - np.floor(levels)).max() <= 1


@pytest.mark.parametrize("fix", [ColourFix.ADAIN, ColourFix.WAVELET])
def test_what_is_spread_has_no_gaps_and_one_more_in_sixteen_bits_is_at_most_one_more(fix):
    """From whole levels there would be gaps, and two engines' last bits could end two levels apart."""
    content, style = pictures(400)
    fine = (content.astype(int) * 64 + np.arange(content.size).reshape(content.shape) % 64).astype(np.uint16)
    wide = ((style.astype(int) - 128) * 2 + 128).clip(0, 255).astype(np.uint8)
    got, next_to = fix.apply(fine, wide), fix.apply(fine + np.uint16(1), wide)
    assert np.diff(np.unique(got)).max() == 1
    assert np.abs(next_to.astype(int) - got).max() <= 1


def test_the_released_fix_and_none_start_from_levels_as_deep_as_the_result():
    style = np.zeros((1, 1, 3), np.uint8)
    assert ColourFix.NONE.depth(style) == ColourFix.ADAIN.depth(style, cuts_off=True) == np.uint8
    assert ColourFix.WAVELET.depth(style) == ColourFix.ADAIN.depth(style.astype(np.uint16)) == np.uint16


def test_the_spread_of_two_pixels_is_that_of_a_sample():
    """Torch's, with n - 1: of many pixels it is as good as that of all, and of few it shows."""
    content, style = (np.full((1, 2, 3), [[[low], [high]]], np.uint8) for low, high in [(98, 102), (50, 150)])
    expected = cut_off(as_levels(adain(as_tensor(content), as_tensor(style))))
    assert expected[0, :, 0].tolist() == [51, 148]
    assert np.array_equal(ColourFix.ADAIN.apply(content, style, cuts_off=True), expected)


@pytest.mark.parametrize("fix", ColourFix)
def test_a_picture_in_its_own_colours_stays(fix):
    content, _ = pictures()
    assert np.abs(fix.apply(content, content).astype(int) - content).max() <= 1


@pytest.mark.parametrize("fix", ColourFix)
def test_flat_and_tiny_pictures_survive(fix):
    for shape in ((1, 1, 3), (1, 40, 3), (8, 8, 3)):
        flat = np.full(shape, 7, dtype=np.uint8)
        assert fix.apply(flat, np.full(shape, 200, dtype=np.uint8)).shape == shape


def test_adain_brings_the_means_over():
    content, style = pictures()
    np.testing.assert_allclose(
        ColourFix.ADAIN.apply(content, style).mean((0, 1)), style.mean((0, 1)), atol=1.0
    )


def test_the_wavelet_fix_does_not_see_its_bands():
    """Rows around a band's border come out as they do when the picture is shifted off that border."""
    content, style = pictures(400)
    whole = ColourFix.WAVELET.apply(content, style)
    shifted = ColourFix.WAVELET.apply(content[100:], style[100:])
    np.testing.assert_array_equal(whole[140:], shifted[40:])
