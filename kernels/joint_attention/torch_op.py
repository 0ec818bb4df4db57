"""JointAttention as torch operators: `torch.ops.dit4sr.joint_attention`, `…_final` and `…_dual`.

Plain torch on the CPU, Triton on CUDA; one opaque node to `torch.compile` and `torch.export`.
"""

# An operator has as many inputs as its mathematics.
# ruff: noqa: PLR0917

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.flop_counter import register_flop_formula

from dit4sr.kernels.joint_attention.reference import EPSILON

__all__ = ["joint_attention", "joint_attention_dual", "joint_attention_final"]

Shape = Sequence[int]


class Heads(NamedTuple):
    """One stream's normalised queries and keys, and its values, `[R, heads, tokens, head_dim]` each."""

    query: Tensor
    key: Tensor
    value: Tensor


def composed_joint_attention(
    noise_qkv: Tensor,
    lr_qkv: Tensor,
    text_qkv: Tensor,
    norm_q: Tensor,
    norm_k: Tensor,
    text_norm_q: Tensor,
    text_norm_k: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    """Attend over noise, LR and text, which read one another; `[R, tokens, 3D]` becomes `[R, tokens, D]`."""
    noise, lr = image_heads(noise_qkv, lr_qkv, norm_q, norm_k)
    query, key, value = unpack(text_qkv, 3, head_dim=len(norm_k))
    text = Heads(rms_norm(query, text_norm_q), rms_norm(key, text_norm_k), value)
    noise_answer, lr_answer, text_answer = attend([noise.query, lr.query, text.query], [noise, lr, text])
    return noise_answer, lr_answer, text_answer


def composed_joint_attention_final(
    noise_qkv: Tensor, lr_qkv: Tensor, text_kv: Tensor, norm_q: Tensor, norm_k: Tensor, text_norm_k: Tensor
) -> tuple[Tensor, Tensor]:
    """Attend as in the last block: the image streams read text, `k | v` only, which asks nothing."""
    noise, lr = image_heads(noise_qkv, lr_qkv, norm_q, norm_k)
    key, value = unpack(text_kv, 2, head_dim=len(norm_k))
    text = Heads(key[:, :, :0], rms_norm(key, text_norm_k), value)
    noise_answer, lr_answer = attend([noise.query, lr.query], [noise, lr, text])
    return noise_answer, lr_answer


def composed_joint_attention_dual(
    noise_qkv: Tensor, lr_qkv: Tensor, norm_q: Tensor, norm_k: Tensor
) -> tuple[Tensor, Tensor]:
    """Attend as in the second attention of a dual layer: the image streams read each other."""
    noise, lr = image_heads(noise_qkv, lr_qkv, norm_q, norm_k)
    noise_answer, lr_answer = attend([noise.query, lr.query], [noise, lr])
    return noise_answer, lr_answer


joint_attention = torch.library.custom_op(
    "dit4sr::joint_attention", composed_joint_attention, mutates_args=()
)
joint_attention_final = torch.library.custom_op(
    "dit4sr::joint_attention_final", composed_joint_attention_final, mutates_args=()
)
joint_attention_dual = torch.library.custom_op(
    "dit4sr::joint_attention_dual", composed_joint_attention_dual, mutates_args=()
)


def image_heads(noise_qkv: Tensor, lr_qkv: Tensor, norm_q: Tensor, norm_k: Tensor) -> tuple[Heads, Heads]:
    """Unpack and normalise noise and LR; an LR projection without keys is the flavour `copied`."""
    query, key, value = unpack(noise_qkv, 3, head_dim=len(norm_k))
    noise = Heads(rms_norm(query, norm_q), rms_norm(key, norm_k), value)
    if lr_qkv.shape[-1] == noise_qkv.shape[-1]:
        query, key, value = unpack(lr_qkv, 3, head_dim=len(norm_k))
    else:
        query, value = unpack(lr_qkv, 2, head_dim=len(norm_k))
        key = noise.key
    return noise, Heads(rms_norm(query, norm_q), rms_norm(key, norm_k), value)


def unpack(packed: Tensor, parts: int, head_dim: int) -> tuple[Tensor, ...]:
    """Unpack `[R, tokens, parts * heads * head_dim]` into that many views `[R, heads, tokens, head_dim]`."""
    views: tuple[Tensor, ...] = packed.unflatten(-1, (parts, -1, head_dim)).permute(2, 0, 3, 1, 4).unbind()
    return views


def rms_norm(x: Tensor, weight: Tensor) -> Tensor:
    """Divide each head's channels by their root mean square, in FP32 at least."""
    precise = x.to(torch.promote_types(x.dtype, torch.float32))
    return (precise * torch.rsqrt(precise.square().mean(-1, keepdim=True) + EPSILON) * weight).to(x.dtype)


def attend(queries: Sequence[Tensor], streams: Sequence[Heads]) -> list[Tensor]:
    """Attend by one softmax over the tokens of all streams; every output is `[R, tokens, D]`.

    The queries stay apart, so that no answer is a view into another one's memory.
    """
    key = torch.cat([stream.key for stream in streams], dim=2)
    value = torch.cat([stream.value for stream in streams], dim=2)
    return [
        F.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2).contiguous()
        for query in queries
    ]


@joint_attention.register_fake
def _(noise_qkv: Tensor, lr_qkv: Tensor, text_qkv: Tensor, *_norms: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    noise, lr = empty_image_answers(noise_qkv, lr_qkv)
    packed_width, text_width = noise_qkv.shape[-1], text_qkv.shape[-1]
    torch._check(
        text_width == packed_width, lambda: f"text q|k|v must be {packed_width} wide, found {text_width}"
    )
    return noise, lr, text_qkv.new_empty((*text_qkv.shape[:-1], packed_width // 3))


@joint_attention_final.register_fake
def _(noise_qkv: Tensor, lr_qkv: Tensor, text_kv: Tensor, *_norms: Tensor) -> tuple[Tensor, Tensor]:
    text_width, expected = text_kv.shape[-1], noise_qkv.shape[-1] // 3 * 2
    torch._check(text_width == expected, lambda: f"text k|v must be {expected} wide, found {text_width}")
    return empty_image_answers(noise_qkv, lr_qkv)


@joint_attention_dual.register_fake
def _(noise_qkv: Tensor, lr_qkv: Tensor, *_norms: Tensor) -> tuple[Tensor, Tensor]:
    return empty_image_answers(noise_qkv, lr_qkv)


def empty_image_answers(noise_qkv: Tensor, lr_qkv: Tensor) -> tuple[Tensor, Tensor]:
    """Allocate the outputs of noise and LR, whose tokens lie on one grid."""
    rows, tokens, packed_width = noise_qkv.shape
    width = packed_width // 3
    torch._check(lr_qkv.shape[1] == tokens, lambda: f"LR must have {tokens} tokens, found {lr_qkv.shape[1]}")
    torch._check(
        lr_qkv.shape[2] in (packed_width, 2 * width),
        lambda: f"LR must be {packed_width} wide (q|k|v) or {2 * width} (q|v), found {lr_qkv.shape[2]}",
    )
    return noise_qkv.new_empty((rows, tokens, width)), lr_qkv.new_empty((rows, tokens, width))


@joint_attention.register_kernel("cuda")
def _(
    noise_qkv: Tensor,
    lr_qkv: Tensor,
    text_qkv: Tensor,
    norm_q: Tensor,
    norm_k: Tensor,
    text_norm_q: Tensor,
    text_norm_k: Tensor,
) -> tuple[Tensor, ...]:
    from dit4sr.kernels.joint_attention import kernel  # noqa: PLC0415  (Triton is needed on CUDA alone)

    return kernel.launch(noise_qkv, lr_qkv, text_qkv, norm_q, norm_k, text_norm_q, text_norm_k)


@joint_attention_final.register_kernel("cuda")
def _(
    noise_qkv: Tensor, lr_qkv: Tensor, text_kv: Tensor, norm_q: Tensor, norm_k: Tensor, text_norm_k: Tensor
) -> tuple[Tensor, ...]:
    from dit4sr.kernels.joint_attention import kernel  # noqa: PLC0415

    return kernel.launch(noise_qkv, lr_qkv, text_kv, norm_q, norm_k, None, text_norm_k)


@joint_attention_dual.register_kernel("cuda")
def _(noise_qkv: Tensor, lr_qkv: Tensor, norm_q: Tensor, norm_k: Tensor) -> tuple[Tensor, ...]:
    from dit4sr.kernels.joint_attention import kernel  # noqa: PLC0415

    return kernel.launch(noise_qkv, lr_qkv, None, norm_q, norm_k, None, None)


@register_flop_formula(torch.ops.dit4sr.joint_attention)
def joint_attention_flops(noise: Shape, lr: Shape, text: Shape, *_norms: Shape, **_: Any) -> int:
    """Count the operations of JointAttention, in which all three streams ask and are read."""
    return attention_flops(noise, asking=noise[1] + lr[1] + text[1], read=noise[1] + lr[1] + text[1])


@register_flop_formula(torch.ops.dit4sr.joint_attention_final)
def joint_attention_final_flops(noise: Shape, lr: Shape, text: Shape, *_norms: Shape, **_: Any) -> int:
    """Count the operations of JointAttentionFinal, in which text is only read."""
    return attention_flops(noise, asking=noise[1] + lr[1], read=noise[1] + lr[1] + text[1])


@register_flop_formula(torch.ops.dit4sr.joint_attention_dual)
def joint_attention_dual_flops(noise: Shape, lr: Shape, *_norms: Shape, **_: Any) -> int:
    """Count the operations of JointAttentionDual, in which there is no text."""
    return attention_flops(noise, asking=noise[1] + lr[1], read=noise[1] + lr[1])


def attention_flops(packed: Shape, *, asking: int, read: int) -> int:
    """Count the operations of QKᵀ and PV over all pairs of tokens, a multiplication and an addition each."""
    rows, _, packed_width = packed
    return 2 * 2 * rows * asking * read * (packed_width // 3)
