"""The backends' arrays as torch tensors and back, and weights from a safetensors file.

This module handles torch without importing it: whoever calls has opened a backend that did.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from dit4sr.runtime.backends.protocol import Array
from dit4sr.runtime.errors import IncompatibleError, IntegrityError
from dit4sr.runtime.files.json_file import parse_json
from dit4sr.runtime.files.reading import opened

DTYPES = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16", "I64": "int64"}


def array_of(tensor: Any) -> Array:
    """A dense tensor's memory; of types that NumPy lacks no component has any."""
    tensor, kind = tensor.contiguous(), str(tensor.dtype).removeprefix("torch.")
    try:
        dtype = np.dtype(kind)
    except TypeError:
        raise IncompatibleError(f"an answer is a tensor of {kind}", expected="float32") from None
    return Array(tensor.data_ptr(), tuple(tensor.shape), dtype, tensor)


def tensor_of(array: Array) -> Any:
    """The tensor behind an array, or those of its rows that the array is."""
    owner: Any = array.owner
    start = (array.address - owner.data_ptr()) // array.dtype.itemsize
    if start == 0 and tuple(owner.shape) == array.shape:
        return owner
    size = int(np.prod(array.shape, dtype=np.int64))
    return owner.view(-1)[start : start + size].view(array.shape)


def read_weights(path: Path, torch: Any, device: str) -> dict[str, Any]:
    """Every tensor of a safetensors file, on a device."""
    try:
        with opened(path, failure=IntegrityError) as file:
            length = int.from_bytes(file.read(8), "little")
            if length > path.stat().st_size:
                raise ValueError("its index is cut short")
            header = parse_json(file.read(length))
        # Private pages, because torch wants memory it could write to; nobody does.
        data = np.memmap(path, np.uint8, mode="c", offset=8 + length)
        return {
            name: _tensor(data[slice(*entry["data_offsets"])], entry, torch).to(device, copy=True)
            for name, entry in header.items()
            if name != "__metadata__"
        }
    except (ValueError, KeyError, TypeError, OSError) as error:
        raise IntegrityError(f"{path} holds no weights ({error})", fix="build the engine anew") from None


def _tensor(data: Any, entry: dict[str, Any], torch: Any) -> Any:
    return torch.from_numpy(data).view(getattr(torch, DTYPES[entry["dtype"]])).view(entry["shape"])
