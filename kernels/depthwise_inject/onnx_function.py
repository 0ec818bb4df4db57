"""DepthwiseInject in ONNX: one node of domain `dit4sr`, and its body of standard operators.

The exporter inlines every function it knows, so it is only told to emit the bare node (`translation_table`),
and the body joins the finished model (`attach`). ONNX Runtime inlines that body. TensorRT takes the plugin:
the node's remaining attributes are for its parser.
"""

from collections.abc import Callable
from typing import Any

import onnx.defs
import onnx.shape_inference
import onnx_ir
import onnxscript
import torch
from onnxscript import opset21

from dit4sr.kernels.depthwise_inject import torch_op as operator  # noqa: F401  (registers the operator named below)

__all__ = ["attach", "translation_table"]

_DOMAIN = onnxscript.values.Opset("dit4sr", 1)


def _infer(context: onnx.shape_inference.InferenceContext) -> None:
    context.set_output_type(0, context.get_input_type(0))


def _register_schema() -> None:
    """Tell onnx what the node looks like: the exporter asks, and shape inference keeps its output's shape."""
    schema = onnx.defs.OpSchema
    attribute = onnx.defs.OpSchema.Attribute
    kind = onnx.defs.OpSchema.AttrType
    definition = schema(
        "DepthwiseInject",
        _DOMAIN.domain,
        _DOMAIN.version,
        "Tanh-GELU of both streams, and the LR stream's depthwise convolution added to the noise stream.",
        inputs=[schema.FormalParameter(name, "T") for name in ("u", "weight", "bias")],
        outputs=[schema.FormalParameter("a", "T")],
        type_constraints=[("T", ["tensor(float)", "tensor(float16)", "tensor(bfloat16)"], "")],
        attributes=[
            attribute("channels", kind.INT, required=True),
            attribute("plugin_namespace", kind.STRING, required=False),
            attribute("plugin_version", kind.STRING, required=False),
            attribute("aot", kind.INT, required=False),
        ],
    )
    definition.set_type_and_shape_inference_function(_infer)
    onnx.defs.register_schema(definition)


if not onnx.defs.has("DepthwiseInject", _DOMAIN.domain):
    _register_schema()


@onnxscript.script(_DOMAIN, default_opset=opset21)  # type: ignore[untyped-decorator]
def DepthwiseInject(u, weight, bias, channels: int):  # type: ignore  # noqa: ANN001, ANN202, N802
    noise, photo = opset21.Split(opset21.Gelu(u, approximate="tanh"), axis=1, num_outputs=2)
    filtered = opset21.Conv(
        opset21.Transpose(opset21.Squeeze(photo, [1]), perm=[0, 3, 1, 2]),
        opset21.Unsqueeze(opset21.Transpose(weight, perm=[2, 0, 1]), [1]),
        bias,
        group=channels,
        pads=[1, 1, 1, 1],
    )
    injected = opset21.Unsqueeze(opset21.Transpose(filtered, perm=[0, 2, 3, 1]), [1])
    return opset21.Concat(opset21.Add(noise, injected), photo, axis=1)


def _node(u: Any, weight: Any, bias: Any) -> Any:
    return _DOMAIN.DepthwiseInject(
        u,
        weight,
        bias,
        channels=int(weight.shape[2]),
        plugin_namespace=_DOMAIN.domain,
        plugin_version="1",
        aot=1,
    )


def translation_table() -> dict[Callable[..., Any], Callable[..., Any]]:
    """Make the `custom_translation_table` by which `torch.onnx.export` emits the node."""
    return {torch.ops.dit4sr.depthwise_inject.default: _node}


def attach(model: onnx_ir.Model) -> None:
    """Give an exported model the node's body, in the model's own opset. The last step of an export."""
    function = onnx_ir.serde.deserialize_function(DepthwiseInject.to_function_proto())
    function.opset_imports[""] = model.opset_imports[""]
    model.functions[function.identifier()] = function
    model.opset_imports[_DOMAIN.domain] = _DOMAIN.version
