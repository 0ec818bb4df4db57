"""Symbolic axes in numbers."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.manifests import CARD

from dit4sr.runtime.axes import axis_length, axis_sizes, latent_size
from dit4sr.runtime.errors import BadInputError


def test_every_axis_of_a_run():
    card = replace(CARD, vae_factor=8, patch_size=2, text_tokens=77, default_steps=20)
    assert axis_sizes(card, latent=(8, 12), images=3, branches=2, text=5, steps=4) == {
        "images": 3,
        "branches": 2,
        "rows": 6,
        "height": 8,
        "width": 12,
        "pixel_height": 64,
        "pixel_width": 96,
        "tokens": 24,
        "text": 5,
        "steps": 4,
    }
    usual = axis_sizes(card, latent=(8, 12))
    assert [usual[axis] for axis in ("images", "branches", "rows", "text", "steps")] == [1, 2, 2, 77, 20]
    assert axis_sizes(card, latent=(8, 12), text=0)["text"] == 0


def test_the_latent_of_a_picture():
    assert latent_size(CARD, (64, 96)) == (8, 12)
    for pixels in ((64, 100), (8, 64), (0, 64)):
        with pytest.raises(BadInputError, match="expected sides that are multiples of 16"):
            latent_size(CARD, pixels)


@pytest.mark.parametrize(
    ("axis", "length"),
    [("7", 7), ("rows", 2), ("branches*images", 2), ("((width//2))*((height//2))", 24), ("rows - 1 + 3", 4)],
)
def test_axes(axis, length):
    assert axis_length(axis, {"rows": 2, "branches": 2, "images": 1, "height": 8, "width": 13}) == length


@pytest.mark.parametrize("axis", ["unknown", "__import__('os')", "rows**9", "1.5", "", "rows//", "rows//0"])
def test_an_axis_that_is_none_is_refused(axis):
    with pytest.raises(BadInputError, match="expected arithmetic on rows"):
        axis_length(axis, {"rows": 2})
