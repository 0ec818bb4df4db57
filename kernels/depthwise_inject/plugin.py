"""DepthwiseInject as a TensorRT plugin: the engine carries the Triton kernel's PTX, and runs without Triton.

Importing this module registers the plugin, which must precede parsing. TensorRT reads the signatures below,
and wants annotations that are objects: `from __future__ import annotations` would break them.
"""

# ruff: noqa: ARG001, PLR0917
# mypy: disable-error-code="untyped-decorator"

import tensorrt as trt
import tensorrt.plugin as trtp

from dit4sr.kernels.aot import compile_kernel
from dit4sr.kernels.depthwise_inject.kernel import TILES, source

# The kernel uses nothing newer than Ampere, and PTX for compute capability 8.0 runs on every later GPU.
ARCHITECTURE = 80
POINTERS = {trt.DataType.FLOAT: "*fp32", trt.DataType.HALF: "*fp16", trt.DataType.BF16: "*bf16"}


@trtp.register("dit4sr::DepthwiseInject")
def describe(
    noise: trtp.TensorDesc,
    lr: trtp.TensorDesc,
    weight: trtp.TensorDesc,
    bias: trtp.TensorDesc,
    channels: int,
) -> trtp.TensorDesc:
    """Describe the plugin's output to TensorRT: it looks like `noise`."""
    return noise.like()


@trtp.autotune("dit4sr::DepthwiseInject")
def choices(
    noise: trtp.TensorDesc,
    lr: trtp.TensorDesc,
    weight: trtp.TensorDesc,
    bias: trtp.TensorDesc,
    outputs: tuple[trtp.TensorDesc],
) -> list[trtp.AutoTuneCombination]:
    """Offer TensorRT one type for all five tensors; the tactics are the tiles, counted from 1."""
    types = ", ".join(["FP32|FP16|BF16"] * 5)
    return [trtp.AutoTuneCombination(types, "LINEAR", list(range(1, len(TILES) + 1)))]


@trtp.aot_impl("dit4sr::DepthwiseInject")
def kernel(
    noise: trtp.TensorDesc,
    lr: trtp.TensorDesc,
    weight: trtp.TensorDesc,
    bias: trtp.TensorDesc,
    channels: int,
    outputs: tuple[trtp.TensorDesc],
    tactic: int,
) -> tuple[str, str, trtp.KernelLaunchParams, trtp.SymIntExprs]:
    """Give TensorRT the kernel's name and PTX, and its launch in terms of the inputs' shape."""
    tile = TILES[max(tactic, 1) - 1]  # tactic 0 is TensorRT's word for "no choice was offered"
    compiled = compile_kernel(source(tile, POINTERS[noise.dtype], channels), ARCHITECTURE)

    rows, height, width, _ = (noise.shape_expr[axis] for axis in range(4))
    x, y, z = tile.grid(rows, height, width, channels, cdiv=trtp.cdiv)
    launch = trtp.KernelLaunchParams(
        grid_x=x, grid_y=y, grid_z=z, block_x=compiled.block_size, shared_mem=compiled.shared
    )

    # TensorRT's tensors are contiguous; the kernel takes its strides in units of 8 elements.
    column = channels // 8
    line = width * column
    strides = (height * line, line, column)
    scalars = (height, width, *strides, *strides)
    arguments = trtp.SymIntExprs(len(scalars))
    for position, scalar in enumerate(scalars):
        arguments[position] = trtp.SymInt32(scalar)
    return compiled.entry, compiled.ptx, launch, arguments
