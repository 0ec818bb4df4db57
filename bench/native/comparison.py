"""Compares the programs in turns, so that what else the machine does meets both."""

from __future__ import annotations

import ctypes
import json
import resource
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np

from dit4sr.runtime import Upscaler
from dit4sr.runtime.errors import MissingDependencyError
from dit4sr.runtime.native.places import SOURCE, Places

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Work:
    """What both programs do."""

    bundle: Path
    threads: int
    requests: int
    """Of each thread."""
    width: int
    height: int
    steps: int = 0

    @property
    def words(self) -> list[str]:
        """The programs' arguments."""
        numbers = (self.threads, self.requests, self.width, self.height, self.steps)
        return [str(self.bundle), *map(str, numbers)]


def compiled(folder: Path, compiler: str = "c++") -> tuple[Path, Path]:
    """The C++ program, and the C interface as a library for a process that has Python."""
    if shutil.which(compiler) is None or shutil.which("cc") is None:
        raise MissingDependencyError("no C++ compiler here", fix="install gcc or clang")
    places = Places.of_this_python()
    program, library, source = folder / "host", folder / "libdit4sr.so", folder / "dit4sr.o"
    _run("cc", "-std=c11", "-O2", "-fPIC", *places.compiler_flags, "-c", str(SOURCE), "-o", str(source))
    host = ["-std=c++17", "-O2", *places.compiler_flags, str(HERE / "host.cpp"), str(source)]
    _run(compiler, *host, "-o", str(program), *places.linker_flags)
    _run("cc", "-shared", str(source), "-o", str(library))
    return program, library


def throughput(program: Path, work: Work, rounds: int) -> dict[str, Any]:
    """Pictures a second of either, round by round, and whether all pictures were the same.

    The processor's seconds are those of the whole process; they tell more where others use the machine.
    """
    ways = {"cpp": [str(program)], "python": [sys.executable, str(HERE / "peer.py")]}
    rates: dict[str, list[float]] = {name: [] for name in ways}
    processor: dict[str, list[float]] = {name: [] for name in ways}
    sums, unequal = set(), 0
    for _ in range(rounds):
        for name, command in ways.items():
            before = _processor_seconds()
            told = json.loads(_run(*command, *work.words))
            processor[name].append(_processor_seconds() - before)
            rates[name].append(told["pictures"] / told["seconds"])
            sums.add(told["sum"])
            unequal += told["unequal"]
    return {
        "threads": work.threads,
        "pictures": work.threads * work.requests,
        "pictures_per_second": {name: [round(rate, 3) for rate in found] for name, found in rates.items()},
        "ratio_of_best": round(max(rates["cpp"]) / max(rates["python"]), 4),
        "ratio_of_medians": round(statistics.median(rates["cpp"]) / statistics.median(rates["python"]), 4),
        "processor_seconds": {name: [round(each, 3) for each in found] for name, found in processor.items()},
        "processor_ratio_of_best": round(min(processor["cpp"]) / min(processor["python"]), 4),
        "pictures_are_equal": len(sums) == 1 and not unequal,
    }


def first_picture(program: Path, bundle: Path, rounds: int, size: tuple[int, int]) -> dict[str, Any]:
    """Seconds from the start of a process to its end after one picture."""
    work = Work(bundle, 1, 0, *size)
    ways = {"cpp": [str(program)], "python": [sys.executable, str(HERE / "peer.py")]}
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, command in ways.items():
            start = time.perf_counter()
            _run(*command, *work.words)
            seconds[name].append(time.perf_counter() - start)
    return {
        "seconds": {name: [round(each, 4) for each in found] for name, found in seconds.items()},
        "ratio_of_best": round(min(seconds["cpp"]) / min(seconds["python"]), 4),
        "ratio_of_medians": round(
            statistics.median(seconds["cpp"]) / statistics.median(seconds["python"]), 4
        ),
    }


def overhead(library: Path, bundle: Path, size: tuple[int, int], calls: int) -> dict[str, Any]:
    """Milliseconds of a call through C that are not those of Python's own call within it.

    They are the calling thread's own: what else the machine does in between does not count.
    """
    width, height = size
    levels = (np.arange(3 * width * height) * 37 % 251).astype(np.uint8).reshape(height, width, 3)
    with Upscaler(bundle, threads=1, use_cache=False) as upscaler:
        expected = upscaler(levels).picture
    within = 0.0
    plain = Upscaler.upscale

    def timed(*arguments: Any, **keywords: Any) -> Any:
        nonlocal within
        start = time.thread_time()
        try:
            return plain(*arguments, **keywords)
        finally:
            within += time.thread_time() - start

    outside: list[float] = []
    inside: list[float] = []
    with _Interface(library, bundle) as c, patch.object(Upscaler, "upscale", timed):
        for _ in range(calls):
            within, start = 0.0, time.thread_time()
            restored = c.restore(levels, expected.shape)
            outside.append(1000 * (time.thread_time() - start - within))
            inside.append(1000 * within)
            assert np.array_equal(restored, expected)
    return {
        "picture": f"{width}x{height} to {expected.shape[1]}x{expected.shape[0]}",
        "calls": calls,
        "python_milliseconds": round(statistics.median(inside), 3),
        "overhead_milliseconds": round(statistics.median(outside), 4),
        "most_overhead_milliseconds": round(max(outside), 4),
    }


class _Options(ctypes.Structure):
    _fields_ = (
        ("size", ctypes.c_size_t),
        ("texts", ctypes.c_char_p * 5),
        ("threads", ctypes.c_uint32),
        ("flags", ctypes.c_uint32),
    )


class _Pixels(ctypes.Structure):
    _fields_ = (
        ("size", ctypes.c_size_t),
        ("data", ctypes.c_void_p),
        ("form", ctypes.c_uint32 * 4),
        ("stride", ctypes.c_size_t),
        ("owner", ctypes.c_void_p),
    )


class _Interface:
    """One upscaler of the C interface."""

    def __init__(self, library: Path, bundle: Path) -> None:
        self._c, self._upscaler = ctypes.CDLL(str(library)), ctypes.c_void_p()
        options = _Options(ctypes.sizeof(_Options), (str(bundle).encode(), *[None] * 4), 1, 4)
        if self._c.dit4sr_open(ctypes.byref(options), ctypes.byref(self._upscaler)):
            raise RuntimeError("the C interface did not open the bundle")

    def __enter__(self) -> _Interface:
        return self

    def __exit__(self, *_failure: object) -> None:
        self._c.dit4sr_close(self._upscaler, 0)

    def restore(self, levels: np.ndarray[Any, Any], shape: Sequence[int]) -> np.ndarray[Any, Any]:
        """Restore to an array that is ours."""
        restored = np.empty(shape, np.uint8)
        pixels = [_pixels(levels), _pixels(restored)]
        if self._c.dit4sr_upscale(self._upscaler, ctypes.byref(pixels[0]), None, ctypes.byref(pixels[1])):
            raise RuntimeError("the C interface did not restore")
        return restored


def _pixels(levels: np.ndarray[Any, Any]) -> _Pixels:
    height, width, channels = levels.shape
    return _Pixels(ctypes.sizeof(_Pixels), levels.ctypes.data, (width, height, channels, 8), 0, None)


def _run(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True, cwd="/").stdout


def _processor_seconds() -> float:
    """Of all programs that were run so far."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
