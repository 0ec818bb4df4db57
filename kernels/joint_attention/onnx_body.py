"""JointAttention written in operators of ONNX, as the body of its node; ONNX Runtime inlines it.

Inside stands `TRT_Attention`, by which name TensorRT knows its own fused attention, whatever the domain. ONNX
Runtime does not, and inlines that one's body too.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import onnx_ir
from onnx_ir import DataType, Value

from dit4sr.kernels.joint_attention.reference import EPSILON
from dit4sr.kernels.onnx_domain import DOMAIN, Operators

__all__ = ["INPUTS", "Shape", "attend", "attention", "body"]

_IMAGE_STREAMS = ("noise_qkv", "lr_qkv")
_IMAGE_NORMS = ("norm_q", "norm_k")
INPUTS = {
    "JointAttention": (*_IMAGE_STREAMS, "text_qkv", *_IMAGE_NORMS, "text_norm_q", "text_norm_k"),
    "JointAttentionFinal": (*_IMAGE_STREAMS, "text_kv", *_IMAGE_NORMS, "text_norm_k"),
    "JointAttentionDual": (*_IMAGE_STREAMS, *_IMAGE_NORMS),
}


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


def attention() -> onnx_ir.Function:
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
