"""The truth: JointAttention in NumPy, in whatever precision its inputs have."""

# An operator has as many inputs as its mathematics.
# ruff: noqa: PLR0917

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = ["EPSILON", "joint_attention", "joint_attention_dual", "joint_attention_final"]

Array = npt.NDArray[Any]

EPSILON = 1e-6


class Heads(NamedTuple):
    """One stream's normalised queries and keys, and its values, `[R, heads, tokens, head_dim]` each."""

    query: Array
    key: Array
    value: Array


def joint_attention(
    noise_qkv: Array,
    lr_qkv: Array,
    text_qkv: Array,
    norm_q: Array,
    norm_k: Array,
    text_norm_q: Array,
    text_norm_k: Array,
) -> tuple[Array, ...]:
    """Attend over noise, LR and text, which read one another; `[R, tokens, 3D]` becomes `[R, tokens, D]`."""
    noise, lr = image_heads(noise_qkv, lr_qkv, norm_q, norm_k)
    query, key, value = unpack(text_qkv, 3, head_dim=len(norm_k))
    text = Heads(rms_norm(query, text_norm_q), rms_norm(key, text_norm_k), value)
    return attend([noise.query, lr.query, text.query], [noise, lr, text])


def joint_attention_final(
    noise_qkv: Array, lr_qkv: Array, text_kv: Array, norm_q: Array, norm_k: Array, text_norm_k: Array
) -> tuple[Array, ...]:
    """Attend as in the last block: the image streams read text, which asks nothing."""
    noise, lr = image_heads(noise_qkv, lr_qkv, norm_q, norm_k)
    key, value = unpack(text_kv, 2, head_dim=len(norm_k))
    text = Heads(key[:, :, :0], rms_norm(key, text_norm_k), value)
    return attend([noise.query, lr.query], [noise, lr, text])


def joint_attention_dual(noise_qkv: Array, lr_qkv: Array, norm_q: Array, norm_k: Array) -> tuple[Array, ...]:
    """Attend as in the second attention of a dual layer: the image streams read each other."""
    noise, lr = image_heads(noise_qkv, lr_qkv, norm_q, norm_k)
    return attend([noise.query, lr.query], [noise, lr])


def image_heads(noise_qkv: Array, lr_qkv: Array, norm_q: Array, norm_k: Array) -> tuple[Heads, Heads]:
    """Unpack and normalise noise and LR; an LR projection without keys is the flavour `copied`."""
    query, key, value = unpack(noise_qkv, 3, head_dim=len(norm_k))
    noise = Heads(rms_norm(query, norm_q), rms_norm(key, norm_k), value)
    if lr_qkv.shape[-1] == noise_qkv.shape[-1]:
        query, key, value = unpack(lr_qkv, 3, head_dim=len(norm_k))
    else:
        query, value = unpack(lr_qkv, 2, head_dim=len(norm_k))
        key = noise.key
    return noise, Heads(rms_norm(query, norm_q), rms_norm(key, norm_k), value)


def unpack(packed: Array, parts: int, head_dim: int) -> Array:
    """Unpack `[R, tokens, parts * heads * head_dim]` into `[parts, R, heads, tokens, head_dim]`."""
    rows, tokens, _ = packed.shape
    return packed.reshape(rows, tokens, parts, -1, head_dim).transpose(2, 0, 3, 1, 4)


def rms_norm(x: Array, weight: Array) -> Array:
    """Divide each head's channels by their root mean square."""
    normed: Array = weight * x / np.sqrt(np.mean(x * x, axis=-1, keepdims=True) + EPSILON)
    return normed


def attend(queries: Sequence[Array], streams: Sequence[Heads]) -> tuple[Array, ...]:
    """Attend by one softmax over the tokens of all streams; every output is `[R, tokens, D]`."""
    key = np.concatenate([stream.key for stream in streams], axis=2)
    value = np.concatenate([stream.value for stream in streams], axis=2)
    return tuple(merge_heads(softmax(q @ key.swapaxes(2, 3) / np.sqrt(q.shape[-1])) @ value) for q in queries)


def softmax(logits: Array) -> Array:
    """Exponentials, normalised to sum to one over the last axis."""
    weights = np.exp(logits - logits.max(axis=-1, keepdims=True))
    normalised: Array = weights / weights.sum(axis=-1, keepdims=True)
    return normalised


def merge_heads(heads: Array) -> Array:
    """Merge heads `[R, heads, tokens, head_dim]` into tokens `[R, tokens, D]`."""
    rows, _, tokens, _ = heads.shape
    return heads.swapaxes(1, 2).reshape(rows, tokens, -1)
