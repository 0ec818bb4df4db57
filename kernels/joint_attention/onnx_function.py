"""JointAttention in ONNX: one node of domain `dit4sr`, and its body of standard operators.

The exporter inlines every function it knows, so it is only told to emit the bare node (`translation_table`),
and the body joins the finished model (`attach`). ONNX Runtime inlines that body. What TensorRT makes of the
node is decided when a plan is built: a plugin's kernel, or the body in `native_function.py`.

Inside the body stands `TRT_Attention`, by which name TensorRT knows its own fused attention, whatever the
domain. ONNX Runtime does not, and inlines that body too.
"""

# An operator has as many inputs as its mathematics.
# ruff: noqa: PLR0917

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import onnx.defs
import onnx_ir
import torch
from onnx_ir import DataType, Value

from dit4sr.kernels.joint_attention import torch_op as operator  # noqa: F401  (registers the operators named below)
from dit4sr.kernels.joint_attention.reference import EPSILON
from dit4sr.kernels.onnx_domain import DOMAIN, PLUGIN, Operators

__all__ = ["attach", "translation_table"]

_IMAGE_STREAMS = ("noise_qkv", "lr_qkv")
_IMAGE_NORMS = ("norm_q", "norm_k")
INPUTS = {
    "JointAttention": (*_IMAGE_STREAMS, "text_qkv", *_IMAGE_NORMS, "text_norm_q", "text_norm_k"),
    "JointAttentionFinal": (*_IMAGE_STREAMS, "text_kv", *_IMAGE_NORMS, "text_norm_k"),
    "JointAttentionDual": (*_IMAGE_STREAMS, *_IMAGE_NORMS),
}
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
    for function in [*functions, _attention()] if functions else []:
        function.opset_imports.update({"": model.opset_imports[""], DOMAIN.domain: DOMAIN.version})
        model.functions[function.identifier()] = function
        model.opset_imports[DOMAIN.domain] = DOMAIN.version


class Shape(NamedTuple):
    """The operator, flavour and sizes that a function body is written for."""

    heads: int
    head_dim: int
    copied: int


class _Heads(NamedTuple):
    """One stream's normalised queries and keys, and its values, `[R, heads, tokens, head_dim]` each."""

    query: Any
    key: Any
    value: Any


def body(name: str, shape: Shape) -> onnx_ir.Function:
    """Write the reference in ONNX, as the body of one operator."""
    op = Operators()
    inputs = {tensor: Value(name=tensor) for tensor in INPUTS[name]}
    noise_qkv, lr_qkv = inputs["noise_qkv"], inputs["lr_qkv"]

    query, key, value = _unpack(op, noise_qkv, 3, shape)
    noise = _Heads(_query(op, query, inputs["norm_q"], shape), _rms_norm(op, key, inputs["norm_k"]), value)
    if shape.copied:
        query, value = _unpack(op, lr_qkv, 2, shape)
        key = noise.key
    else:
        query, key, value = _unpack(op, lr_qkv, 3, shape)
    lr = _Heads(_query(op, query, inputs["norm_q"], shape), _rms_norm(op, key, inputs["norm_k"]), value)

    asking, read = [(noise_qkv, noise), (lr_qkv, lr)], [noise, lr]
    if "text_qkv" in inputs:
        query, key, value = _unpack(op, inputs["text_qkv"], 3, shape)
        query = _query(op, query, inputs["text_norm_q"], shape)
        text = _Heads(query, _rms_norm(op, key, inputs["text_norm_k"]), value)
        asking.append((inputs["text_qkv"], text))
        read.append(text)
    elif "text_kv" in inputs:
        key, value = _unpack(op, inputs["text_kv"], 2, shape)
        read.append(_Heads(None, _rms_norm(op, key, inputs["text_norm_k"]), value))

    query = op.Concat(*(heads.query for _, heads in asking), axis=2)
    key = op.Concat(*(heads.key for heads in read), axis=2)
    value = op.Concat(*(heads.value for heads in read), axis=2)
    answers = attend(op, query, key, value, [packed for packed, _ in asking])
    return op.function(name, list(inputs.values()), answers)


def attend(op: Operators, query: Any, key: Any, value: Any, asking: Sequence[Value]) -> list[Any]:
    """Attend by one softmax, and take apart the answers of the streams, packed as they came, that asked."""
    answer = op.TRT_Attention(
        query,
        key,
        value,
        domain=DOMAIN.domain,
        TRT_decomposable=1,  # rather two MatMuls and a softmax than no engine, where no fused kernel exists
    )
    merged = op.Reshape(op.Transpose(answer, perm=[0, 2, 1, 3]), op.integers(0, 0, -1))
    answers, start = [], op.integers(0)
    for packed in asking:
        end = op.Add(start, op.Shape(packed, start=1, end=2))
        answers.append(op.Slice(merged, start, end, op.integers(1)))
        start = end
    return answers


def _attention() -> onnx_ir.Function:
    """Attend with queries that are scaled already; the softmax is FP32."""
    op = Operators()
    query, key, value = (Value(name=tensor) for tensor in ("query", "key", "value"))
    logits = op.MatMul(query, op.Transpose(key, perm=[0, 1, 3, 2]))
    weights = op.Softmax(op.Cast(logits, to=DataType.FLOAT), axis=-1)
    answer = op.MatMul(op.CastLike(weights, value), value)
    return op.function("TRT_Attention", [query, key, value], [answer])


def _unpack(op: Operators, packed: Value, parts: int, shape: Shape) -> list[Any]:
    """Unpack `[R, tokens, parts * heads * head_dim]` into that many `[R, heads, tokens, head_dim]`."""
    split = op.integers(0, 0, shape.heads, shape.head_dim)
    return [
        op.Transpose(op.Reshape(part, split), perm=[0, 2, 1, 3])
        for part in op.Split(packed, axis=-1, num_outputs=parts, outputs=parts)
    ]


def _query(op: Operators, x: Value, weight: Value, shape: Shape) -> Any:
    """Normalise queries and apply the softmax's scale (for 64 channels exact): fused attention has none."""
    return _rms_norm(op, x, op.Mul(op.Cast(weight, to=DataType.FLOAT), op.number(shape.head_dim**-0.5)))


def _rms_norm(op: Operators, x: Value, weight: Value) -> Any:
    """Divide each head's channels by their root mean square, in FP32."""
    precise = op.Cast(x, to=DataType.FLOAT)
    mean = op.ReduceMean(op.Mul(precise, precise), op.integers(-1), keepdims=1)
    normed = op.Div(precise, op.Sqrt(op.Add(mean, op.number(EPSILON))))
    return op.CastLike(op.Mul(normed, op.Cast(weight, to=DataType.FLOAT)), x)
