"""The C interface by ctypes: this Python is then a host that had started Python itself."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from ctypes import POINTER, byref, c_char, c_char_p, c_double, c_int, c_size_t, c_uint32, c_uint64, c_void_p
from pathlib import Path
from typing import Any

import numpy as np

WAITS, CANCELS = 0, 1
CANCELLED = 130


class Sized(ctypes.Structure):
    """A structure that begins with its size."""

    def __init__(self, **fields: Any) -> None:
        super().__init__(size=ctypes.sizeof(type(self)), **fields)


class Error(ctypes.Structure):
    _fields_ = (
        ("size", c_size_t),
        ("status", c_int),
        *((name, c_char_p) for name in ("message", "found", "expected", "fix")),
    )


class Options(Sized):
    _fields_ = (
        ("size", c_size_t),
        *((name, c_char_p) for name in ("bundle", "backend", "device", "environment", "cache")),
        ("threads", c_uint32),
        ("flags", c_uint32),
    )


class Card(Sized):
    _fields_ = (
        ("size", c_size_t),
        ("name", c_char * 64),
        ("backend", c_char * 64),
        ("digest", c_char * 72),
        *((name, c_uint32) for name in ("tile", "default_steps")),
        ("default_guidance", c_double),
        *((name, c_uint32) for name in ("reads_prompts", "lends_tensors")),
    )


class Pixels(Sized):
    _fields_ = (
        ("size", c_size_t),
        ("data", c_void_p),
        *((name, c_uint32) for name in ("width", "height", "channels", "bits")),
        ("stride", c_size_t),
        ("owner", c_void_p),
    )

    @classmethod
    def of(cls, levels: np.ndarray) -> Pixels:
        height, width, *rest = levels.shape
        return cls(
            data=levels.ctypes.data,
            width=width,
            height=height,
            channels=rest[0] if rest else 1,
            bits=8 * levels.itemsize,
            stride=levels.strides[0],
        )

    def levels(self) -> np.ndarray:
        """A copy."""
        kind = np.uint8 if self.bits == 8 else np.uint16
        memory = (c_char * (self.stride * self.height)).from_address(self.data)
        rows = np.frombuffer(memory, kind).reshape(self.height, -1)[:, : self.width * self.channels]
        shape = (self.height, self.width, self.channels) if self.channels > 1 else (self.height, self.width)
        return rows.reshape(shape).copy()


class Progress(ctypes.Structure):
    _fields_ = (("size", c_size_t), ("stage", c_char_p), ("done", c_uint32), ("total", c_uint32))


OnProgress = ctypes.CFUNCTYPE(c_int, c_void_p, POINTER(Progress))
OnLine = ctypes.CFUNCTYPE(None, c_void_p, c_int, c_char_p)


class Request(Sized):
    _fields_ = (
        ("size", c_size_t),
        ("seed", c_uint64),
        *((name, c_char_p) for name in ("prompt", "negative", "preset", "solver", "more")),
        *((name, c_double) for name in ("scale", "guidance")),
        *((name, c_uint32) for name in ("steps", "tile")),
        ("progress", OnProgress),
        ("progress_user", c_void_p),
        ("cancel", c_void_p),
    )


class Estimate(Sized):
    _fields_ = (
        ("size", c_size_t),
        ("seconds", c_double),
        ("memory_bytes", c_uint64),
        ("is_measured", c_uint32),
    )


class FailedError(Exception):
    """A status that is not 0, with what was said of it."""

    def __init__(self, error: Error) -> None:
        self.status = error.status
        self.message, self.found, self.expected, self.fix = (
            text.decode() for text in (error.message, error.found, error.expected, error.fix)
        )
        super().__init__(f"{self.status}: {self.message}")


class Library:
    """The library's functions; what fails raises."""

    def __init__(self, path: Path) -> None:
        self.c = ctypes.CDLL(str(path))
        self.c.dit4sr_last_error.restype = POINTER(Error)
        self.c.dit4sr_version.restype = c_char_p
        for name, *kinds in (
            ("close", c_void_p, c_int),
            ("cancel_set", c_void_p),
            ("cancel_destroy", c_void_p),
            ("get_card", c_void_p, c_void_p),
            ("upscale", c_void_p, c_void_p, c_void_p, c_void_p),
            ("upscale_tensor", c_void_p, c_void_p, c_void_p, c_void_p, c_void_p),
            ("output_size", c_void_p, c_void_p, c_uint32, c_uint32, c_void_p, c_void_p),
            ("get_estimate", c_void_p, c_void_p, c_uint32, c_uint32, c_void_p),
            ("set_log", OnLine, c_void_p),
        ):
            getattr(self.c, f"dit4sr_{name}").argtypes = kinds

    def check(self, status: int) -> None:
        if status:
            error = self.c.dit4sr_last_error().contents
            assert error.status == status
            raise FailedError(error)

    def call(self, name: str, *arguments: Any) -> None:
        """Call a function; structures are given by their address."""
        given = [byref(each) if isinstance(each, ctypes.Structure) else each for each in arguments]
        self.check(getattr(self.c, f"dit4sr_{name}")(*given))

    def open(self, bundle: Path | None, **options: Any) -> c_void_p:
        upscaler = c_void_p()
        name = None if bundle is None else str(bundle).encode()
        self.call("open", Options(bundle=name, **options), byref(upscaler))
        return upscaler

    def upscale(self, upscaler: Any, levels: np.ndarray, output: Pixels | None = None, **request: Any) -> Any:
        """Restore an array to one that the library allocates, or to the pixels that are given."""
        target = Pixels() if output is None else output
        self.call("upscale", upscaler, Pixels.of(levels), Request(**request), target)
        if output is not None:
            return None
        restored = target.levels()
        self.c.dit4sr_pixels_free(byref(target))
        assert target.data is None
        return restored

    def output_size(self, upscaler: Any, width: int, height: int, **request: Any) -> tuple[int, int]:
        w, h = c_uint32(), c_uint32()
        self.call("output_size", upscaler, Request(**request), width, height, byref(w), byref(h))
        return w.value, h.value


def progress(function: Callable[[str, int, int], Any]) -> Any:
    """A callback of C around one of Python's."""

    def call(_user: Any, state: Any) -> int:
        told = state.contents
        return int(bool(function(told.stage.decode(), told.done, told.total)))

    return OnProgress(call)
