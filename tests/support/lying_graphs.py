"""Graphs that answer otherwise than their manifest says: each tells one lie about one output."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from PIL import Image
from support.photos import make_photo

from dit4sr.runtime.bundles.manifest import MANIFEST, record_of
from dit4sr.runtime.bundles.schema import to_json

FLOAT = TensorProto.FLOAT


@dataclass(frozen=True)
class Lie:
    """What is done to an answer, and the type that comes of it."""

    name: str
    operator: str
    constants: tuple[np.ndarray, ...] = ()
    attributes: tuple[tuple[str, int], ...] = ()
    dtype: int = FLOAT
    manifest_says: str = ""
    """The type in the manifest, if it joins in the lie."""


def _numbers(*values: int) -> np.ndarray:
    return np.array(values, dtype=np.int64)


LIES = (
    *(
        Lie(f"{name} on axis {axis}", "Slice", (_numbers(0), _numbers(end), _numbers(axis)))
        for axis in (0, 1, -1)
        for name, end in (("fewer", -1), ("only one", 1), ("none", 0))
    ),
    Lie("another rank", "Unsqueeze", (_numbers(0),)),
    Lie("flat", "Reshape", (_numbers(-1),)),
    Lie("twice as many", "Concat", (), (("axis", 0),)),
    Lie("as many as the data say", "Compress"),
    *(
        Lie(f"{says or 'declared'} {numpy_name}", "Cast", (), (("to", kind),), kind, says)
        for numpy_name, kind in (
            ("uint8", TensorProto.UINT8),
            ("float16", TensorProto.FLOAT16),
            ("float64", TensorProto.DOUBLE),
            ("int64", TensorProto.INT64),
            ("string", TensorProto.STRING),
        )
        for says in ("", numpy_name)
    ),
    Lie("a sequence", "SequenceConstruct"),
)
"""Every lie that is told of every output."""


def attack(number: int, sound: Path, folder: Path) -> list[str]:
    """Tell one lie, and restore a picture with it in one tile or in several.

    Half of the graphs declare the shape that the manifest says, half none.
    """
    told = attacks(sound)
    component, output, lie = told[number % len(told)]
    variant = number % len(told) + number // len(told)
    bundle = spoilt_copy(sound, folder)
    graph = bundle / "onnx" / f"{component}.onnx"
    model = onnx.load(graph)
    _tell(model, output, lie, keeps_shape=variant % 4 < 2)
    onnx.save(model, graph)
    manifest = json.loads((bundle / MANIFEST).read_text())
    described = manifest["components"][component]
    described["files"] = [to_json(record_of(graph, bundle))]
    if lie.manifest_says:
        [spec] = [spec for spec in described["outputs"] if spec["name"] == output]
        spec["dtype"] = lie.manifest_says
    (bundle / MANIFEST).write_text(json.dumps(manifest))
    return arguments(bundle, folder, width=8 if variant % 2 else 20)


def attacks(sound: Path) -> list[tuple[str, str, Lie]]:
    """Every lie about every output of the bundle; of a single image it is none that there is only one."""
    components = json.loads((sound / MANIFEST).read_text())["components"]
    outputs = [(name, spec) for name, each in components.items() for spec in each["outputs"]]
    return [
        (component, spec["name"], lie)
        for component, spec in outputs
        for lie in LIES
        if not (spec["shape"][0] == "images" and lie.name == "only one on axis 0")
    ]


def spoilt_copy(sound: Path, folder: Path) -> Path:
    """A copy that may be spoilt."""
    return Path(shutil.copytree(sound, folder / "bundle"))


def arguments(bundle: Path, folder: Path, *, width: int) -> list[str]:
    """Restore a small photo; wider than its height it takes several tiles."""
    photo = folder / "photo.png"
    Image.fromarray(make_photo(8, width)).save(photo)
    return [
        str(photo),
        "-o",
        str(folder / "restored.png"),
        "-m",
        str(bundle),
        "--steps",
        "3",
        "--threads",
        "1",
    ]


def _tell(model: onnx.ModelProto, output: str, lie: Lie, *, keeps_shape: bool) -> None:
    graph, true = model.graph, f"{output}_true"
    for node in graph.node:
        node.output[:] = [true if name == output else name for name in node.output]
        node.input[:] = [true if name == output else name for name in node.input]
    constants = [f"{output}_lie_{i}" for i in range(len(lie.constants))]
    for name, values in zip(constants, lie.constants, strict=True):
        graph.initializer.append(numpy_helper.from_array(values, name))
    [value] = [value for value in graph.output if value.name == output]
    inputs = [true, true] if lie.operator == "Concat" else [true, *constants]
    if lie.operator == "Compress":
        graph.node.extend(_chosen_by_the_data(model, value, true))
    else:
        graph.node.append(helper.make_node(lie.operator, inputs, [output], **dict(lie.attributes)))
    value.type.tensor_type.elem_type = lie.dtype
    if not keeps_shape:
        value.type.tensor_type.ClearField("shape")
    if lie.operator == "SequenceConstruct":
        value.CopyFrom(helper.make_tensor_sequence_value_info(output, FLOAT, None))


def _chosen_by_the_data(
    model: onnx.ModelProto, value: onnx.ValueInfoProto, true: str
) -> list[onnx.NodeProto]:
    """The positive numbers of an answer, in a tensor of its rank."""
    rank = len(value.type.tensor_type.shape.dim)
    constants = {"flat": _numbers(-1), "zero": np.float32(0), "rank": _numbers(*[1] * (rank - 1), -1)}
    for name, values in constants.items():
        model.graph.initializer.append(numpy_helper.from_array(np.asarray(values), f"lie_{name}"))
    return [
        helper.make_node("Reshape", [true, "lie_flat"], ["lie_row"]),
        helper.make_node("Greater", ["lie_row", "lie_zero"], ["lie_choice"]),
        helper.make_node("Compress", ["lie_row", "lie_choice"], ["lie_chosen"]),
        helper.make_node("Reshape", ["lie_chosen", "lie_rank"], [value.name]),
    ]
