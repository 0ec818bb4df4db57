"""The file of what was seen: whole, of the same weights and photos, or refused."""

from __future__ import annotations

import io
import json
import random
from dataclasses import replace

import numpy as np
import pytest

from dit4sr.calibrate.observe.histogram import percentile
from dit4sr.calibrate.observe.statistics import Origin, Statistics, photo_digests, resumed
from dit4sr.runtime.errors import AccuracyError, BadInputError, IntegrityError

ORIGIN = Origin("weights", ("one", "two"), {"steps": 2, "guidance": 2.0})


def seen() -> Statistics:
    statistics = Statistics(ORIGIN, steps=2)
    noise = np.random.default_rng(0)
    for step in range(2):
        values = (noise.normal(size=(2, 7, 5)) * (step + 1)).astype(np.float16)
        statistics.see(step, {"blocks.0.x": values, "y": values[..., :3]})
    statistics.seen.append("one")
    return statistics


def test_each_step_and_channel_keeps_its_largest():
    statistics = Statistics(ORIGIN, steps=2)
    first, second = np.zeros((2, 3), np.float16), np.zeros((2, 3), np.float16)
    first[0, 1], second[1, 2] = -5, 3
    statistics.see(0, {"x": first})
    statistics.see(1, {"x": second})
    statistics.see(1, {"x": second / 2})
    x = statistics.tensors["x"]
    assert x.amax.tolist() == [5, 3]
    assert x.channels.tolist() == [0, 5, 3]
    assert x.counts.sum(axis=1).tolist() == [6, 12]
    assert x.over(slice(1, None))[0] == 3
    assert percentile(x.over(slice(None))[1], 0.99999) == pytest.approx(5, rel=0.04)


def test_what_is_written_is_read(tmp_path):
    before = seen()
    before.save(tmp_path / "seen.npz")
    after = Statistics.load(tmp_path / "seen.npz", ORIGIN)
    assert after.seen == ["one"]
    assert after.tensors.keys() == before.tensors.keys()
    for name, tensor in before.tensors.items():
        for field in ("amax", "counts", "channels"):
            assert np.array_equal(getattr(after.tensors[name], field), getattr(tensor, field))
    assert resumed(tmp_path / "none.npz", ORIGIN, 2).seen == []


@pytest.mark.parametrize(
    "other",
    [
        replace(ORIGIN, weights="others"),
        replace(ORIGIN, photos=("one",)),
        replace(ORIGIN, settings={"steps": 2, "guidance": 8.0}),
    ],
    ids=["weights", "photos", "settings"],
)
def test_other_origins_are_refused_by_name(tmp_path, other, request):
    seen().save(tmp_path / "seen.npz")
    with pytest.raises(BadInputError, match=f"other {request.node.callspec.id}"):
        Statistics.load(tmp_path / "seen.npz", other)


def test_damage_anywhere_is_noticed(tmp_path):
    """A flipped byte is met by the archive's checksum, its parser, or our digest."""
    file = tmp_path / "seen.npz"
    seen().save(file)
    content, dice = file.read_bytes(), random.Random(0)
    for _ in range(60):
        place = dice.randrange(len(content))
        file.write_bytes(content[:place] + bytes([content[place] ^ 0x41]) + content[place + 1 :])
        try:
            read = Statistics.load(file, ORIGIN)
        except (IntegrityError, BadInputError):
            continue
        # Dates and the like may differ; what was seen may not.
        assert np.array_equal(read.tensors["y"].counts, seen().tensors["y"].counts)
    for length in (0, 1, len(content) // 2, len(content) - 1):
        file.write_bytes(content[:length])
        with pytest.raises(IntegrityError, match="remove it"):
            Statistics.load(file, ORIGIN)


def test_a_header_that_lies_is_refused(tmp_path):
    file = tmp_path / "seen.npz"
    seen().save(file)
    with np.load(file) as stored:
        arrays = dict(stored)
    for key, value in (("steps", 3), ("version", 2), ("seen", ["three"]), ("digest", "0")):
        header = json.loads(arrays["header"].tobytes()) | {key: value}
        buffer = io.BytesIO()
        np.savez(buffer, **{**arrays, "header": np.frombuffer(json.dumps(header).encode(), np.uint8)})
        file.write_bytes(buffer.getvalue())
        with pytest.raises(IntegrityError):
            Statistics.load(file, ORIGIN)


def test_numbers_that_are_none_stop_the_calibration():
    with pytest.raises(AccuracyError, match="x is not finite at step 2 of 2"):
        Statistics(ORIGIN, steps=2).see(1, {"x": np.float16([[1, np.inf]])})


def test_photos_are_known_by_pixels_and_shape():
    photo = np.zeros((4, 6, 3), np.uint8)
    assert len({*photo_digests([photo, photo, photo.reshape(6, 4, 3), photo + 1])}) == 3
