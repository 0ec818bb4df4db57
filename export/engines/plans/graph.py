"""A component's graph as TensorRT is to read it: sizes fixed, and a form chosen for each of our operators."""

from __future__ import annotations

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
from dit4sr.kernels.joint_attention.onnx_body import Shape
from dit4sr.kernels.onnx_domain import DOMAIN, PLUGIN
from dit4sr.runtime.backends.tensorrt.compatibility import DIGESTS
from dit4sr.runtime.bundles.manifest import TensorSpec
from dit4sr.runtime.errors import IncompatibleError

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
    native, plugins = dict[str, onnx.NodeProto](), set[str]()
    for node in model.graph.node:
        if node.domain != DOMAIN.domain or node.op_type not in DIGESTS:
            continue
        if forms.of(node.op_type) == "native":
            _forget_plugin(node)
            native[node.op_type] = node
        else:
            plugins.add(node.op_type)
    [version] = [each.version for each in model.opset_import if each.domain == DOMAIN.domain] or [None]
    if version == DOMAIN.version:
        _put_in(model, {name: _native_body(node) for name, node in native.items()})
    elif "DepthwiseInject" in plugins:
        raise IncompatibleError(
            f"{path.name} holds DepthwiseInject of version {version}",
            expected=f"version {DOMAIN.version}, which the plugin computes",
            fix="export the bundle anew, or build with --inject native",
        )
    return PreparedGraph(
        content=model.SerializeToString(),
        path=path,
        attentions=sum(node.op_type in ATTENTIONS for node in model.graph.node),
        plugins=tuple(f"{DOMAIN.domain}::{name}@{DIGESTS[name]}" for name in sorted(plugins)),
    )


def _forget_plugin(node: onnx.NodeProto) -> None:
    """Take away what points the parser to our kernel, so that it descends into the node's body."""
    kept = [attribute for attribute in node.attribute if attribute.name not in PLUGIN]
    del node.attribute[:]
    node.attribute.extend(kept)


def _native_body(node: onnx.NodeProto) -> onnx_ir.Function:
    if node.op_type == "DepthwiseInject":
        return depthwise_inject.body()
    numbers = {attribute.name: attribute.i for attribute in node.attribute}
    return joint_attention.body(node.op_type, Shape(*(numbers[field] for field in Shape._fields)))


def _put_in(model: onnx.ModelProto, bodies: Mapping[str, onnx_ir.Function]) -> None:
    """Put bodies that this compiler fuses in the place of those that ONNX Runtime runs fastest."""
    for function in model.functions:
        body = bodies.get(function.name)
        if function.domain == DOMAIN.domain and body is not None:
            body.opset_imports.update({each.domain: each.version for each in function.opset_import})
            function.CopyFrom(onnx_ir.to_proto(body))


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
