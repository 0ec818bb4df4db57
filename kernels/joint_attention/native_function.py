"""JointAttention as TensorRT's compiler fuses it: two kernels from the projections to the softmax.

The compiler has a fused attention; what stands before it, it makes of generated kernels. Each of them reads
what it needs from memory, so that few and whole ones are the aim. These are the fewest that were found: one
sums the squares of queries and keys, one norms, transposes and joins queries, keys and values.
For that, squares are summed of another view of the projections than the one that is transposed, streams are
joined before they are summed, and the flavour `copied` norms its noise keys twice without writing them once.
"""

from typing import Any, NamedTuple

import onnx_ir
from onnx_ir import DataType, Value

from dit4sr.kernels.joint_attention.onnx_body import INPUTS, Shape, attend
from dit4sr.kernels.joint_attention.reference import EPSILON
from dit4sr.kernels.onnx_domain import Operators

__all__ = ["body"]


class _Part(NamedTuple):
    """One stream's queries, keys or values, twice."""

    heads: Any
    """`[R, heads, tokens, head_dim]`, to be multiplied."""
    tokens: Any
    """`[R, tokens, heads, head_dim]`, to be summed."""


class _Norm(NamedTuple):
    """What is to be normalised, and by which weight.

    `twice` for the noise keys that stand in for LR's, right after they were normalised for themselves.
    """

    part: _Part
    weight: Any
    twice: bool = False


def body(name: str, shape: Shape) -> onnx_ir.Function:
    """Write the reference in ONNX, as the body of one operator in the compiled copy of a graph."""
    op = Operators()
    inputs = {tensor: Value(name=tensor) for tensor in INPUTS[name]}
    noise_query, noise_key, noise_value = _unpack(op, inputs["noise_qkv"], 3, shape)
    lr_query, *lr_key, lr_value = _unpack(op, inputs["lr_qkv"], 2 if shape.copied else 3, shape)

    norm_q, norm_k = inputs["norm_q"], inputs["norm_k"]
    queries = [_Norm(noise_query, norm_q), _Norm(lr_query, norm_q)]
    keys = [_Norm(noise_key, norm_k)]
    keys.append(_Norm(noise_key, norm_k, twice=True) if shape.copied else _Norm(lr_key[0], norm_k))
    values = [noise_value, lr_value]
    asking = [inputs["noise_qkv"], inputs["lr_qkv"]]
    if "text_qkv" in inputs:
        query, key, value = _unpack(op, inputs["text_qkv"], 3, shape)
        queries.append(_Norm(query, inputs["text_norm_q"]))
        keys.append(_Norm(key, inputs["text_norm_k"]))
        values.append(value)
        asking.append(inputs["text_qkv"])
    elif "text_kv" in inputs:
        key, value = _unpack(op, inputs["text_kv"], 2, shape)
        keys.append(_Norm(key, inputs["text_norm_k"]))
        values.append(value)

    answers = attend(
        op,
        # The softmax's scale is applied here (for 64 channels exact): the fused attention has none.
        _normed(op, queries, scale=shape.head_dim**-0.5),
        _normed(op, keys),
        op.Concat(*(value.heads for value in values), axis=2),
        asking,
    )
    return op.function(name, list(inputs.values()), answers)


def _unpack(op: Operators, packed: Value, parts: int, shape: Shape) -> list[_Part]:
    """Unpack `[R, tokens, parts * heads * head_dim]`; the whole is transposed before it is split."""
    whole = op.Reshape(packed, op.integers(0, 0, parts, shape.heads, shape.head_dim))
    transposed = op.Transpose(whole, perm=[2, 0, 3, 1, 4])
    split = {"num_outputs": parts, "outputs": parts}
    by_token = op.integers(0, 0, shape.heads, shape.head_dim)
    return [
        _Part(op.Squeeze(heads, op.integers(0)), op.Reshape(tokens, by_token))
        for heads, tokens in zip(
            op.Split(transposed, axis=0, **split), op.Split(packed, axis=-1, **split), strict=True
        )
    ]


def _normed(op: Operators, norms: list[_Norm], scale: float = 1.0) -> Any:
    """Normalise each head's channels in FP32, round once, and join the streams."""
    means = _means(op, [_square(op, norm) for norm in norms])
    streams, root = [], None
    for norm, mean in zip(norms, means, strict=True):
        weight = _wide(op, norm.weight)
        if norm.twice:
            # x·w·w / (r·s), where r is the root of the mean of x², and s that of (x·w)² / r²: a sum over x.
            root = op.Mul(root, _root(op, op.Div(mean, op.Mul(root, root))))
            weight = op.Mul(weight, weight)
        else:
            root = _root(op, mean)
        weight = op.Mul(weight, op.number(scale)) if scale != 1 else weight
        normed = op.Mul(op.Div(_wide(op, norm.part.heads), root), weight)
        streams.append(op.CastLike(normed, norm.part.heads))
    return op.Concat(*streams, axis=2)


def _square(op: Operators, norm: _Norm) -> Any:
    """The square over whose mean something is normalised in the end, `[R, tokens, heads, head_dim]`."""
    value = _wide(op, norm.part.tokens)
    value = op.Mul(value, _wide(op, norm.weight)) if norm.twice else value
    return op.Mul(value, value)


def _means(op: Operators, squares: list[Any]) -> list[Any]:
    """The mean of each head's channels, `[R, heads, tokens, 1]`, of all streams in one sum."""
    joined = op.ReduceMean(op.Concat(*squares, axis=1), op.integers(-1), keepdims=1)
    transposed, start, means = op.Transpose(joined, perm=[0, 2, 1, 3]), op.integers(0), []
    for square in squares:
        end = op.Add(start, op.Shape(square, start=1, end=2))
        means.append(op.Slice(transposed, start, end, op.integers(2)))
        start = end
    return means


def _root(op: Operators, mean: Any) -> Any:
    return op.Sqrt(op.Add(mean, op.number(EPSILON)))


def _wide(op: Operators, x: Any) -> Any:
    return op.Cast(x, to=DataType.FLOAT)
