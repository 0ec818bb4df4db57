"""Opening published weights: a diffusers folder, its transformer, or one safetensors file.

Headers are read first; then tensors stream one by one, so the 2.7 B parameters never exist twice. Pickles are
never opened.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from dit4sr.runtime.errors import BadInputError, IntegrityError
from dit4sr.runtime.files import json_file
from dit4sr.runtime.files.reading import require_ordinary

WEIGHTS = ("diffusion_pytorch_model.safetensors", "model.safetensors")
"""File names that diffusers and transformers give to a network's weights."""
INDEXES = tuple(f"{name}.index.json" for name in WEIGHTS)
PICKLES = {".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle"}
LARGEST_CONFIG = 64 << 20
"""Bytes of a config, an index or a tokenizer; the vocabularies of large models have tens of megabytes."""
FLOATS = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2}
"""The element types a checkpoint may hold, and their bytes."""


@dataclass(frozen=True)
class StoredTensor:
    """Where a tensor lies, its shape and its type, known without reading it."""

    file: Path
    shape: tuple[int, ...]
    dtype: str

    @property
    def bytes(self) -> int:
        """Size of the tensor in its file, in bytes."""
        return math.prod(self.shape) * FLOATS[self.dtype]


@dataclass(frozen=True)
class Checkpoint:
    """An opened checkpoint: the directory of its tensors, and what its config says."""

    path: Path
    tensors: Mapping[str, StoredTensor]
    stated: Mapping[str, Any]

    def files(self) -> list[Path]:
        """The files that hold the checkpoint's tensors."""
        return sorted({stored.file for stored in self.tensors.values()})

    def read(self, key: str) -> Tensor:
        """Read one tensor, refusing numbers that are not numbers.

        The file is mapped anew for each tensor: a mapping that stays open keeps every page it ever touched
        in memory, and the whole checkpoint with them.
        """
        stored = self.tensors[key]
        try:
            with safe_open(stored.file, framework="pt") as file:
                tensor: Tensor = file.get_tensor(key).clone()
        except (SafetensorError, OSError) as error:
            raise _damaged(stored.file, error) from None
        if not torch.isfinite(tensor).all():
            raise IntegrityError(
                f"{key} in {stored.file} holds NaN or infinity",
                expected="finite weights",
                fix="copy or download the file again",
            )
        return tensor

    def read_as(self, key: str, dtype: torch.dtype) -> Tensor:
        """Read one tensor at another precision, refusing weights that do not survive it."""
        tensor = self.read(key).to(dtype)
        if not torch.isfinite(tensor).all():
            raise BadInputError(
                f"{key} in {self.tensors[key].file} overflows {dtype}",
                expected=f"weights within ±{torch.finfo(dtype).max:.0f}",
                fix="choose a wider precision",
            )
        return tensor


def open_checkpoint(path: Path) -> Checkpoint:
    """Find the weights, read every header, and read the config beside them."""
    folder, weights = _locate(path)
    tensors = _sharded_headers(weights) if weights.name in INDEXES else _header(weights)
    return Checkpoint(path, tensors, read_json(folder / "config.json") if folder else {})


def _locate(path: Path) -> tuple[Path | None, Path]:
    """Find the folder with the config, if there is one, and the weights file or the index of its shards."""
    if path.is_file():
        _refuse_pickle(path)
        return (path.parent if (path.parent / "config.json").is_file() else None), path
    if not path.is_dir():
        raise BadInputError(f"no checkpoint at {path}", expected="a diffusers folder or a .safetensors file")

    folder = path / "transformer" if (path / "transformer").is_dir() else path
    for name in (*INDEXES, *WEIGHTS):
        if (folder / name).is_file():
            return _with_config(folder), folder / name
    candidates = sorted(folder.glob("*.safetensors"))
    if len(candidates) > 1:
        names = ", ".join(file.name for file in candidates)
        raise BadInputError(
            f"{folder} holds several weights files ({names}) and no {INDEXES[0]}", fix="name the one you mean"
        )
    if candidates:
        return _with_config(folder), candidates[0]
    for file in sorted(folder.iterdir()):
        _refuse_pickle(file)
    raise BadInputError(f"{folder} holds no weights", expected=f"{WEIGHTS[0]} or {INDEXES[0]}")


def _with_config(folder: Path) -> Path:
    if not (folder / "config.json").is_file():
        raise BadInputError(
            f"{folder} holds no config.json",
            expected="the one that was written beside the weights",
            fix="or name the .safetensors file itself, to go by its shapes",
        )
    return folder


def _refuse_pickle(path: Path) -> None:
    if path.suffix.lower() in PICKLES:
        raise BadInputError(
            f"{path} is a pickle, which can run code when opened",
            expected="safetensors",
            fix="convert it where you trust it: save_pretrained(..., safe_serialization=True)",
        )


def _header(file: Path) -> dict[str, StoredTensor]:
    """List the tensors of one file; safetensors checks that their extents tile it."""
    require_ordinary(file, IntegrityError)
    try:
        with safe_open(file, framework="pt") as opened:
            slices = {key: opened.get_slice(key) for key in opened.keys()}  # noqa: SIM118
            return {
                key: StoredTensor(file, tuple(part.get_shape()), str(part.get_dtype()))
                for key, part in slices.items()
            }
    except (SafetensorError, OSError) as error:
        raise _damaged(file, error) from None


def _damaged(file: Path, error: Exception) -> IntegrityError:
    return IntegrityError(
        f"{file} is not a whole safetensors file ({error})", fix="copy or download it again"
    )


def _sharded_headers(index: Path) -> dict[str, StoredTensor]:
    """List the tensors of all shards, which must hold exactly what the index says."""
    weight_map = read_json(index).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise IntegrityError(f"{index} has no weight_map", expected="tensor names and their shards")
    tensors: dict[str, StoredTensor] = {}
    for name in sorted({str(shard) for shard in weight_map.values()}):
        shard = index.parent / name
        if Path(name).name != name or shard.suffix != ".safetensors":
            raise BadInputError(f"{index} names the shard {name!r}", expected="a .safetensors file beside it")
        if not shard.is_file():
            raise BadInputError(f"{index} names {name}, which is not there", fix="copy the missing shard")
        for key, stored in _header(shard).items():
            if weight_map.get(key) != name:
                raise IntegrityError(
                    f"{shard} holds {key}, which the index places in {weight_map.get(key, 'no shard')}"
                )
            tensors[key] = stored
    absent = [key for key in weight_map if key not in tensors]
    if absent:
        raise IntegrityError(f"{index} names {first_of(absent)} that its shard does not hold")
    return tensors


def check_layout(checkpoint: Checkpoint, wanted: Mapping[str, tuple[int, ...]], network: str) -> None:
    """Check that a checkpoint holds exactly what a network wants, at its shapes and in usable types."""
    missing = [key for key in wanted if key not in checkpoint.tensors]
    if missing:
        raise BadInputError(
            f"{checkpoint.path} lacks {first_of(missing)}",
            expected=f"{len(wanted)} tensors",
            fix="copy or download the checkpoint again",
        )
    unknown = [key for key in checkpoint.tensors if key not in wanted]
    if unknown:
        raise BadInputError(
            f"{checkpoint.path} has {first_of(unknown)}, unknown to {network}",
            expected=f"{len(wanted)} tensors",
        )
    for key, shape in wanted.items():
        stored = checkpoint.tensors[key]
        if stored.shape != shape:
            raise BadInputError(
                f"{key} in {stored.file} has shape {list(stored.shape)}", expected=f"{list(shape)}"
            )
        if stored.dtype not in FLOATS:
            raise BadInputError(
                f"{key} in {stored.file} is of type {stored.dtype}", expected="one of " + ", ".join(FLOATS)
            )


def read_json(file: Path) -> dict[str, Any]:
    """Read a JSON object, whatever state the file is in."""
    values = json_file.read_json(file, most=LARGEST_CONFIG, failure=IntegrityError)
    if not isinstance(values, dict):
        raise IntegrityError(f"{file} is not a JSON object")
    return values


def first_of(keys: Sequence[str]) -> str:
    """Name tensors in a message: the first, and how many more."""
    return keys[0] + (f" and {len(keys) - 1} more tensors" if len(keys) > 1 else "")
