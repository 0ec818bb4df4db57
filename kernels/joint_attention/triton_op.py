"""JointAttention as a compiler sees through it, for packages that run where nothing of ours is registered.

Twins of `joint_attention`, `…_final` and `…_dual` that dissolve while they are compiled: on CUDA into the
Triton kernel, whose binary then lies in the package, and elsewhere into torch's own operators.
"""

# An operator has as many inputs as its mathematics.
# ruff: noqa: PLR0917

import torch
from torch import Tensor

from dit4sr.kernels.joint_attention.torch_op import (
    composed_joint_attention,
    composed_joint_attention_dual,
    composed_joint_attention_final,
)

__all__ = ["joint_attention", "joint_attention_dual", "joint_attention_final"]


@torch.library.triton_op("dit4sr::joint_attention_inlined", mutates_args=())
def joint_attention(
    noise_qkv: Tensor,
    lr_qkv: Tensor,
    text_qkv: Tensor,
    norm_q: Tensor,
    norm_k: Tensor,
    text_norm_q: Tensor,
    text_norm_k: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    """Attend over noise, LR and text, which read one another."""
    if not noise_qkv.is_cuda:
        return composed_joint_attention(noise_qkv, lr_qkv, text_qkv, norm_q, norm_k, text_norm_q, text_norm_k)
    noise, lr, text = _launch(noise_qkv, lr_qkv, text_qkv, norm_q, norm_k, text_norm_q, text_norm_k)
    return noise, lr, text


@torch.library.triton_op("dit4sr::joint_attention_final_inlined", mutates_args=())
def joint_attention_final(
    noise_qkv: Tensor, lr_qkv: Tensor, text_kv: Tensor, norm_q: Tensor, norm_k: Tensor, text_norm_k: Tensor
) -> tuple[Tensor, Tensor]:
    """Attend as in the last block: the image streams read text, which asks nothing."""
    if not noise_qkv.is_cuda:
        return composed_joint_attention_final(noise_qkv, lr_qkv, text_kv, norm_q, norm_k, text_norm_k)
    noise, lr = _launch(noise_qkv, lr_qkv, text_kv, norm_q, norm_k, None, text_norm_k)
    return noise, lr


@torch.library.triton_op("dit4sr::joint_attention_dual_inlined", mutates_args=())
def joint_attention_dual(
    noise_qkv: Tensor, lr_qkv: Tensor, norm_q: Tensor, norm_k: Tensor
) -> tuple[Tensor, Tensor]:
    """Attend as in the second attention of a dual layer: the image streams read each other."""
    if not noise_qkv.is_cuda:
        return composed_joint_attention_dual(noise_qkv, lr_qkv, norm_q, norm_k)
    noise, lr = _launch(noise_qkv, lr_qkv, None, norm_q, norm_k, None, None)
    return noise, lr


def _launch(*tensors: Tensor | None) -> tuple[Tensor, ...]:
    from dit4sr.kernels.joint_attention import kernel  # noqa: PLC0415  (Triton is needed on CUDA alone)

    return kernel.launch(*tensors, through=torch.library.wrap_triton)  # type: ignore[arg-type]
