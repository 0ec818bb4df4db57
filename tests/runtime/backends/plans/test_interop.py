"""Tensors of other libraries, read and lent without a copy, as the fake's device is the host."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from support.fake_tensorrt import OURS, FakeGpu
from support.tensorrt_bundle import plan_bundle

from dit4sr.runtime.backends.plans import cuda
from dit4sr.runtime.backends.tensorrt.backend import TensorRt
from dit4sr.runtime.errors import BadInputError

THEIRS = 9


@pytest.fixture
def gpu() -> FakeGpu:
    return FakeGpu()


@pytest.mark.parametrize("kind", ["float32", "float16", "int64", "uint8", "bool"])
@pytest.mark.parametrize("read", [torch.from_dlpack, np.from_dlpack], ids=["torch", "numpy"])
def test_others_read_what_is_lent_until_they_let_go(gpu, read, kind):
    backend = TensorRt(gpu)
    values = np.arange(24).reshape(2, 3, 4).astype(kind)
    array = backend.upload(values)
    taken = read(backend.lend(array[1:]))
    assert np.asarray(taken).ctypes.data == array[1].address
    del array
    np.testing.assert_array_equal(np.asarray(taken), values[1:])
    assert len(gpu.blocks) == 1
    del taken
    assert gpu.blocks == {}


def test_a_capsule_that_nobody_takes_is_given_back(gpu):
    lent = TensorRt(gpu).lend(TensorRt(gpu).upload(np.ones(3)))
    capsule = lent.__dlpack__()
    del lent
    assert len(gpu.blocks) == 1
    del capsule
    assert gpu.blocks == {}


def test_streams_wait_for_one_another(gpu):
    backend = TensorRt(gpu)
    lent = backend.lend(backend.upload(np.ones(3)))
    capsule = lent.__dlpack__(stream=THEIRS, max_version=(1, 0))
    assert gpu.waits == [(THEIRS, OURS)]
    del capsule
    assert gpu.waits == [(THEIRS, OURS), (OURS, THEIRS)]
    del gpu.waits[:]
    lent.__dlpack__(stream=-1)
    assert gpu.waits == []
    lent.__dlpack__()
    assert gpu.waits[0] == (1, OURS)


@pytest.mark.parametrize("library", [torch, np], ids=["torch", "numpy"])
def test_a_component_reads_and_fills_the_tensors_of_others(tmp_path, gpu, library):
    """Results land in their memory; a tensor that is let go of is not freed before the run."""
    backend = TensorRt(gpu)
    decoder = backend.open(plan_bundle(tmp_path / "bundle", gpu), "vae_decoder").context()
    latent = np.random.default_rng(0).normal(size=(1, 4, 8, 8)).astype(np.float32)
    expected = backend.download(decoder.run({"latent": backend.upload(latent)})["image"])

    given, filled = library.asarray(latent.copy()), library.zeros((1, 3, 32, 32), dtype=library.float32)
    inputs, targets = {"latent": backend.borrow(given)}, {"image": backend.borrow(filled)}
    del given
    for tensor in (inputs["latent"], targets["image"]):  # on this device the host's memory is memory
        gpu.adopt(tensor)
    decoder.run(inputs, targets)
    np.testing.assert_array_equal(np.asarray(filled), expected)


def test_the_older_protocol(gpu):
    backend = TensorRt(gpu)
    values = np.arange(12, dtype=np.float32).reshape(3, 4)
    told = {"shape": (3, 4), "typestr": "<f4", "data": (values.ctypes.data, False), "version": 3}
    tensor = SimpleNamespace(__cuda_array_interface__={**told, "strides": None, "stream": THEIRS})
    array = backend.borrow(tensor)
    assert (array.address, array.shape, array.dtype, array.owner) == (
        values.ctypes.data,
        (3, 4),
        np.float32,
        tensor,
    )
    assert gpu.waits == [(OURS, THEIRS)]
    with pytest.raises(BadInputError, match=r"strides \(8, 16\)"):
        backend.borrow(SimpleNamespace(__cuda_array_interface__={**told, "strides": (8, 16)}))
    assert not hasattr(backend.lend(array), "__cuda_array_interface__")

    gpu.device = cuda.FIRST_DEVICE
    lent = backend.lend(array[1:]).__cuda_array_interface__
    again = backend.borrow(SimpleNamespace(__cuda_array_interface__=lent))
    assert (again.address, again.shape, again.dtype) == (array[1].address, (2, 4), np.float32)
    assert gpu.waits[-1] == (OURS, OURS)


@pytest.mark.parametrize(
    ("tensor", "message"),
    [
        (torch.zeros(3, 4).T, r"strides \(1, 4\)"),
        (torch.zeros(3, dtype=torch.bfloat16), "a type that NumPy does not know"),
        ([1, 2, 3], "a list; expected a tensor with __dlpack__"),
    ],
    ids=["transposed", "bfloat16", "no tensor"],
)
def test_what_cannot_be_read_is_refused(gpu, tensor, message):
    with pytest.raises(BadInputError, match=message):
        TensorRt(gpu).borrow(tensor)


def test_a_tensor_elsewhere_is_refused(gpu):
    gpu.device = cuda.FIRST_DEVICE
    with pytest.raises(BadInputError, match=r"on device \(1, 0\); expected \(2, 0\)"):
        TensorRt(gpu).borrow(torch.zeros(3))


def test_strides_of_single_rows_say_nothing(gpu):
    row = torch.zeros(4, 1, 3)[:, :, :2].as_strided((1, 2), (99, 1))
    assert TensorRt(gpu).borrow(row).shape == (1, 2)
    assert TensorRt(gpu).borrow(torch.zeros(0, 3)).shape == (0, 3)
