"""Giving a traced graph its weights: folded, rounded and written one by one, never all in memory."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import onnx_ir as ir
import torch
from torch import Tensor

from dit4sr.export.component import ComponentSource
from dit4sr.export.weights.folds import Fold, Recipe, evaluate, sources, stack_rows
from dit4sr.runtime.errors import BadInputError

ALIGNMENT = 4096
"""Offsets of weights are multiples of this, the size of a page, so that engines can map them."""

TORCH_TYPES = {
    ir.DataType.FLOAT: torch.float32,
    ir.DataType.FLOAT16: torch.float16,
    ir.DataType.BFLOAT16: torch.bfloat16,
}
SOURCES = "dit4sr.sources"
"""Key of the model metadata that says, as JSON, which checkpoint tensors each initialiser was made of."""


def bind_weights(model: ir.Model, source: ComponentSource, folder: Path) -> None:
    """Write every weight of a graph beside it, and point the graph there."""
    data = folder / f"{source.name}.onnx.data"
    unbound = {name: value for name, value in model.graph.initializers.items() if value.const_value is None}
    origins = {}
    with data.open("wb") as file:
        for name, value in unbound.items():
            recipe = source.recipes[name]
            origins[name] = list(sources(recipe))
            value.const_value = _write(file, value, source, recipe, data)
    model.metadata_props[SOURCES] = json.dumps(origins, sort_keys=True)


def _write(
    file: BinaryIO, value: ir.Value, source: ComponentSource, recipe: Recipe, data: Path
) -> ir.ExternalTensor:
    assert value.name is not None
    assert value.dtype is not None
    assert value.shape is not None
    file.write(bytes(-file.tell() % ALIGNMENT))
    start = file.tell()
    for piece in _pieces(recipe, source, transposed=bool(value.meta.get("transposed"))):
        file.write(_rounded(piece, TORCH_TYPES[value.dtype], value.name))
    length = file.tell() - start
    expected = math.prod(value.shape.numpy()) * value.dtype.itemsize
    if length != expected:
        raise AssertionError(f"{value.name}: wrote {length} bytes for {value.shape}")
    return ir.ExternalTensor(
        data.name, start, length, value.dtype, shape=value.shape, name=value.name, base_dir=data.parent
    )


def _pieces(recipe: Recipe, source: ComponentSource, *, transposed: bool) -> Iterator[Tensor]:
    """Yield a weight in the order of its bytes; rows that were only stacked are never held together."""
    if isinstance(recipe, Fold) and recipe.rule is stack_rows and not transposed:
        for row in recipe.parts:
            yield _made(row, source)
    else:
        weight = _made(recipe, source)
        yield weight.T if transposed else weight


def _made(recipe: Recipe, source: ComponentSource) -> Tensor:
    """Make one weight; one folded of halves is rounded to the graph's type alone, not to theirs before."""
    if isinstance(recipe, str):
        return source.weights.read(recipe)
    return evaluate(recipe, lambda key: source.weights.read(key).float())


def _rounded(weight: Tensor, dtype: torch.dtype, name: str) -> bytes:
    rounded = weight.to(dtype).contiguous()
    if not torch.isfinite(rounded).all():
        raise BadInputError(
            f"{name} overflows {dtype}",
            expected=f"weights within ±{torch.finfo(dtype).max:.0f}",
            fix="export with --precision bf16 or fp32",
        )
    data: bytes = rounded.flatten().view(torch.uint8).numpy().tobytes()
    return data
