"""Noise against PyTorch, and the counter generator against its published answers."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch

from dit4sr.runtime.noise.simd_math import fused
from dit4sr.runtime.noise.streams import (
    NumpyStream,
    Rng,
    TorchCpuStream,
    TorchCudaStream,
    philox,
    picture_seed,
)

SIZES = [*range(1, 41), 63, 64, 1000, 4097, 16384, 65537, 3 * 5 * 7 * 11]


@pytest.mark.parametrize("seed", [0, 1, 42, 2**32 - 1, 2**32 + 7, 67280421310721])
def test_the_cpu_stream_is_torchs_bit_for_bit(seed):
    ours, theirs = TorchCpuStream(seed), torch.Generator().manual_seed(seed)
    for size in SIZES:  # one stream: what one draw leaves behind, the next must find
        np.testing.assert_array_equal(ours.normal([size]), torch.randn(size, generator=theirs).numpy())


def test_the_cpu_stream_is_torchs_in_a_million_numbers_and_any_shape():
    theirs = torch.randn(2, 16, 190, 181, generator=torch.Generator().manual_seed(3)).numpy()
    np.testing.assert_array_equal(TorchCpuStream(3).normal(theirs.shape), theirs)


def test_fused_rounds_once():
    """Cases where a double that was rounded onto a midpoint would round the wrong way a second time."""
    rng = np.random.default_rng(0)
    a = np.float32([1 + 2.0**-12] * 2 + list(rng.normal(size=200)))
    b = np.float32([1 + 2.0**-12] * 2 + list(rng.normal(size=200)))
    c = np.float32([2.0**-60, -(2.0**-60), *rng.normal(size=200)])
    for x, y, z, got in zip(a, b, c, fused(a, b, c), strict=True):
        exact = Fraction(float(x)) * Fraction(float(y)) + Fraction(float(z))
        neighbours = [np.nextafter(got, np.float32(side)) for side in (-np.inf, np.inf)]
        distance = abs(Fraction(float(got)) - exact)
        assert all(distance <= abs(Fraction(float(other)) - exact) for other in neighbours)


@pytest.mark.parametrize(
    ("counter", "key", "answer"),
    [
        ([0] * 4, (0, 0), "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
        ([0xFFFFFFFF] * 4, (0xFFFFFFFF,) * 2, "408f276d 41c83b0e a20bc7c6 6d5451fd"),
        (
            [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344],
            (0xA4093822, 0x299F31D0),
            "d16cfe09 94fdcceb 5001e420 24126ea1",
        ),
    ],
)
def test_philox_gives_the_published_answers(counter, key, answer):
    words = philox(tuple(np.array([word], dtype=np.uint64) for word in counter), key)
    assert " ".join(f"{int(word[0]):08x}" for word in words) == answer


def test_the_cuda_stream_gives_recorded_values():
    """The first draws on a CUDA device after ``torch.manual_seed(0)``, as the community has recorded them."""
    recorded = [-0.92466259, -0.42534415, -2.6438457, 0.14518388, -0.12086647, -0.57972564]
    recorded += [-0.62285122, -0.32838709, -1.07454231, -0.36314407, -1.67105067, 2.26550497]
    np.testing.assert_allclose(TorchCudaStream(0).normal([3, 4]).ravel(), recorded, rtol=0, atol=2e-6)


def test_the_cuda_stream_wraps_around_the_devices_threads():
    """With room for 512 threads, place 512 is the first thread's second lane, 2048 its second call."""
    small = TorchCudaStream(5, resident_threads=512).normal([4096])
    wide = TorchCudaStream(5).normal([512])
    np.testing.assert_array_equal(small[:512], wide)
    later = TorchCudaStream(5)
    later.normal([512])
    np.testing.assert_array_equal(small[2048 : 2048 + 512], later.normal([512]))
    assert len(np.unique(small)) > 4090


@pytest.mark.parametrize("rng", Rng)
def test_streams_are_normal_and_repeatable(rng):
    values = rng.stream(11).normal([300_001])
    assert values.dtype == np.float32
    assert abs(values.mean()) < 0.01
    assert abs(values.std() - 1) < 0.01
    np.testing.assert_array_equal(rng.stream(11).normal([300_001]), values)
    assert rng.stream(11).normal([0, 4]).shape == (0, 4)


def test_numpy_stream_differs_by_seed():
    assert NumpyStream(1).normal([4])[0] != NumpyStream(2).normal([4])[0]


def test_a_pictures_seed_depends_on_nothing_but_seed_and_name():
    assert picture_seed(0, "a.png") == picture_seed(0, "a.png")
    assert len({picture_seed(seed, name) for seed in range(20) for name in "abcde"}) == 100
