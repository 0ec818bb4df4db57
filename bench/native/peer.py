"""Restores as `host.cpp` does, in Python: the yardstick. A program of its own, so that it imports no more."""

from __future__ import annotations

import functools
import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from dit4sr.runtime import Upscaler

SEEDS = 4


def main(words: list[str]) -> None:
    """Take the words that the C++ program takes, and print what it prints."""
    bundle = words[0]
    threads, requests, width, height, steps = map(int, words[1:])
    levels = (np.arange(3 * width * height) * 37 % 251).astype(np.uint8).reshape(height, width, 3)
    upscaler = Upscaler(bundle, threads=1, use_cache=False)
    restore = functools.partial(upscaler, levels, steps=steps or None)
    serial = [restore(seed=0).picture]
    seconds, unequal = 0.0, 0

    def worker(thread: int) -> int:
        seeds = [(thread + i) % SEEDS for i in range(requests)]
        return sum(not np.array_equal(restore(seed=seed).picture, serial[seed]) for seed in seeds)

    if requests:
        serial.extend(restore(seed=seed).picture for seed in range(1, SEEDS))
        start = time.perf_counter()
        with ThreadPoolExecutor(threads) as pool:
            unequal = sum(pool.map(worker, range(threads)))
        seconds = time.perf_counter() - start
    print(  # noqa: T201 - what the other program prints
        json.dumps(
            {
                "pictures": threads * requests,
                "seconds": seconds,
                "unequal": unequal,
                "sum": _sum(np.concatenate([picture.ravel() for picture in serial])),
            }
        )
    )


def _sum(levels: np.ndarray[tuple[int], np.dtype[np.uint8]]) -> int:
    """Order counts: the last level times 1, the one before it times 31, and so on, in 32 bits."""
    powers = np.ones(len(levels), np.uint32)
    powers[1:] = 31
    weights = np.cumprod(powers, dtype=np.uint32)[::-1]
    return int((levels.astype(np.uint32) * weights).sum(dtype=np.uint32))


if __name__ == "__main__":
    main(sys.argv[1:])
