"""The VAE as NVIDIA's compilers read it in fewer bytes; the bundle's graph stays the common one.

Two rewritings, each chosen by the compiler's account (docs/performance-vae.md):

- An enlargement by two, and the 3×3 convolution of it, are one transposed convolution: of nine taps on the
  enlarged picture those that meet the same pixel are added up beforehand. Four ninths of the multiplications
  are left, and the enlarged picture is never written.
- Residuals are summed in half, where both terms are halves that were only widened for the sum: as torch does
  in plain half precision. The transformer's, which grow from block to block, stay in FP32.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

_TAPS = ((2,), (1, 2), (0, 1), (0,))
"""By place in the transposed kernel: the taps of the convolution that meet one pixel from there."""
_NEAREST = {"mode": b"nearest", "coordinate_transformation_mode": b"asymmetric", "nearest_mode": b"floor"}
_SAME_SIZE = {"pads": [1, 1, 1, 1], "strides": [1, 1], "dilations": [1, 1], "group": 1}
"""Attributes of a 3×3 convolution after which a picture is as large as before."""
_LEFT_OUT = {"pads": [0, 0, 0, 0], "strides": [1, 1], "dilations": [1, 1], "group": 1}
"""What the attributes are where a node does not say."""


def fold_upsampling(model: onnx.ModelProto, folder: Path) -> int:
    """Make enlargement and convolution one, wherever they follow each other; say how often."""
    pairs = list(_pairs(model.graph))
    for pair in pairs:
        _fold(model.graph, pair, folder)
    return len(pairs)


def sum_in_half(model: onnx.ModelProto) -> int:
    """Sum widened halves as halves, in graphs that normalise by groups; say how many sums these are."""
    graph = model.graph
    if not any(node.op_type == "GroupNormalization" for node in graph.node):
        return 0
    types = {value.name: value.type.tensor_type.elem_type for value in graph.value_info}
    in_half: dict[str, str] = {}
    sums = 0
    nodes: list[onnx.NodeProto] = []
    for node in graph.node:
        if _casts(node, TensorProto.FLOAT) and types.get(node.input[0]) == TensorProto.FLOAT16:
            in_half[node.output[0]] = node.input[0]
        if _casts(node, TensorProto.FLOAT16) and node.input[0] in in_half:
            nodes.append(helper.make_node("Identity", [in_half[node.input[0]]], node.output, node.name))
        elif node.op_type == "Add" and all(term in in_half for term in node.input):
            [wide] = node.output
            in_half[wide] = f"{wide} in half"
            terms = [in_half[term] for term in node.input]
            nodes.append(helper.make_node("Add", terms, [in_half[wide]], node.name))
            nodes.append(
                helper.make_node(
                    "Cast", [in_half[wide]], [wide], f"{node.name} widened", to=TensorProto.FLOAT
                )
            )
            sums += 1
        else:
            nodes.append(node)
    if sums:
        del graph.node[:]
        graph.node.extend(nodes)
    return sums


def transposed_kernel(kernel: NDArray[np.float64]) -> NDArray[np.float64]:
    """The 4×4 kernel that, transposed, does at stride 2 what a 3×3 one does on the enlarged picture."""
    made = np.zeros((*kernel.shape[:2], 4, 4))
    for row, taps in enumerate(_TAPS):
        for column, others in enumerate(_TAPS):
            made[:, :, row, column] = kernel[:, :, list(taps)][:, :, :, list(others)].sum(axis=(2, 3))
    return made.transpose(1, 0, 2, 3)


@dataclass(frozen=True)
class _Pair:
    """An enlargement, the convolution that alone reads it, and the cast that may stand between them."""

    enlargement: onnx.NodeProto
    cast: onnx.NodeProto | None
    convolution: onnx.NodeProto


def _pairs(graph: onnx.GraphProto) -> Iterator[_Pair]:
    readers: dict[str, list[onnx.NodeProto]] = {}
    for node in graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    weights = {tensor.name: tensor for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type != "Resize" or not _doubles(node, weights):
            continue
        found, cast = readers.get(node.output[0], []), None
        if len(found) == 1 and found[0].op_type == "Cast":
            cast = found[0]
            found = readers.get(cast.output[0], [])
        if len(found) == 1 and _keeps_size(found[0], weights) and len(readers[found[0].input[1]]) == 1:
            yield _Pair(node, cast, found[0])


def _doubles(node: onnx.NodeProto, weights: dict[str, TensorProto]) -> bool:
    """True for an enlargement that says every pixel of a picture four times."""
    scales = weights.get(node.input[2]) if len(node.input) == 3 else None
    given = _attributes(node)
    return (
        scales is not None
        and numpy_helper.to_array(scales).tolist() == [1, 1, 2, 2]
        and all(given.get(name) == value for name, value in _NEAREST.items())
    )


def _keeps_size(node: onnx.NodeProto, weights: dict[str, TensorProto]) -> bool:
    if node.op_type != "Conv" or node.input[1] not in weights or node.input[0] in weights:
        return False
    given = {**_LEFT_OUT, **_attributes(node)}
    is_square = list(weights[node.input[1]].dims[2:]) == [3, 3]
    return is_square and all(given[name] == value for name, value in _SAME_SIZE.items())


def _fold(graph: onnx.GraphProto, pair: _Pair, folder: Path) -> None:
    convolution = pair.convolution
    source, made = pair.enlargement.input[0], list[onnx.NodeProto]()
    if pair.cast is not None:
        # What is rounded is the small picture: the large one has no other numbers.
        to = _attributes(pair.cast)["to"]
        made.append(helper.make_node("Cast", [source], pair.cast.output, pair.cast.name, to=to))
        source = pair.cast.output[0]
    weight = next(tensor for tensor in graph.initializer if tensor.name == convolution.input[1])
    values = _values(weight, folder)
    kernel = numpy_helper.from_array(
        transposed_kernel(values.astype(np.float64)).astype(values.dtype), f"{weight.name} transposed"
    )
    made.append(
        helper.make_node(
            "ConvTranspose",
            [source, kernel.name, *convolution.input[2:]],
            convolution.output,
            convolution.name,
            kernel_shape=[4, 4],
            strides=[2, 2],
            pads=[1, 1, 1, 1],
        )
    )
    graph.initializer.remove(weight)
    graph.initializer.append(kernel)
    place = list(graph.node).index(convolution)
    for node in reversed(made):
        graph.node.insert(place, node)
    for replaced in filter(None, [pair.enlargement, pair.cast, convolution]):
        graph.node.remove(replaced)


def _values(tensor: TensorProto, folder: Path) -> NDArray[Any]:
    """A weight's numbers; not read by onnx, which refuses files of several names, as a bundle's may be."""
    said = {entry.key: entry.value for entry in tensor.external_data}
    if "location" not in said:
        return numpy_helper.to_array(tensor)
    kind, size = helper.tensor_dtype_to_np_dtype(tensor.data_type), math.prod(tensor.dims)
    flat = np.fromfile(folder / said["location"], kind, size, offset=int(said.get("offset", 0)))
    return flat.reshape(tuple(tensor.dims))


def _casts(node: onnx.NodeProto, kind: int) -> bool:
    return node.op_type == "Cast" and _attributes(node)["to"] == kind


def _attributes(node: onnx.NodeProto) -> dict[str, object]:
    return {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
