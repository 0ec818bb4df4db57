"""Inputs for the JointAttention operators, the truth about them, and how far from it a form may be."""

import functools

import numpy as np
import torch
from hypothesis import strategies as st

from dit4sr.kernels.joint_attention import reference

OPERATORS = ("joint_attention", "joint_attention_final", "joint_attention_dual")

sizes = st.fixed_dictionaries(
    {
        "rows": st.integers(1, 3),
        "heads": st.integers(1, 3),
        "tokens": st.integers(1, 20),
        "words": st.integers(1, 20),
        "copied": st.booleans(),
        "seed": st.integers(0, 99),
    }
)


def inputs(
    name, *, rows, heads, tokens, words, copied, head_dim=64, dtype=torch.float32, strided=False, seed=0
):
    """Packed projections and norm weights, in the operator's order; strided ones lie in wider tensors."""
    draw = torch.Generator().manual_seed(seed)
    width = heads * head_dim

    def packed(count, parts):
        room = (rows, count + 2, (parts + 1) * width) if strided else (rows, count, parts * width)
        return (2 * torch.randn(room, generator=draw)).to(dtype)[:, :count, : parts * width]

    images = packed(tokens, 3), packed(tokens, 2 if copied else 3)
    norms = tuple((1 + 0.5 * torch.randn(4, head_dim, generator=draw)).to(dtype))
    return {
        "joint_attention": (*images, packed(words, 3), *norms),
        "joint_attention_final": (*images, packed(words, 2), *norms[:2], norms[3]),
        "joint_attention_dual": (*images, *norms[:2]),
    }[name]


def truth(name, tensors):
    """The reference's answers in FP64, one stream after the other."""
    arrays = (tensor.double().numpy() for tensor in tensors)
    return np.concatenate(getattr(reference, name)(*arrays), axis=1)


def eager(name, tensors):
    """Plain torch's answers in the tensors' own type, one stream after the other."""
    return torch.cat(getattr(torch.ops.dit4sr, name)(*tensors), dim=1)


def error(found, expected):
    return np.abs(torch.as_tensor(found).double().numpy() - expected).max()


def allowed_error(name, tensors):
    """Twice what eager torch errs on the same tensors, or usually errs in their type if that is more."""
    here = error(eager(name, tensors), truth(name, tensors))
    return 2 * max(here, usual_error(name, tensors[0].dtype))


@functools.cache
def usual_error(name, dtype):
    """What eager torch errs over enough short streams to rule out luck."""
    worst = 0
    for copied in (True, False):
        tensors = inputs(name, rows=64, heads=3, tokens=3, words=3, copied=copied, dtype=dtype)
        worst = max(worst, error(eager(name, tensors), truth(name, tensors)))
    return worst
