"""Bundles spoilt at random: graphs in their bytes or their protobuf, manifests in any place.

Digests are written anew, as a stranger's would be: what is tried is what the content does.
"""

from __future__ import annotations

import copy
import json
import random
import shutil
from pathlib import Path
from typing import Any

import onnx
from onnx import TensorProto
from support.lying_graphs import arguments
from support.manifests import STRANGE, places

from dit4sr.runtime.bundles.manifest import MANIFEST, record_of
from dit4sr.runtime.bundles.schema import to_json

HOSTILE: tuple[Any, ...] = (
    *STRANGE,
    *(1, 2, 3, 4, 5, 8, 16, 1 << 31, 1 << 62, 10**400, -(10**400), 1e-300, 1e300, 0.0, -1.0),
    *("\ud800", "\udfff" * 9, "h", "w", "rows", "h//0", "h*w", "9" * 400, "(" * 300, "4*h", "-h"),
    *("float16", "float64", "uint8", "string", "step", "prepare", "text", "latent", "image"),
)
"""Values that a field may get; those of its neighbours are tried as well."""


def attack(number: int, sound: Path, folder: Path) -> list[str]:
    """Graphs have even numbers, manifests odd ones, so that a short run tries both."""
    rng = random.Random(number)
    bundle = Path(shutil.copytree(sound, folder / "bundle"))
    spoil = spoil_a_graph if number % 2 == 0 else spoil_the_manifest
    spoil(bundle, rng)
    return arguments(bundle, folder, width=rng.choice([8, 20]))


def spoil_the_manifest(bundle: Path, rng: random.Random) -> None:
    """Change a place or two, mostly to a value of the same kind: any other is refused by its type alone."""
    document = json.loads((bundle / MANIFEST).read_text())
    for _ in range(rng.randint(1, 2)):
        # The model card is a few lines of many, and all that the runtime reckons with.
        part = document["model"] if rng.random() < 0.4 else document["components"]
        container, key = rng.choice(list(places(part if rng.random() < 0.9 else document)))
        values = [*HOSTILE, *(other[name] for other, name in places(document))]
        alike = [value for value in values if type(value) is type(container[key])]
        value = copy.deepcopy(rng.choice(alike if alike and rng.random() < 0.8 else values))
        if rng.random() < 0.9:
            container[key] = value
        elif isinstance(container, list):
            container.append(value)
        else:
            del container[key]
    (bundle / MANIFEST).write_text(json.dumps(document))


def spoil_a_graph(bundle: Path, rng: random.Random) -> None:
    """Change one graph: a few bytes, or a few of its nodes, attributes, shapes, types and weights."""
    graph = rng.choice(sorted(bundle.glob("onnx/*.onnx")))
    if rng.random() < 0.3:
        _spoil_bytes(graph, rng)
    else:
        model = onnx.load(graph)
        for _ in range(rng.randint(1, 2)):
            rng.choice(MUTATIONS)(model.graph, rng)
        onnx.save(model, graph)
    document = json.loads((bundle / MANIFEST).read_text())
    document["components"][graph.stem]["files"] = [to_json(record_of(graph, bundle))]
    (bundle / MANIFEST).write_text(json.dumps(document))


def _spoil_bytes(file: Path, rng: random.Random) -> None:
    data = bytearray(file.read_bytes())
    for _ in range(rng.randint(1, 8)):
        place = rng.randrange(len(data))
        action = rng.randrange(3)
        if action == 0:
            data[place] = rng.randrange(256)
        elif action == 1:
            del data[place : place + rng.randint(1, 9)]
        else:
            data[place:place] = rng.randbytes(rng.randint(1, 9))
    file.write_bytes(data)


def _drop_a_node(graph: onnx.GraphProto, rng: random.Random) -> None:
    del graph.node[rng.randrange(len(graph.node))]


def _double_a_node(graph: onnx.GraphProto, rng: random.Random) -> None:
    graph.node.append(rng.choice(graph.node))


def _rewire(graph: onnx.GraphProto, rng: random.Random) -> None:
    node, other = rng.choice(graph.node), rng.choice(graph.node)
    if node.input and other.input:
        node.input[rng.randrange(len(node.input))] = rng.choice(other.input)


def _other_operator(graph: onnx.GraphProto, rng: random.Random) -> None:
    names = [
        "Identity",
        "Neg",
        "Exp",
        "Log",
        "Sqrt",
        "Reciprocal",
        "Shape",
        "NonZero",
        "Softmax",
        "Transpose",
    ]
    rng.choice(graph.node).op_type = rng.choice([*names, rng.choice(graph.node).op_type, "None"])


def _other_attribute(graph: onnx.GraphProto, rng: random.Random) -> None:
    attributes = [attribute for node in graph.node for attribute in node.attribute]
    if attributes:
        attribute = rng.choice(attributes)
        number = rng.choice([0, 1, -1, 2, 7, 64, 1 << 20, -(1 << 40), 1 << 62])
        attribute.i = number
        for place in range(len(attribute.ints)):
            if rng.random() < 0.5:
                attribute.ints[place] = number


def _other_axis(graph: onnx.GraphProto, rng: random.Random) -> None:
    dims = rng.choice([*graph.input, *graph.output]).type.tensor_type.shape.dim
    if rng.random() < 0.2 and dims:
        dims.pop()
    elif rng.random() < 0.3:
        dims.add().dim_value = rng.choice([1, 3])
    elif dims:
        dims[rng.randrange(len(dims))].dim_value = rng.choice([0, 1, 3, 5, -1, 1 << 40])


def _other_type(graph: onnx.GraphProto, rng: random.Random) -> None:
    kinds = [
        TensorProto.DOUBLE,
        TensorProto.FLOAT16,
        TensorProto.UINT8,
        TensorProto.STRING,
        TensorProto.INT64,
    ]
    rng.choice([*graph.input, *graph.output]).type.tensor_type.elem_type = rng.choice(kinds)


def _other_name(graph: onnx.GraphProto, rng: random.Random) -> None:
    rng.choice([*graph.input, *graph.output]).name = rng.choice(["", "other", "latent", "image"])


def _other_weights(graph: onnx.GraphProto, rng: random.Random) -> None:
    if graph.initializer:
        tensor = rng.choice(graph.initializer)
        action = rng.randrange(4)
        if action == 0 and tensor.dims:
            tensor.dims[rng.randrange(len(tensor.dims))] = rng.choice([0, 1, 3, 1 << 40, -1])
        elif action == 1:
            tensor.raw_data = rng.randbytes(len(tensor.raw_data))
        elif action == 2:
            tensor.raw_data = tensor.raw_data[:-4]
        else:
            tensor.raw_data = bytes(len(tensor.raw_data))


MUTATIONS = (
    _drop_a_node,
    _double_a_node,
    _rewire,
    _other_operator,
    _other_attribute,
    _other_axis,
    _other_type,
    _other_name,
    _other_weights,
)
