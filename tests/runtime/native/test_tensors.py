"""Tensors by DLPack: the host's through C, a device's on the fake that stands in for one."""

from __future__ import annotations

import ctypes
from ctypes import byref, c_char_p, c_void_p, py_object

import numpy as np
import pytest
from support import fake_tensorrt
from support.fake_tensorrt import OURS, FakeGpu
from support.native.abi import Card, FailedError, Request
from support.photos import make_photo
from support.tensorrt_bundle import plan_bundle

from dit4sr.runtime import Upscaler
from dit4sr.runtime.backends.onnxruntime.backend import host_array
from dit4sr.runtime.backends.plans import dlpack
from dit4sr.runtime.backends.plans.dlpack import CUDA, HOST, array_of, capsule_of
from dit4sr.runtime.backends.tensorrt.backend import TensorRt
from dit4sr.runtime.native.upscaler import NativeUpscaler

THEIRS = 9
NAME = b"dltensor"
WISHES = {
    **dict.fromkeys(("prompt", "negative", "preset", "solver", "more")),
    "seed": 5,
    "scale": 0.0,
    "guidance": 0.0,
    "steps": 0,
    "tile": 0,
}

get_pointer = ctypes.pythonapi.PyCapsule_GetPointer
get_pointer.restype, get_pointer.argtypes = c_void_p, (py_object, c_char_p)
new_capsule = ctypes.pythonapi.PyCapsule_New
new_capsule.restype, new_capsule.argtypes = py_object, (c_void_p, c_char_p, c_void_p)


class Taken:
    """A tensor that C was given, as libraries take one from a producer."""

    def __init__(self, address: int) -> None:
        self._address = address

    def __dlpack_device__(self):
        return HOST

    def __dlpack__(self, **_wishes):
        return new_capsule(self._address, NAME, None)


def through_c(library, opened, picture: np.ndarray, stream: int | None = None, **request) -> np.ndarray:
    capsule, output = picture.__dlpack__(), c_void_p()
    library.call(
        "upscale_tensor", opened, get_pointer(capsule, NAME), stream, Request(**request), byref(output)
    )
    return np.from_dlpack(Taken(output.value))


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [0, 1, 3, 4])
def test_a_tensor_of_the_host_is_pythons_picture(library, opened, upscaler, kind, channels):
    photo = make_photo(12, 10)
    planes = np.dstack([photo, photo[..., :1]]).astype(kind) * (257 if kind is np.uint16 else 1)
    picture = np.ascontiguousarray(planes[..., 0] if channels == 0 else planes[..., :channels])
    restored = through_c(library, opened, picture, seed=2)
    expected = upscaler(picture, seed=2).picture
    assert restored.shape == (48, 40, *picture.shape[2:])
    np.testing.assert_array_equal(restored.reshape(expected.shape), expected)


def test_what_c_was_given_lives_until_it_lets_go(library, opened):
    restored = through_c(library, opened, make_photo(12, 10))
    assert len(dlpack._lent) == 1
    copy = restored.copy()
    library.upscale(opened, make_photo(12, 10), seed=9)
    np.testing.assert_array_equal(restored, copy)
    del restored
    assert len(dlpack._lent) == 0


@pytest.mark.parametrize(
    "tensor",
    [
        np.zeros((4, 4), np.float32),
        np.zeros((4, 4, 5), np.uint8),
        np.zeros(4, np.uint8),
        np.zeros((0, 4), np.uint8),
        make_photo(12, 10)[:, ::2],
    ],
    ids=["floats", "five channels", "one axis", "no rows", "with gaps"],
)
def test_other_tensors_are_refused(library, opened, tensor):
    with pytest.raises(FailedError) as failure:
        through_c(library, opened, tensor)
    assert failure.value.status == 2


def test_a_tensor_of_a_device_that_the_upscaler_is_not_on_is_refused(library, opened):
    levels = make_photo(12, 10)
    given = capsule_of(host_array(levels), (CUDA, 0), lambda: None)
    output, card = c_void_p(), Card()
    with pytest.raises(FailedError, match=r"a tensor on device \(2, 0\)"):
        library.call("upscale_tensor", opened, get_pointer(given, NAME), THEIRS, None, byref(output))
    assert output.value is None
    library.call("get_card", opened, card)
    assert card.lends_tensors == 0


def test_on_a_device_the_streams_wait_for_one_another(tmp_path, monkeypatch):
    """On a fake, whose device is the host: not run on a GPU."""
    gpu = FakeGpu()
    fake_tensorrt.install(monkeypatch, gpu)
    bundle, photo = plan_bundle(tmp_path / "bundle", gpu), make_photo(8, 8)
    with Upscaler(bundle, backend="tensorrt", trust_engines=True, use_cache=False) as upscaler:
        expected = upscaler(photo, seed=5).picture
        backend = upscaler._backend
        assert isinstance(backend, TensorRt)
        native = NativeUpscaler(upscaler, backend, 0)
        capsule = capsule_of(backend.upload(photo), gpu.device, lambda: None)
        [card] = native.card()
        assert card[-1] == 1

        del gpu.waits[:]
        answer = native.upscale_tensor(capsule, THEIRS, WISHES, None, lambda: False)
        [restored] = answer
        np.testing.assert_array_equal(backend.download(array_of(restored)), expected)
        # First what they have put in, then what they take out; and when they let go, what we reuse.
        assert gpu.waits == [(OURS, THEIRS), (THEIRS, OURS)]
        del restored, answer
        assert gpu.waits[2:] == [(OURS, THEIRS)]
