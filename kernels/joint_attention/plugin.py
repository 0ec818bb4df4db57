"""JointAttention as TensorRT plugins: an engine carries the Triton kernel's PTX, and runs without Triton.

Importing this module registers the plugins, which must precede parsing. TensorRT reads the signatures below,
and wants annotations that are objects: `from __future__ import annotations` would break them.
"""

# ruff: noqa: ARG001, PLR0917
# mypy: disable-error-code="untyped-decorator"

import functools
from typing import Any

import tensorrt as trt
import tensorrt.plugin as trtp

from dit4sr.kernels.aot import ARCHITECTURES, CompiledKernel, compile_kernel
from dit4sr.kernels.joint_attention.kernel import TILES, Tile, source

POINTERS = {trt.DataType.HALF: "*fp16", trt.DataType.BF16: "*bf16"}
# A launch gets this much shared memory unasked. Whether TensorRT asks for more is not known, so a tile that
# needs more is not offered.
SHARED_MEMORY = 48 * 1024
# PTX for compute capability 8.0 runs on every later GPU, but the tensor cores of Hopper and Blackwell reach
# their rate only through PTX of their own.
PORTABLE_ARCHITECTURE = 80

Launch = tuple[str, str, trtp.KernelLaunchParams, trtp.SymIntExprs]


@trtp.register("dit4sr::JointAttention")
def describe(
    noise_qkv: trtp.TensorDesc,
    lr_qkv: trtp.TensorDesc,
    text_qkv: trtp.TensorDesc,
    norm_q: trtp.TensorDesc,
    norm_k: trtp.TensorDesc,
    text_norm_q: trtp.TensorDesc,
    text_norm_k: trtp.TensorDesc,
    heads: int,
    head_dim: int,
    copied: int,
) -> tuple[trtp.TensorDesc, trtp.TensorDesc, trtp.TensorDesc]:
    """Describe the plugin's outputs to TensorRT: one for every stream."""
    width = heads * head_dim
    return _answer(noise_qkv, width), _answer(lr_qkv, width), _answer(text_qkv, width)


@trtp.register("dit4sr::JointAttentionFinal")
def describe_final(
    noise_qkv: trtp.TensorDesc,
    lr_qkv: trtp.TensorDesc,
    text_kv: trtp.TensorDesc,
    norm_q: trtp.TensorDesc,
    norm_k: trtp.TensorDesc,
    text_norm_k: trtp.TensorDesc,
    heads: int,
    head_dim: int,
    copied: int,
) -> tuple[trtp.TensorDesc, trtp.TensorDesc]:
    """Describe the plugin's outputs to TensorRT: one for noise, one for LR."""
    width = heads * head_dim
    return _answer(noise_qkv, width), _answer(lr_qkv, width)


@trtp.register("dit4sr::JointAttentionDual")
def describe_dual(
    noise_qkv: trtp.TensorDesc,
    lr_qkv: trtp.TensorDesc,
    norm_q: trtp.TensorDesc,
    norm_k: trtp.TensorDesc,
    heads: int,
    head_dim: int,
    copied: int,
) -> tuple[trtp.TensorDesc, trtp.TensorDesc]:
    """Describe the plugin's outputs to TensorRT: one for noise, one for LR."""
    width = heads * head_dim
    return _answer(noise_qkv, width), _answer(lr_qkv, width)


@trtp.autotune("dit4sr::JointAttention")
def choices(
    noise_qkv: trtp.TensorDesc,
    lr_qkv: trtp.TensorDesc,
    text_qkv: trtp.TensorDesc,
    norm_q: trtp.TensorDesc,
    norm_k: trtp.TensorDesc,
    text_norm_q: trtp.TensorDesc,
    text_norm_k: trtp.TensorDesc,
    heads: int,
    head_dim: int,
    copied: int,
    outputs: tuple[trtp.TensorDesc, trtp.TensorDesc, trtp.TensorDesc],
) -> list[trtp.AutoTuneCombination]:
    """Offer TensorRT one type for all ten tensors; the tactics are the tiles."""
    return _choices("joint_attention", 10, heads, head_dim, copied)


@trtp.autotune("dit4sr::JointAttentionFinal")
def choices_final(
    noise_qkv: trtp.TensorDesc,
    lr_qkv: trtp.TensorDesc,
    text_kv: trtp.TensorDesc,
    norm_q: trtp.TensorDesc,
    norm_k: trtp.TensorDesc,
    text_norm_k: trtp.TensorDesc,
    heads: int,
    head_dim: int,
    copied: int,
    outputs: tuple[trtp.TensorDesc, trtp.TensorDesc],
) -> list[trtp.AutoTuneCombination]:
    """Offer TensorRT one type for all eight tensors; the tactics are the tiles."""
    return _choices("joint_attention_final", 8, heads, head_dim, copied)


@trtp.autotune("dit4sr::JointAttentionDual")
def choices_dual(
    noise_qkv: trtp.TensorDesc,
    lr_qkv: trtp.TensorDesc,
    norm_q: trtp.TensorDesc,
    norm_k: trtp.TensorDesc,
    heads: int,
    head_dim: int,
    copied: int,
    outputs: tuple[trtp.TensorDesc, trtp.TensorDesc],
) -> list[trtp.AutoTuneCombination]:
    """Offer TensorRT one type for all six tensors; the tactics are the tiles."""
    return _choices("joint_attention_dual", 6, heads, head_dim, copied)


@trtp.aot_impl("dit4sr::JointAttention")
def kernel(
    noise_qkv: trtp.TensorDesc,
    lr_qkv: trtp.TensorDesc,
    text_qkv: trtp.TensorDesc,
    norm_q: trtp.TensorDesc,
    norm_k: trtp.TensorDesc,
    text_norm_q: trtp.TensorDesc,
    text_norm_k: trtp.TensorDesc,
    heads: int,
    head_dim: int,
    copied: int,
    outputs: tuple[trtp.TensorDesc, trtp.TensorDesc, trtp.TensorDesc],
    tactic: int,
) -> Launch:
    """Give TensorRT the kernel's name and PTX, and its launch in terms of the inputs' shapes."""
    return _kernel("joint_attention", [noise_qkv, lr_qkv, text_qkv], heads, head_dim, copied, tactic)


@trtp.aot_impl("dit4sr::JointAttentionFinal")
def kernel_final(
    noise_qkv: trtp.TensorDesc,
    lr_qkv: trtp.TensorDesc,
    text_kv: trtp.TensorDesc,
    norm_q: trtp.TensorDesc,
    norm_k: trtp.TensorDesc,
    text_norm_k: trtp.TensorDesc,
    heads: int,
    head_dim: int,
    copied: int,
    outputs: tuple[trtp.TensorDesc, trtp.TensorDesc],
    tactic: int,
) -> Launch:
    """Give TensorRT the kernel's name and PTX, and its launch in terms of the inputs' shapes."""
    return _kernel("joint_attention_final", [noise_qkv, lr_qkv, text_kv], heads, head_dim, copied, tactic)


@trtp.aot_impl("dit4sr::JointAttentionDual")
def kernel_dual(
    noise_qkv: trtp.TensorDesc,
    lr_qkv: trtp.TensorDesc,
    norm_q: trtp.TensorDesc,
    norm_k: trtp.TensorDesc,
    heads: int,
    head_dim: int,
    copied: int,
    outputs: tuple[trtp.TensorDesc, trtp.TensorDesc],
    tactic: int,
) -> Launch:
    """Give TensorRT the kernel's name and PTX, and its launch in terms of the inputs' shapes."""
    return _kernel("joint_attention_dual", [noise_qkv, lr_qkv], heads, head_dim, copied, tactic)


def _answer(packed: trtp.TensorDesc, width: int) -> Any:
    answer = packed.like()
    answer.shape_expr[2] = width
    return answer


def _choices(
    operator: str, tensors: int, heads: int, head_dim: int, copied: int
) -> list[trtp.AutoTuneCombination]:
    types = ", ".join(["FP16|BF16"] * tensors)
    compiled = [_compiled(operator, tile, "*fp16", heads, head_dim, copied) for tile in TILES]
    tactics = [tactic for tactic, kernel in enumerate(compiled, start=1) if kernel.shared <= SHARED_MEMORY]
    return [trtp.AutoTuneCombination(types, "LINEAR", tactics)]


def _compiled(
    operator: str, tile: Tile, pointer: str, heads: int, head_dim: int, copied: int
) -> CompiledKernel:
    flavoured = source(
        operator, copied=bool(copied), tile=tile, pointer=pointer, heads=heads, head_dim=head_dim
    )
    return compile_kernel(flavoured, architecture())


def _kernel(
    operator: str, packed: list[trtp.TensorDesc], heads: int, head_dim: int, copied: int, tactic: int
) -> Launch:
    tile = TILES[tactic - 1]  # 0, TensorRT's "no choice was offered", gives the last, which fits everywhere
    compiled = _compiled(operator, tile, POINTERS[packed[0].dtype], heads, head_dim, copied)

    rows, tokens = packed[0].shape_expr[0], packed[0].shape_expr[1]
    text_tokens = [text.shape_expr[1] for text in packed[2:]]
    text_queries = text_tokens[0] if operator == "joint_attention" else None
    x, y, z = tile.grid(rows, heads, tokens, text_queries, cdiv=trtp.cdiv)
    launch = trtp.KernelLaunchParams(
        grid_x=x, grid_y=y, grid_z=z, block_x=compiled.block_size, shared_mem=compiled.shared
    )

    # TensorRT's tensors are contiguous.
    width = heads * head_dim
    parts = (3, 2 if copied else 3, 2 if operator == "joint_attention_final" else 3)
    strides = [
        stride
        for count, part in zip([tokens, tokens, *text_tokens], parts, strict=False)
        for stride in (count * (part * width), part * width)
    ]
    scalars = [tokens, *text_tokens, *strides]
    arguments = trtp.SymIntExprs(len(scalars))
    for position, scalar in enumerate(scalars):
        arguments[position] = trtp.SymInt32(scalar)
    return compiled.entry, compiled.ptx, launch, arguments


@functools.cache
def architecture() -> int:
    """The compute capability of the GPU that builds, or 8.0 for want of one that we compile for."""
    try:
        from cuda.bindings import runtime  # type: ignore[import-not-found,unused-ignore]  # noqa: PLC0415
    except ModuleNotFoundError:
        return PORTABLE_ARCHITECTURE
    attribute = runtime.cudaDeviceAttr
    answers = [
        runtime.cudaDeviceGetAttribute(part, 0)
        for part in (attribute.cudaDevAttrComputeCapabilityMajor, attribute.cudaDevAttrComputeCapabilityMinor)
    ]
    if any(error != runtime.cudaError_t.cudaSuccess for error, _ in answers):
        return PORTABLE_ARCHITECTURE
    (_, major), (_, minor) = answers
    found = 10 * int(major) + int(minor)
    return found if found in ARCHITECTURES else PORTABLE_ARCHITECTURE
