"""DepthwiseInject as one Triton kernel: from memory both streams are read once and one is written once.

Why it is tiled so. At 512×512 with guidance (two rows of 32×32 tokens, 6144 channels) 75.5 MB cross the
memory bus: 15.7 µs at an H200's 4.8 TB/s, and nothing else need cost as much. A program computes 8 lines by
16 columns of tokens and 64 channels (128 bytes of each token, in halves), and reads its part of the LR stream
anew for each of the nine taps: 23 KB with its rim, which the cache of the multiprocessor serves from the
second time on. The rim, 10/8 · 18/16 = 1.4 times the tile, comes from the L2 cache where a neighbour has
read it. Ten reads a value, at 128 bytes per clock of 132 multiprocessors at 1.98 GHz, are 8 µs in the shadow
of the bus; keeping values in registers from tap to tap would spare most of them, and is left until it is seen
to matter. Two blocks of 256 threads fit a multiprocessor, each thread with four reads of 16 bytes under way:
32 KB, enough to cover 0.9 µs of latency. None of this is measured.
"""

# Triton's language has neither annotations nor star expressions, and writes its constants in capitals.
# ruff: noqa: ANN001, ANN201, ANN202, N803, PLR0917
# mypy: disable-error-code="no-untyped-def,untyped-decorator,assignment"

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import torch
import triton
import triton.language as tl

from dit4sr.kernels.aot import KernelSource

__all__ = [
    "TILES",
    "Tile",
    "depthwise_inject_kernel",
    "launch",
    "shipped_configurations",
    "source",
    "tile_for",
]

_STRIDES = tuple(f"{stream}_{axis}" for stream in ("noise", "lr") for axis in ("row", "line", "column"))
_SCALARS = ("height", "width", *_STRIDES)


@triton.jit
def _tokens(
    stream,
    row_stride,
    line_stride,
    column_stride,
    row,
    line,
    column,
    LINES: tl.constexpr,
    COLUMNS: tl.constexpr,
):
    """Point to the tokens of a tile by its corner; strides are in units of 8 elements."""
    token = tl.arange(0, LINES * COLUMNS)
    corner = row * row_stride + line.to(tl.int64) * line_stride + column * column_stride
    return (
        stream + corner * 8 + (token // COLUMNS * line_stride + token % COLUMNS * column_stride)[:, None] * 8
    )


# Inputs, scalars, outputs: TensorRT's order. The scalars are not specialised, so that one kernel serves every
# grid; strides come in units of 8 elements, which tells the compiler that loads are aligned.
@triton.jit(do_not_specialize=_SCALARS)
def depthwise_inject_kernel(
    noise, lr, weight, bias,
    height, width, noise_row, noise_line, noise_column, lr_row, lr_line, lr_column,
    out,
    CHANNELS: tl.constexpr, BLOCK: tl.constexpr, LINES: tl.constexpr, COLUMNS: tl.constexpr,
):  # fmt: skip
    """Compute one row's tile of LINES by COLUMNS tokens and BLOCK channels."""
    # Channels count fastest: programs side by side then read memory side by side.
    channel = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    segments = tl.cdiv(width, COLUMNS)
    first_line = tl.program_id(1) // segments * LINES
    first_column = tl.program_id(1) % segments * COLUMNS
    row = tl.program_id(2).to(tl.int64)

    token = tl.arange(0, LINES * COLUMNS)
    line, column = first_line + token // COLUMNS, first_column + token % COLUMNS
    present = channel < CHANNELS
    inside = ((line < height) & (column < width))[:, None] & present[None, :]

    place = _tokens(noise, noise_row, noise_line, noise_column, row, first_line, first_column, LINES, COLUMNS)
    total = tl.load(place + channel[None, :], mask=inside, other=0.0).to(tl.float32)
    total += tl.load(bias + channel, mask=present, other=0.0).to(tl.float32)[None, :]

    place = _tokens(lr, lr_row, lr_line, lr_column, row, first_line, first_column, LINES, COLUMNS)
    # Not unrolled: assemblers would begin all nine reads at once, and run out of registers.
    for tap in range(9):
        down, right = tap // 3 - 1, tap % 3 - 1
        # Unsigned, what lies before the first is beyond every end. What is not there is zero: the padding.
        exists = ((line + down).to(tl.uint32) < height) & ((column + right).to(tl.uint32) < width)
        step = (lr_line.to(tl.int64) * down + lr_column * right) * 8
        value = tl.load(place + step + channel[None, :], mask=exists[:, None] & present[None, :], other=0.0)
        factor = tl.load(weight + tap * CHANNELS + channel, mask=present, other=0.0)
        total += value.to(tl.float32) * factor.to(tl.float32)[None, :]

    step = CHANNELS // 8
    place = _tokens(
        out, height * width * step, width * step, step, row, first_line, first_column, LINES, COLUMNS
    )
    tl.store(place + channel[None, :], total.to(out.dtype.element_ty), mask=inside)


@dataclasses.dataclass(frozen=True)
class Tile:
    """The tokens and channels that one program of the kernel computes; powers of two."""

    lines: int
    columns: int
    channels: int = 64
    num_warps: int = 8

    def grid(
        self, rows: Any, height: Any, width: Any, channels: int, cdiv: Callable[[Any, int], Any] = triton.cdiv
    ) -> tuple[int, Any, Any]:
        """Number of programs per axis; of symbolic sizes too, given their ceiling division."""
        return (
            triton.cdiv(channels, self.channels),
            cdiv(height, self.lines) * cdiv(width, self.columns),
            rows,
        )

    def constexprs(self, channels: int) -> dict[str, int]:
        """The kernel's compile-time arguments."""
        return {"CHANNELS": channels, "BLOCK": self.channels, "LINES": self.lines, "COLUMNS": self.columns}


# A larger tile has less of a rim, a smaller one occupies a large GPU when rows are few.
TILES = (Tile(8, 16), Tile(4, 8, num_warps=4))
# Two programs for each of an H200's 132 multiprocessors.
FEW_PROGRAMS = 264


def tile_for(rows: int, height: int, width: int, channels: int) -> Tile:
    """The largest tile that still occupies the GPU."""
    for tile in TILES:
        if math.prod(tile.grid(rows, height, width, channels)) >= FEW_PROGRAMS:
            return tile
    return TILES[-1]


def launch(
    noise: torch.Tensor,
    lr: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor,
    tile: Tile | None = None,
    *,
    through: Callable[[Any], Any] = lambda kernel: kernel,
) -> torch.Tensor:
    """Run the kernel on `noise` and `lr [R, h, w, C]`, strided or not, with C a multiple of 8.

    A compiler that is to see the launch passes it `through` `torch.library.wrap_triton`.
    """
    rows, height, width, channels = noise.shape
    if channels % 8:
        raise ValueError(f"expected a channel count that is a multiple of 8, found {channels}")
    noise, lr = _aligned(noise), _aligned(lr)
    out = torch.empty(noise.shape, dtype=noise.dtype, device=noise.device)
    tile = tile or tile_for(rows, height, width, channels)
    with torch.cuda.device_of(noise):
        through(depthwise_inject_kernel)[tile.grid(rows, height, width, channels)](
            noise,
            lr,
            weight.contiguous(),
            bias.contiguous(),
            height,
            width,
            *(stride // 8 for stream in (noise, lr) for stride in stream.stride()[:-1]),
            out,
            **tile.constexprs(channels),
            num_warps=tile.num_warps,
        )
    return out


def _aligned(stream: torch.Tensor) -> torch.Tensor:
    """The stream as it lies, if the kernel can read it so; else packed."""
    *strides, step = stream.stride()
    return stream.contiguous() if step != 1 or any(stride % 8 for stride in strides) else stream


def source(tile: Tile, pointer: str, channels: int) -> KernelSource:
    """The kernel for tensors of one type (`*fp16`, `*bf16`, `*fp32`), ready to be compiled ahead of time."""
    pointers = ("noise", "lr", "weight", "bias", "out")
    return KernelSource(
        name=f"depthwise_inject {pointer[1:]} {tile.lines}×{tile.columns} {channels} channels",
        function=depthwise_inject_kernel,
        signature=dict.fromkeys(pointers, pointer) | dict.fromkeys(_SCALARS, "i32"),
        constexprs=tile.constexprs(channels),
        aligned=pointers,
        num_warps=tile.num_warps,
    )


def shipped_configurations() -> tuple[KernelSource, ...]:
    """Every kernel that an engine of the full model may carry."""
    return tuple(source(tile, pointer, 6144) for tile in TILES for pointer in ("*fp16", "*bf16", "*fp32"))
