"""The pictures that a bundle is measured with."""

from __future__ import annotations

import numpy as np
from PIL import Image

from dit4sr.bench.pictures import InputPicture


def test_they_are_compared_in_8_bits_whatever_their_files_have(tmp_path):
    levels = np.array([[0, 128, 129, 65535]], dtype=np.uint16)
    Image.fromarray(levels).save(tmp_path / "deep.png")
    pixels = InputPicture.read(tmp_path / "deep.png").pixels
    assert pixels.dtype == np.uint8
    assert pixels[0, :, 0].tolist() == [0, 0, 1, 255]
