"""What callers get wrong: a status and a line, in every function, and the next call works."""

from __future__ import annotations

import ctypes
from ctypes import byref, c_void_p

import numpy as np
import pytest
from support.native.abi import WAITS, Card, Estimate, FailedError, Options, Pixels, Request
from support.photos import make_photo

PHOTO = make_photo(12, 10)


def changed(structure, **fields):
    for name, value in fields.items():
        setattr(structure, name, value)
    return structure


WRONG_PIXELS = {
    "no data": {"data": None},
    "no channels": {"channels": 0},
    "five channels": {"channels": 5},
    "12 bits": {"bits": 12},
    "no width": {"width": 0},
    "no height": {"height": 0},
    "a width that overflows": {"width": 2**32 - 1},
    "a height that overflows": {"height": 2**31 - 1, "stride": 2**62},
    "rows over one another": {"stride": 29},
    "16 bits that are not aligned": {"bits": 16, "width": 5, "stride": 31},
    "no size": {"size": 0},
    "a size of nothing known": {"size": 1 << 40},
    "a size that ends within a field": {"size": 13},
}


@pytest.mark.parametrize("fault", WRONG_PIXELS)
def test_wrong_pixels(library, opened, fault):
    given, output = changed(Pixels.of(PHOTO), **WRONG_PIXELS[fault]), Pixels()
    with pytest.raises(FailedError) as failure:
        library.call("upscale", opened, given, None, output)
    assert failure.value.status == 2
    assert failure.value.found
    assert output.data is None


WRONG_OUTPUTS = {
    "too small": {"width": 39},
    "too large": {"height": 49},
    "other channels": {"channels": 4, "stride": 160},
    "other bits": {"bits": 16, "stride": 240},
    "rows over one another": {"stride": 119},
    "a picture that is still owned": {"owner": 1},
}


@pytest.mark.parametrize("fault", WRONG_OUTPUTS)
def test_wrong_outputs_are_refused_before_the_work(library, opened, fault):
    target = np.full((49, 41 * 8), 0xDD, np.uint8)
    output = Pixels(data=target.ctypes.data, width=40, height=48, channels=3, bits=8, stride=120)
    with pytest.raises(FailedError) as failure:
        library.call("upscale", opened, Pixels.of(PHOTO), None, changed(output, **WRONG_OUTPUTS[fault]))
    assert failure.value.status == 2
    assert (target == 0xDD).all()


WRONG_REQUESTS = {
    "steps": {"steps": 1001},
    "scale": {"scale": -1.0},
    "a scale that is no number": {"scale": float("nan")},
    "guidance": {"guidance": 0.5},
    "solver": {"solver": b"eulr"},
    "text that is no UTF-8": {"solver": b"\xff\xfe"},
    "tile": {"tile": 3},
    "more that is no JSON": {"more": b"{"},
    "more that is nested": {"more": b"[" * 100_000},
    "more that is no object": {"more": b"[1]"},
    "more of another name": {"more": b'{"stepps": 3}'},
    "more of another type": {"more": b'{"steps": "many"}'},
    "more with a wording": {"more": b'{"wording": 5}'},
    "a prompt that nobody reads": {"prompt": b"\xc3"},
}


@pytest.mark.parametrize("fault", WRONG_REQUESTS)
def test_wrong_requests(library, opened, fault):
    with pytest.raises(FailedError) as failure:
        library.upscale(opened, PHOTO, **WRONG_REQUESTS[fault])
    assert failure.value.status in {2, 3}, failure.value
    with pytest.raises(FailedError):
        library.output_size(opened, 10, 12, **{**WRONG_REQUESTS[fault], "more": b"{", "prompt": None})
    assert library.upscale(opened, PHOTO).shape == (48, 40, 3)


def test_null_wherever_an_address_is_wanted(library, opened):
    upscaler, sizes, pixels = c_void_p(), (c_void_p(), c_void_p()), Pixels.of(PHOTO)
    for name, *arguments in (
        ("open", None, None),
        ("close", None, WAITS),
        ("get_card", opened, None),
        ("get_card", None, Card()),
        ("upscale", None, pixels, None, Pixels()),
        ("upscale", opened, None, None, Pixels()),
        ("upscale", opened, pixels, None, None),
        ("upscale_tensor", opened, None, None, None, byref(upscaler)),
        ("upscale_tensor", opened, 1, None, None, None),
        ("output_size", opened, None, 1, 1, None, byref(sizes[0])),
        ("output_size", opened, None, 1, 1, byref(sizes[0]), None),
        ("output_size", opened, None, 0, 1, byref(sizes[0]), byref(sizes[1])),
        ("get_estimate", opened, None, 1, 1, None),
        ("get_estimate", opened, None, 1, 0, Estimate()),
        ("cancel_create", None),
    ):
        with pytest.raises(FailedError) as failure:
            library.call(name, *arguments)
        assert failure.value.status == 2, name
    library.c.dit4sr_pixels_free(None)
    library.c.dit4sr_cancel_set(None)
    library.c.dit4sr_cancel_destroy(None)
    assert library.c.dit4sr_has_feature(None) == 0
    assert library.c.dit4sr_has_feature(b"dlpack") == 1
    assert library.c.dit4sr_has_feature(b"teleport") == 0


WRONG_OPTIONS = {
    "backend": ({"backend": b"teleport"}, 2),
    "backend without engines": ({"backend": b"tensorrt"}, 4),
    "device": ({"device": b"abacus"}, 2),
    "flags": ({"flags": 1 << 20}, 2),
    "bundle": ({"bundle": b"/nowhere"}, 2),
    "bundle of a name that nobody can have": ({"bundle": b"\xff\n" * 50}, 2),
    "size": ({"size": 4}, 2),
}


@pytest.mark.parametrize("fault", WRONG_OPTIONS)
def test_wrong_options(library, toy_bundle, fault):
    fields, status = WRONG_OPTIONS[fault]
    upscaler = c_void_p(7)
    options = changed(Options(bundle=str(toy_bundle).encode()), **fields)
    with pytest.raises(FailedError) as failure:
        library.call("open", options, byref(upscaler))
    assert failure.value.status == status, failure.value
    assert upscaler.value is None


def test_a_bundle_that_was_altered_is_refused_as_by_python(library, toy_bundle, tmp_path):
    import shutil  # noqa: PLC0415

    bundle = shutil.copytree(toy_bundle, tmp_path / "bundle")
    graph = bundle / "onnx" / "step.onnx"
    graph.write_bytes(graph.read_bytes()[:-1] + b"\0")
    upscaler = library.open(bundle)
    with pytest.raises(FailedError, match="step") as failure:
        library.upscale(upscaler, PHOTO)
    assert failure.value.status == 5
    library.call("close", upscaler, WAITS)


def test_an_upscaler_that_is_closed_is_refused_everywhere(library, toy_bundle):
    upscaler = library.open(toy_bundle)
    library.call("close", upscaler, WAITS)
    for name, *arguments in (
        ("close", WAITS),
        ("get_card", Card()),
        ("upscale", Pixels.of(PHOTO), None, Pixels()),
        ("output_size", None, 1, 1, byref(c_void_p()), byref(c_void_p())),
        ("get_estimate", None, 1, 1, Estimate()),
    ):
        for ticket in (upscaler, c_void_p(0xDEADBEEF), c_void_p(2**64 - 1)):
            with pytest.raises(FailedError, match="closed, or was never opened"):
                library.call(name, ticket, *arguments)


def test_no_way_to_close_that_does_not_exist(library, opened):
    with pytest.raises(FailedError, match="no such way"):
        library.call("close", opened, 5)


def test_structures_of_older_and_newer_callers(library, opened):
    """A shorter one leaves its new fields at their defaults; a longer one may not ask for what is unknown."""
    expected = library.upscale(opened, PHOTO, seed=4)
    older = Request(seed=4, steps=1000)
    older.size = Request.steps.offset
    output = Pixels()
    library.call("upscale", opened, Pixels.of(PHOTO), older, output)
    np.testing.assert_array_equal(output.levels(), expected)
    library.c.dit4sr_pixels_free(byref(output))

    class Newer(ctypes.Structure):
        _fields_ = (("known", Request), ("wish", ctypes.c_uint64))

    newer = Newer(known=Request(seed=4))
    newer.known.size = ctypes.sizeof(Newer)
    library.call("upscale", opened, Pixels.of(PHOTO), newer, output)
    np.testing.assert_array_equal(output.levels(), expected)
    library.c.dit4sr_pixels_free(byref(output))
    newer.wish = 1
    with pytest.raises(FailedError, match="does not know"):
        library.call("upscale", opened, Pixels.of(PHOTO), newer, output)

    card = Card(tile=7)
    card.size = Card.tile.offset
    library.call("get_card", opened, card)
    assert card.name == b"toy"
    assert (card.size, card.tile) == (Card.tile.offset, 7)

    unowned = Pixels()
    unowned.size = Pixels.owner.offset
    with pytest.raises(FailedError, match="no room for who owns"):
        library.call("upscale", opened, Pixels.of(PHOTO), None, unowned)


def test_messages_that_are_too_long_end_between_characters(library):
    with pytest.raises(FailedError) as failure:
        library.open(("/" + "é" * 3000).encode().decode())
    assert set(failure.value.message) >= {"é"}
    assert len(failure.value.message.encode()) < 2048
