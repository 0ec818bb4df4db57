"""DepthwiseInject in ONNX: one node of domain `dit4sr`, and its body of standard operators.

The exporter inlines every function it knows, so it is only told to emit the bare node (`translation_table`),
and the body joins the finished model (`attach`). ONNX Runtime inlines that body. What TensorRT makes of the
node is decided when a plan is built: a plugin's kernel, or the body in `native_function.py`.
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
from dit4sr.kernels.onnx_domain import DOMAIN, PLUGIN

__all__ = ["attach", "translation_table"]


def _infer(context: onnx.shape_inference.InferenceContext) -> None:
    context.set_output_type(0, context.get_input_type(0))


def _register_schema() -> None:
    """Tell onnx what the node looks like: the exporter asks, and shape inference keeps its output's shape."""
    schema = onnx.defs.OpSchema
    attribute = onnx.defs.OpSchema.Attribute
    kind = onnx.defs.OpSchema.AttrType
    definition = schema(
        "DepthwiseInject",
        DOMAIN.domain,
        DOMAIN.version,
        "The LR stream's depthwise convolution, added to the noise stream.",
        inputs=[schema.FormalParameter(name, "T") for name in ("noise", "lr", "weight", "bias")],
        outputs=[schema.FormalParameter("injected", "T")],
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


if not onnx.defs.has("DepthwiseInject", DOMAIN.domain):
    _register_schema()


@onnxscript.script(DOMAIN, default_opset=opset21)  # type: ignore[untyped-decorator]
def DepthwiseInject(noise, lr, weight, bias, channels: int):  # type: ignore  # noqa: ANN001, ANN202, N802
    filtered = opset21.Conv(
        opset21.Transpose(lr, perm=[0, 3, 1, 2]),
        opset21.Unsqueeze(opset21.Transpose(weight, perm=[2, 0, 1]), [1]),
        bias,
        group=channels,
        pads=[1, 1, 1, 1],
    )
    return opset21.Add(noise, opset21.Transpose(filtered, perm=[0, 2, 3, 1]))


def _node(noise: Any, lr: Any, weight: Any, bias: Any) -> Any:
    return DOMAIN.DepthwiseInject(noise, lr, weight, bias, channels=int(weight.shape[2]), **PLUGIN)


def translation_table() -> dict[Callable[..., Any], Callable[..., Any]]:
    """Make the `custom_translation_table` by which `torch.onnx.export` emits the node."""
    return {torch.ops.dit4sr.depthwise_inject.default: _node}


def attach(model: onnx_ir.Model) -> None:
    """Give an exported model the node's body, in the model's own opset. The last step of an export."""
    function = onnx_ir.serde.deserialize_function(DepthwiseInject.to_function_proto())
    function.opset_imports[""] = model.opset_imports[""]
    model.functions[function.identifier()] = function
    model.opset_imports[DOMAIN.domain] = DOMAIN.version
