"""JointAttention in ONNX: one node of domain `dit4sr`, and its body of standard operators.

The exporter inlines every function it knows, so it is only told to emit the bare node (`translation_table`),
and the body joins the finished model (`attach`). ONNX Runtime inlines that body. What TensorRT makes of the
node is decided when a plan is built: a plugin's kernel, or the body in `native_function.py`.
"""

# An operator has as many inputs as its mathematics.
# ruff: noqa: PLR0917

from collections.abc import Callable
from typing import Any

import onnx.defs
import onnx_ir
import torch

from dit4sr.kernels.joint_attention import torch_op as operator  # noqa: F401  (registers the operators named below)
from dit4sr.kernels.joint_attention.onnx_body import INPUTS, Shape, attention, body
from dit4sr.kernels.onnx_domain import DOMAIN, PLUGIN

__all__ = ["attach", "translation_table"]

_OUTPUTS = {
    "JointAttention": ("noise", "lr", "text"),
    "JointAttentionFinal": ("noise", "lr"),
    "JointAttentionDual": ("noise", "lr"),
}


def _register_schema(name: str) -> None:
    """Tell onnx what a node looks like: the exporter asks, and shape inference keeps its outputs' shapes."""
    schema = onnx.defs.OpSchema
    attribute = onnx.defs.OpSchema.Attribute
    kind = onnx.defs.OpSchema.AttrType
    definition = schema(
        name,
        DOMAIN.domain,
        DOMAIN.version,
        "One softmax over the tokens of all streams, queries and keys RMS-normalised per head.",
        inputs=[schema.FormalParameter(tensor, "T") for tensor in INPUTS[name]],
        outputs=[schema.FormalParameter(tensor, "T") for tensor in _OUTPUTS[name]],
        type_constraints=[("T", ["tensor(float)", "tensor(float16)", "tensor(bfloat16)"], "")],
        attributes=[
            attribute("heads", kind.INT, required=True),
            attribute("head_dim", kind.INT, required=True),
            attribute("copied", kind.INT, required=True),
            attribute("plugin_namespace", kind.STRING, required=False),
            attribute("plugin_version", kind.STRING, required=False),
            attribute("aot", kind.INT, required=False),
        ],
    )

    def infer(context: Any) -> None:
        width = context.get_input_type(0).tensor_type.shape.dim[2].dim_value // 3
        for stream in range(len(_OUTPUTS[name])):
            answer = context.get_input_type(stream)
            answer.tensor_type.shape.dim[2].dim_value = width
            context.set_output_type(stream, answer)

    definition.set_type_and_shape_inference_function(infer)
    onnx.defs.register_schema(definition)


for _name in INPUTS:
    if not onnx.defs.has(_name, DOMAIN.domain):
        _register_schema(_name)


def translation_table() -> dict[Callable[..., Any], Callable[..., Any]]:
    """Make the `custom_translation_table` by which `torch.onnx.export` emits the nodes."""

    def attributes(noise_qkv: Any, lr_qkv: Any, norm_k: Any) -> dict[str, Any]:
        packed_width, head_dim = int(noise_qkv.shape[2]), int(norm_k.shape[0])
        return {
            "heads": packed_width // (3 * head_dim),
            "head_dim": head_dim,
            "copied": int(lr_qkv.shape[2] != packed_width),
            **PLUGIN,
        }

    def joint(
        noise_qkv: Any, lr_qkv: Any, text: Any, norm_q: Any, norm_k: Any, text_norm_q: Any, text_norm_k: Any
    ) -> Any:
        return DOMAIN.JointAttention(
            *(noise_qkv, lr_qkv, text, norm_q, norm_k, text_norm_q, text_norm_k),
            **attributes(noise_qkv, lr_qkv, norm_k),
        )

    def final(noise_qkv: Any, lr_qkv: Any, text: Any, norm_q: Any, norm_k: Any, text_norm_k: Any) -> Any:
        return DOMAIN.JointAttentionFinal(
            *(noise_qkv, lr_qkv, text, norm_q, norm_k, text_norm_k), **attributes(noise_qkv, lr_qkv, norm_k)
        )

    def dual(noise_qkv: Any, lr_qkv: Any, norm_q: Any, norm_k: Any) -> Any:
        return DOMAIN.JointAttentionDual(
            *(noise_qkv, lr_qkv, norm_q, norm_k), **attributes(noise_qkv, lr_qkv, norm_k)
        )

    return {
        torch.ops.dit4sr.joint_attention.default: joint,
        torch.ops.dit4sr.joint_attention_final.default: final,
        torch.ops.dit4sr.joint_attention_dual.default: dual,
    }


def attach(model: onnx_ir.Model) -> None:
    """Give an exported model the nodes' bodies, in the model's own opset. The last step of an export."""
    nodes = [n for n in model.graph.all_nodes() if n.domain == DOMAIN.domain and n.op_type in INPUTS]
    bodies = {
        (node.op_type, Shape(*(node.attributes[field].as_int() for field in Shape._fields))) for node in nodes
    }
    if len(bodies) != len({name for name, _ in bodies}):
        raise ValueError(f"one model has one flavour and one head count, found {sorted(bodies)}")
    functions = [body(name, shape) for name, shape in sorted(bodies)]
    for function in [*functions, attention()] if functions else []:
        function.opset_imports.update({"": model.opset_imports[""], DOMAIN.domain: DOMAIN.version})
        model.functions[function.identifier()] = function
        model.opset_imports[DOMAIN.domain] = DOMAIN.version
