"""A component's graph as TensorRT is to read it: sizes fixed, and a form chosen for each of our operators."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import onnx
import onnx_ir

from dit4sr.export.engines.plans.config import Forms
from dit4sr.export.engines.plans.convolutions import fold_upsampling, sum_in_half
from dit4sr.export.engines.plans.profiles import Profile
from dit4sr.kernels.depthwise_inject import native_function as depthwise_inject
from dit4sr.kernels.joint_attention import native_function as joint_attention
from dit4sr.kernels.joint_attention.onnx_function import Shape
from dit4sr.runtime.backends.tensorrt.compatibility import DIGESTS
from dit4sr.runtime.bundles.manifest import TensorSpec

DOMAIN = "dit4sr"
POINTERS_TO_PLUGINS = {"plugin_namespace", "plugin_version", "aot"}
"""Attributes by which the parser finds a kernel of ours; without them it descends into the node's body."""

ATTENTIONS = {
    "Attention",
    "TRT_Attention",
    *(name for name in DIGESTS if name.startswith("JointAttention")),
}


@dataclass(frozen=True)
class PreparedGraph:
    """A graph as it is given to the parser, and what of interest is in it."""

    content: bytes
    """The graph alone; large weights stay in the file beside the original."""
    path: Path
    attentions: int
    plugins: tuple[str, ...]
    """Our kernels, with their digests."""


def prepared(
    path: Path,
    inputs: Sequence[TensorSpec],
    profile: Profile,
    forms: Forms,
    *,
    weights_come_later: bool = False,
) -> PreparedGraph:
    """The bundle's graph for one profile; the file stays as it is.

    Where ``weights_come_later``, from the bundle and by their names, none is made of others.
    """
    model = onnx.load(path, load_external_data=False)
    sum_in_half(model)
    if not weights_come_later:
        fold_upsampling(model, path.parent)
    _fix_sizes(model.graph, profile.fixed(tuple(inputs)))
    ours, bodies = Counter[str](), dict[str, onnx_ir.Function]()
    for node in model.graph.node:
        if node.domain == DOMAIN and node.op_type in DIGESTS:
            if forms.of(node.op_type) == "native":
                bodies.setdefault(node.op_type, _native_body(node))
                kept = [one for one in node.attribute if one.name not in POINTERS_TO_PLUGINS]
                del node.attribute[:]
                node.attribute.extend(kept)
            else:
                ours[node.op_type] += 1
    _put_in(model, bodies)
    return PreparedGraph(
        content=model.SerializeToString(),
        path=path,
        attentions=sum(node.op_type in ATTENTIONS for node in model.graph.node),
        plugins=tuple(f"{DOMAIN}::{name}@{DIGESTS[name]}" for name in sorted(ours)),
    )


def _native_body(node: onnx.NodeProto) -> onnx_ir.Function:
    if node.op_type == "DepthwiseInject":
        return depthwise_inject.body()
    numbers = {attribute.name: attribute.i for attribute in node.attribute}
    shape = Shape(*(numbers[field] for field in Shape._fields))
    return joint_attention.body(node.op_type, shape)


def _put_in(model: onnx.ModelProto, bodies: Mapping[str, onnx_ir.Function]) -> None:
    """Replace the bodies that ONNX Runtime runs by those that this compiler fuses."""
    for place, function in enumerate(model.functions):
        body = bodies.get(function.name)
        if function.domain == DOMAIN and body is not None:
            body.opset_imports.update({each.domain: each.version for each in function.opset_import})
            model.functions[place].CopyFrom(onnx_ir.to_proto(body))


def _fix_sizes(graph: onnx.GraphProto, inputs: Sequence[TensorSpec]) -> None:
    """Write sizes where names were. What was inferred from the names, the parser infers again."""
    shapes = {spec.name: spec.shape for spec in inputs}
    sizes: dict[str, int] = {}
    for value in graph.input:
        for dim, axis in zip(value.type.tensor_type.shape.dim, shapes.get(value.name, ()), strict=False):
            if isinstance(axis, int) and dim.dim_param:
                sizes[dim.dim_param] = axis
    for value in [*graph.input, *graph.output]:
        for dim in value.type.tensor_type.shape.dim:
            if dim.dim_param in sizes:
                dim.dim_value = sizes[dim.dim_param]
    del graph.value_info[:]
