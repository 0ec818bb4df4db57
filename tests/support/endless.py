"""Bundles whose native calls would take for ever."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from dit4sr.runtime.bundles.bundle import Bundle
from dit4sr.runtime.bundles.manifest import MANIFEST, record_of

AGES = 1 << 60
"""Turns of a loop."""


def make_runs_endless(folder: Path, component: str) -> None:
    """Let a component pass its first output through a loop that does not end."""
    model = onnx.load(folder / "onnx" / f"{component}.onnx")
    output = model.graph.output[0].name
    for node in model.graph.node:
        node.output[:] = ["before the loop" if name == output else name for name in node.output]
    body = helper.make_graph(
        [helper.make_node("Tanh", ["x"], ["y"]), helper.make_node("Identity", ["go on"], ["still"])],
        "body",
        [
            helper.make_tensor_value_info("turn", TensorProto.INT64, []),
            helper.make_tensor_value_info("go on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("x", TensorProto.FLOAT, None),
        ],
        [
            helper.make_tensor_value_info("still", TensorProto.BOOL, []),
            helper.make_tensor_value_info("y", TensorProto.FLOAT, None),
        ],
    )
    model.graph.initializer.extend(
        [numpy_helper.from_array(np.array(AGES), "turns"), numpy_helper.from_array(np.array(True), "true")]
    )
    model.graph.node.append(
        helper.make_node("Loop", ["turns", "true", "before the loop"], [output], body=body)
    )
    _rewrite(folder, component, model)


def make_opening_endless(folder: Path, component: str) -> None:
    """Give a component constants that take hours to compute, which is done when it is opened."""
    model = onnx.load(folder / "onnx" / f"{component}.onnx")
    output = model.graph.output[0].name
    for node in model.graph.node:
        node.output[:] = ["before" if name == output else name for name in node.output]
    side = 5000
    model.graph.initializer.append(numpy_helper.from_array(np.array([side, side]), "size"))
    products = [helper.make_node("MatMul", [f"c{i}", "c0"], [f"c{i + 1}"]) for i in range(1000)]
    model.graph.node.extend(
        [
            helper.make_node("ConstantOfShape", ["size"], ["c0"]),
            *products,
            helper.make_node("ReduceMax", [products[-1].output[0]], ["nothing"], keepdims=0),
            helper.make_node("Add", ["before", "nothing"], [output]),
        ]
    )
    _rewrite(folder, component, model)


def _rewrite(folder: Path, component: str, model: onnx.ModelProto) -> None:
    path, manifest = folder / "onnx" / f"{component}.onnx", Bundle.open(folder).manifest
    onnx.save(model, path)
    changed = replace(manifest.components[component], files=(record_of(path, folder),))
    components = {**manifest.components, component: changed}
    (folder / MANIFEST).write_text(replace(manifest, components=components).to_text())
