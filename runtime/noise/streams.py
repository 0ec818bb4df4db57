"""Seeded noise that matches PyTorch's, without PyTorch.

A seed means the same picture here as in a PyTorch pipeline: the generators and the transforms to normal
numbers are reproduced from their published algorithms (Mersenne Twister, Philox, Box-Muller), including how
PyTorch lays the numbers out.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from enum import Enum
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from dit4sr.runtime.noise.simd_math import logarithm, sine_and_cosine

Floats = NDArray[np.float32]


class Stream(Protocol):
    """A seeded sequence of normal numbers; every call draws further along it."""

    def normal(self, shape: Sequence[int]) -> Floats:
        """Draw standard normal numbers of the given shape."""
        ...


class Rng(Enum):
    """The streams of noise by the name a user types."""

    TORCH_CPU = "torch-cpu"
    TORCH_CUDA = "torch-cuda"
    NUMPY = "numpy"

    def stream(self, seed: int) -> Stream:
        """Begin a stream."""
        streams: dict[Rng, Callable[[int], Stream]] = {
            Rng.TORCH_CPU: TorchCpuStream,
            Rng.TORCH_CUDA: TorchCudaStream,
            Rng.NUMPY: NumpyStream,
        }
        return streams[self](seed)


def picture_seed(seed: int, name: str) -> int:
    """Make a seed of its own for each picture of a job, from the job's seed and the picture's name.

    It does not depend on the order or number of pictures, so a resumed job makes what a full one makes.
    """
    digest = hashlib.sha256(f"{seed}\0{name}".encode("utf-8", "surrogateescape")).digest()
    return int.from_bytes(digest[:4], "little")


class TorchCpuStream:
    """What ``torch.randn`` draws in float32 on the CPU, bit for bit (as PyTorch does on x86 with AVX2)."""

    _block = 16
    """PyTorch turns 8 + 8 uniform numbers into 8 cosines and 8 sines at a time."""
    _at_once = 1 << 18

    def __init__(self, seed: int) -> None:
        self._bits = np.random.MT19937()
        self._bits._legacy_seeding(seed & 0xFFFFFFFF)
        self._kept: float | None = None

    def normal(self, shape: Sequence[int]) -> Floats:
        """Draw what the next call of ``torch.randn(shape)`` would."""
        count = math.prod(shape)
        if count < self._block:
            return np.array([self._single() for _ in range(count)], dtype=np.float32).reshape(shape)
        values = np.empty(count, dtype=np.float32)
        whole = count - count % self._block
        for start in range(0, whole, self._at_once):
            part = values[start : min(start + self._at_once, whole)]
            part[:] = self._blocks(self._uniform(len(part)))
        if whole < count:
            # The incomplete block is drawn, then the last sixteen numbers are replaced by a fresh block.
            self._uniform(count - whole)
            values[-self._block :] = self._blocks(self._uniform(self._block))
        return values.reshape(shape)

    def _uniform(self, count: int) -> Floats:
        bits = self._bits.random_raw(count) & 0xFFFFFF
        return bits.astype(np.float32) * np.float32(2.0**-24)

    def _blocks(self, uniform: Floats) -> Floats:
        radial, angular = np.moveaxis(uniform.reshape(-1, 2, self._block // 2), 1, 0)
        radius = np.sqrt(np.float32(-2) * logarithm(np.float32(1) - radial))
        sine, cosine = sine_and_cosine(np.float32(2 * math.pi) * angular)
        return np.stack([radius * cosine, radius * sine], axis=1).ravel()

    def _single(self) -> float:
        """Draw one of fewer than sixteen numbers: in double precision, every other one kept back."""
        if self._kept is not None:
            value, self._kept = self._kept, None
            return value
        angle, radial = (self._uniform_double() for _ in range(2))
        radius = math.sqrt(-2 * math.log1p(-radial))
        self._kept = radius * math.sin(2 * math.pi * angle)
        return radius * math.cos(2 * math.pi * angle)

    def _uniform_double(self) -> float:
        high, low = (int(bits) for bits in self._bits.random_raw(2))
        return float(((high << 32 | low) & ((1 << 53) - 1)) * 2.0**-53)


class TorchCudaStream:
    """What ``torch.randn`` draws on a CUDA device: Philox 4x32-10, one counter sequence per device thread.

    Equal to a few units in the last place: the device's own sine is an approximation in hardware.
    """

    _block, _lanes = 256, 4
    _inverse = np.float32(2.0**-32)
    _at_once = 1 << 18

    def __init__(self, seed: int, resident_threads: int = 108 * 2048) -> None:
        """``resident_threads`` is how many the device holds; larger tensors depend on it (here: an A100)."""
        self._key = (seed & 0xFFFFFFFF, seed >> 32 & 0xFFFFFFFF)
        self._blocks = resident_threads // self._block
        self._calls = 0

    def normal(self, shape: Sequence[int]) -> Floats:
        """Draw what the next call of ``torch.randn(shape, device="cuda")`` would."""
        count = math.prod(shape)
        values = np.empty(count, dtype=np.float32)
        if count == 0:
            return values.reshape(shape)
        threads = self._block * min(self._blocks, -(-count // self._block))
        for start in range(0, count, self._at_once):
            places = np.arange(start, min(start + self._at_once, count), dtype=np.uint64)
            values[start : start + len(places)] = self._at(places, threads)
        self._calls += -(-count // (threads * self._lanes))
        return values.reshape(shape)

    def _at(self, places: NDArray[np.uint64], threads: int) -> Floats:
        """Numbers at some places: each thread fills every ``threads``-th, four to a call of the generator."""
        call = places // np.uint64(threads * self._lanes) + np.uint64(self._calls)
        lane = places // np.uint64(threads) % np.uint64(self._lanes)
        thread = places % np.uint64(threads)
        zero = np.zeros_like(places)
        words = philox((call & _WORD, call >> _SHIFT, thread, zero), self._key)
        second_pair = lane >= 2
        radial, angular = (
            np.where(second_pair, later, first).astype(np.float32)
            for first, later in ((words[0], words[2]), (words[1], words[3]))
        )
        # A half step up keeps both from zero.
        radius = np.sqrt(np.float32(-2) * np.log(radial * self._inverse + self._inverse / 2))
        step = np.float32(2.0**-32 * 2 * math.pi)
        angle = angular * step + step / 2
        turned: Floats = radius * np.where(lane % 2 == 0, np.sin(angle), np.cos(angle))
        return turned


class NumpyStream:
    """NumPy's own generator, PCG64, for whoever needs no match with PyTorch."""

    def __init__(self, seed: int) -> None:
        self._generator = np.random.Generator(np.random.PCG64(seed))

    def normal(self, shape: Sequence[int]) -> Floats:
        """Draw standard normal numbers of the given shape."""
        return self._generator.standard_normal(tuple(shape), dtype=np.float32)


_WORD, _SHIFT = np.uint64(0xFFFFFFFF), np.uint64(32)
_MULTIPLIERS = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
_WEYL = 0x9E3779B9, 0xBB67AE85

Words = tuple[NDArray[np.uint64], NDArray[np.uint64], NDArray[np.uint64], NDArray[np.uint64]]


def philox(counter: Words, key: tuple[int, int]) -> Words:
    """Compute Philox 4x32 with ten rounds, its 32-bit words in 64-bit integers."""
    first, second, third, fourth = counter
    for turn in range(10):
        keys = [np.uint64(part + turn * weyl & 0xFFFFFFFF) for part, weyl in zip(key, _WEYL, strict=True)]
        low, high = first * _MULTIPLIERS[0], third * _MULTIPLIERS[1]
        first, second = (high >> _SHIFT) ^ second ^ keys[0], high & _WORD
        third, fourth = (low >> _SHIFT) ^ fourth ^ keys[1], low & _WORD
    return first, second, third, fourth
