"""DLPack by hand: an array as a capsule that other libraries take, and theirs as an array.

The structures are those of DLPack's C header, in the form without version numbers, which everybody reads.
"""

from __future__ import annotations

import ctypes
import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from dit4sr.runtime.backends.protocol import Array
from dit4sr.runtime.errors import BadInputError

Device = tuple[int, int]
"""Type and number."""

HOST: Device = (1, 0)
CUDA = 2
KINDS = {"i": 0, "u": 1, "f": 2, "b": 6}
"""Codes of types, by NumPy's letters for them."""
NAME = b"dltensor"


class _Tensor(ctypes.Structure):
    _fields_ = (
        ("data", ctypes.c_void_p),
        ("device_type", ctypes.c_int32),
        ("device_number", ctypes.c_int32),
        ("axes", ctypes.c_int32),
        ("kind", ctypes.c_uint8),
        ("bits", ctypes.c_uint8),
        ("lanes", ctypes.c_uint16),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("offset", ctypes.c_uint64),
    )


_Deleter = ctypes.CFUNCTYPE(None, ctypes.c_void_p)


class _Managed(ctypes.Structure):
    _fields_ = (("tensor", _Tensor), ("context", ctypes.c_void_p), ("deleter", _Deleter))


_new_capsule = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p)(
    ("PyCapsule_New", ctypes.pythonapi)
)
_pointer = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.py_object, ctypes.c_char_p)(
    ("PyCapsule_GetPointer", ctypes.pythonapi)
)
# A capsule that is being destroyed must not be counted again, so these take its bare address.
_is_unused = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_char_p)(
    ("PyCapsule_IsValid", ctypes.pythonapi)
)
_pointer_of_dying = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_char_p)(
    ("PyCapsule_GetPointer", ctypes.pythonapi)
)

_lent: dict[int, tuple[Any, ...]] = {}
"""Everything that capsules point to, by address, until it is given back."""


def _give_back(address: int) -> None:
    *_, is_over = _lent.pop(address)
    is_over()


def _destroy(capsule: int) -> None:
    """A capsule that nobody took is given back here; one that was taken has got another name."""
    if _is_unused(capsule, NAME):
        _give_back(_pointer_of_dying(capsule, NAME))


# Others call these for as long as the process lives.
_deleter, _destructor = _Deleter(_give_back), _Deleter(_destroy)


def capsule_of(array: Array, device: Device, is_over: Callable[[], None]) -> object:
    """A capsule that keeps an array's memory; ``is_over`` is called when its taker lets go of it."""
    shape = (ctypes.c_int64 * len(array.shape))(*array.shape)
    managed = _Managed(
        _Tensor(
            data=array.address,
            device_type=device[0],
            device_number=device[1],
            axes=len(array.shape),
            kind=KINDS[array.dtype.kind],
            bits=8 * array.dtype.itemsize,
            lanes=1,
            shape=shape,
            offset=0,
        ),
        None,
        _deleter,
    )
    address = ctypes.addressof(managed)
    _lent[address] = managed, shape, array.owner, is_over
    return _new_capsule(address, NAME, ctypes.cast(_destructor, ctypes.c_void_p))


def device_of(capsule: object) -> Device:
    """Where the tensor in a capsule is."""
    tensor = _Managed.from_address(_pointer(capsule, NAME)).tensor
    return tensor.device_type, tensor.device_number


def array_of(capsule: object) -> Array:
    """The array in a capsule. It is not taken out: its maker frees it when the capsule goes."""
    tensor = _Managed.from_address(_pointer(capsule, NAME)).tensor
    letters = {code: letter for letter, code in KINDS.items()}
    if tensor.kind not in letters or tensor.lanes != 1:
        raise BadInputError("a tensor of a type that NumPy does not know", expected="one that it knows")
    shape = tuple(tensor.shape[: tensor.axes])
    if tensor.strides:
        require_dense(shape, tuple(tensor.strides[: tensor.axes]), 1)
    dtype = np.dtype(f"{letters[tensor.kind]}{tensor.bits // 8}")
    return Array((tensor.data or 0) + tensor.offset, shape, dtype, capsule)


def require_dense(shape: tuple[int, ...], strides: tuple[int, ...], unit: int) -> None:
    """Refuse what is not row by row; strides of axes of one element say nothing."""
    sizes = [*shape[1:], unit]
    dense = [math.prod(sizes[axis:]) for axis in range(len(shape))]
    told = itertools.compress(zip(strides, dense, strict=True), (size > 1 for size in shape))
    if math.prod(shape) and any(found != wanted for found, wanted in told):
        raise BadInputError(f"a tensor with strides {strides}", expected="one without gaps, row by row")
