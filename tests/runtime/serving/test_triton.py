"""A real Triton Inference Server restores what the library restores, and refuses what the command refuses."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image
from support.triton_server.asking import MODEL, PROTOCOLS, Client

from dit4sr.runtime import Upscaler


def as_png(levels, **options) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(levels).save(stream, "PNG", **options)
    return stream.getvalue()


@pytest.fixture(params=PROTOCOLS)
def client(request, server):
    with Client(getattr(server, request.param), request.param, MODEL) as client:
        yield client


@pytest.fixture(scope="module")
def restored(photo):
    with Upscaler() as upscaler:
        return upscaler(photo, seed=7, steps=1)


def test_levels_come_back_as_the_library_restores_them(client, photo, restored):
    assert np.array_equal(client.picture(picture=photo, seed=7, steps=1), restored.picture)


def test_a_file_comes_back_as_a_file_with_all_that_it_had(client, photo, restored):
    alpha = np.full((*photo.shape[:2], 1), 200, np.uint8)
    wanted = ("file", "picture", "warnings", "seconds")
    answer = client.ask(file=as_png(np.dstack([photo, alpha])), seed=7, steps=1, wanted=wanted)
    image = Image.open(io.BytesIO(answer.as_numpy("file")[0]))
    assert image.mode == "RGBA"
    assert np.array_equal(np.asarray(image)[..., :3], restored.picture)
    assert answer.as_numpy("warnings").tolist() == [b"transparency is in the output file only"]
    assert 0 < answer.as_numpy("seconds")[0] < 60


BOMB = b"P6 65536 65536 255\n"
BAD = {
    "nothing": ({}, "neither of the inputs picture and file; expected one of them"),
    "junk": ({"file": b"junk"}, "the picture is no picture in a format known here; expected PNG"),
    "empty": ({"file": b""}, "the picture is empty"),
    "cut": ({"file": as_png(np.eye(64, dtype=np.uint8) * 90)[:70]}, "the picture is damaged"),
    "large": ({"file": BOMB}, "the picture has 65536×65536 pixels; expected 67,108,864 at most"),
    "five channels": ({"picture": np.zeros((4, 4, 5), np.uint8)}, "an array of shape (4, 4, 5)"),
    "steps": ({"picture": np.zeros((8, 8, 3), np.uint8), "steps": -1}, "-1 steps; expected a whole number"),
    "preset": ({"picture": np.zeros((8, 8, 3), np.uint8), "preset": "no"}, "no preset 'no'"),
    "no words": (
        {"picture": np.zeros((8, 8, 3), np.uint8), "prompt": b"\xff"},
        "prompt b'\\xff' is not UTF-8",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_request_gets_one_line(client, name):
    values, line = BAD[name]
    if not values:
        values = {"steps": 1}
    said = client.refusal(**values)
    assert said.startswith(line)
    assert "\n" not in said


def test_what_was_done_is_in_the_metrics(client, server, photo):
    def count(name, label):
        lines = [line for line in server.metrics().splitlines() if line.startswith(name) and label in line]
        return sum(float(line.split()[-1]) for line in lines)

    names = [
        ("dit4sr_pictures", 'outcome="restored"'),
        ("dit4sr_steps", ""),
        ("dit4sr_seconds", 'component="step"'),
    ]
    before = [count(*name) for name in names]
    client.ask(picture=photo, steps=2)
    pictures, steps, seconds = (count(*name) - was for name, was in zip(names, before, strict=True))
    assert (pictures, steps) == (1, 2)
    assert seconds > 0


def test_probes_find_it_ready(server):
    for path in ("live", "ready"):
        assert server.is_ready(f"/v2/health/{path}")
    assert server.is_ready(f"/v2/models/{MODEL}/ready")
