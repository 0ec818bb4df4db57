"""Profiles of plans: which sizes are asked for, and which are refused."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from support.runtime_system import CARD

from dit4sr.export.engines.plans.profiles import profiles_of
from dit4sr.export.engines.plans.spans import Span, picture_spans
from dit4sr.export.engines.tensorrt.config import TensorRtConfig
from dit4sr.runtime.bundles.manifest import Component, FileRecord, TensorSpec
from dit4sr.runtime.errors import BadInputError
from dit4sr.runtime.sampling.tiles import Tiling

FULL = replace(CARD, training_tile=64, vae_factor=8, text_tokens=333, default_steps=40)


def component(*inputs: str) -> Component:
    specs = []
    for line in inputs:
        name, axes = line.split(": ")
        shape = tuple(int(axis) if axis.isdigit() else axis for axis in axes.split())
        specs.append(TensorSpec(name, "float32", shape))
    return Component((FileRecord("a.onnx", 1, "0" * 64),), "fp16", tuple(specs), ())


COMPONENTS = {
    "text_clip_l": component("token_ids: images 77"),
    "text_t5": component("token_ids: images text"),
    "vae_decoder": component("latent: images 16 height width"),
    "prepare": component("condition: rows 16 height width", "timesteps: steps", "text: rows text 4096"),
    "step": component("latent: images 16 height width", "guidance: branches", "lr_tokens: rows tokens 1536"),
}


def shapes(name: str, **options) -> dict[str, list]:
    config = TensorRtConfig(**options)
    profiles = profiles_of(FULL, name, COMPONENTS, config)
    return {p.name: [p.shapes(spec) for spec in COMPONENTS[name].inputs] for p in profiles}


def fixed(*sizes: int) -> tuple:
    return (sizes, sizes, sizes)


def test_by_default_the_network_has_one_tile_with_and_without_guidance():
    assert shapes("step") == {
        "512x512-2-rows": [fixed(1, 16, 64, 64), fixed(2), fixed(2, 1024, 1536)],
        "512x512-1-row": [fixed(1, 16, 64, 64), fixed(1), fixed(1, 1024, 1536)],
    }
    condition, text = fixed(2, 16, 64, 64), fixed(2, 333, 4096)
    assert shapes("prepare")["512x512-2-rows"] == [condition, ((1,), (40,), (100,)), text]
    assert shapes("prepare", steps=10)["512x512-2-rows"] == [condition, fixed(10), text]


def test_plans_may_be_for_fewer_words():
    assert shapes("prepare", text_tokens=154)["512x512-2-rows-154-tokens"][2] == fixed(2, 154, 4096)
    assert shapes("text_t5", text_tokens=154) == {"154-tokens": [fixed(1, 77)]}
    assert shapes("text_clip_l", text_tokens=154) == shapes("text_clip_l")
    assert shapes("vae_decoder", text_tokens=154) == shapes("vae_decoder")


def test_encoders_read_their_share_of_the_words():
    assert shapes("text_clip_l") == {"": [fixed(1, 77)]}
    assert shapes("text_t5") == {"": [fixed(1, 256)]}


@pytest.mark.parametrize("tile", [64, 96])
def test_the_vae_takes_pictures_of_any_size(tile):
    """All that the runtime's tilings ask for, up to four times as long as wide, has a plan."""
    options = {} if tile == FULL.training_tile else {"pictures": (picture_spans(f"{8 * tile}x{8 * tile}"),)}
    ranges = [spans for [spans] in shapes("vae_decoder", **options).values()]
    assert len(ranges) == 3
    for height, width in itertools.product(range(FULL.training_tile, 5 * tile, 3), repeat=2):
        tiling = Tiling.cover(height, width, 2 * tile, tile // 2)
        size = (1, 16, tiling.tile_height, tiling.tile_width)
        if max(size) <= 4 * tile:
            assert any(np.all(np.less_equal([a, size], [size, c])) for a, _, c in ranges), size


def test_sizes_can_be_asked_for():
    found = shapes("step", pictures=(picture_spans("256x768"),), images=(1, 4), branches=(2,), steps=10)
    assert found["256x768-8-rows"] == [fixed(4, 16, 32, 96), fixed(2), fixed(8, 16 * 48, 1536)]
    assert found.keys() == {"256x768-2-rows", "256x768-8-rows"}
    assert picture_spans("256X256:512x512:1024×768") == (Span(256, 512, 1024), Span(256, 512, 768))
    assert picture_spans("512x512:1024x768") == (Span(512, 1024, 1024), Span(512, 768, 768))
    assert picture_spans("512:512x512") == picture_spans("512") == (Span.at(512), Span.at(512))


@pytest.mark.parametrize("text", ["", "512x", "axb", "9x9:8x8:7x7", "0x512", "1x2x3", "1:2:3:4"])
def test_what_is_no_profile_is_refused(text):
    with pytest.raises(BadInputError):
        picture_spans(text)


def test_sizes_that_do_not_divide_are_refused():
    with pytest.raises(BadInputError, match="a picture of 100×512; expected sides that are multiples of 16"):
        shapes("step", pictures=(picture_spans("100x512"),))
    with pytest.raises(BadInputError, match="axis 'length' of unknown size"):
        profiles_of(FULL, "x", {"x": component("a: length")}, TensorRtConfig())
