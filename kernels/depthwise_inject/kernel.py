"""DepthwiseInject as one Triton pass: each input element comes from memory once, each output leaves once.

Why it is tiled so. At 512×512 with guidance (two rows of 32×32 tokens, 6144 channels) 101 MB cross the memory
bus: 21 µs at an H200's 4.8 TB/s. In that time its special-function units manage 1.5 times the two
operations every GELU needs, so an activation must hardly ever be computed twice. A program therefore walks
the columns of a strip of lines: it activates each LR value once and spreads it over the nine sums it belongs
to, three columns of which live in registers. Only the strip's rim is repeated, 8 lines by 16 columns making
10/8 · 18/16 = 1.4 activations per LR value, or 1.2 per value of both streams; the rim itself comes from the
cache. Two channels per thread (4-byte loads, 128 bytes per warp) keep the sums of 8 lines at 32 registers, so
three blocks of 128 threads fit a multiprocessor; and the next column is fetched while this one is computed,
which keeps 27 KB in flight per multiprocessor, enough to cover 1.3 µs of latency. None of this is measured.
"""

# Triton's language has neither annotations nor star expressions, and writes its constants in capitals.
# ruff: noqa: ANN001, ANN201, ANN202, N803, PLR0917, RUF005
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

_SCALARS = ("height", "width", "columns", "row_stride", "stream_stride", "line_stride", "column_stride")

# gelu_tanh(x) = x · sigmoid(2 √(2/π) (x + 0.044715 x³)), and sigmoid(t) = 1 / (1 + 2^(-t log₂e)).
_LINEAR = tl.constexpr(-2 * math.sqrt(2 / math.pi) * math.log2(math.e))
_CUBIC = tl.constexpr(0.044715 * _LINEAR.value)


@triton.jit
def _gelu_tanh(x):
    x = x.to(tl.float32)
    power = tl.exp2(x * (x * x * _CUBIC + _LINEAR))
    # 1/y as the square of 1/√y: fewer instructions than a division, and 0 where the power overflows.
    root = tl.rsqrt(1.0 + power)
    return x * root * root


@triton.jit
def _repeat(value, TIMES: tl.constexpr):
    values = ()
    for _ in tl.static_range(TIMES):
        values = values + (value,)
    return values


@triton.jit
def _load_lines(pointer, line_stride, first_line, end_line, LINES: tl.constexpr):
    """Load one column of LINES lines; where there is no line zero, which gelu leaves zero: the padding."""
    values = ()
    for line in tl.static_range(LINES):
        # Unsigned, the line above the first is beyond every end.
        values = values + (tl.load(pointer, mask=(first_line + line).to(tl.uint32) < end_line, other=0.0),)
        pointer += line_stride
    return values


@triton.jit
def _spread(sums, photo, taps, COLUMN: tl.constexpr, ARRIVAL: tl.constexpr):
    """Add the activated LR value of line ARRIVAL - 1 to the sums of the three lines around it."""
    spread = ()
    for line in tl.static_range(len(sums)):
        if ARRIVAL - line >= 0 and ARRIVAL - line <= 2:
            spread = spread + (sums[line] + taps[(ARRIVAL - line) * 3 + COLUMN] * photo,)
        else:
            spread = spread + (sums[line],)
    return spread


# Inputs, scalars, outputs: TensorRT's order. The scalars are not specialised, so that one kernel serves every
# grid; input strides come in units of 8 elements, which tells the compiler that loads are aligned.
@triton.jit(do_not_specialize=_SCALARS)
def depthwise_inject_kernel(
    u, weight, bias,
    height, width, columns, row_stride, stream_stride, line_stride, column_stride,
    out,
    CHANNELS: tl.constexpr, BLOCK: tl.constexpr, LINES: tl.constexpr,
):  # fmt: skip
    """Compute one row's tile of LINES by `columns` tokens and BLOCK channels, both streams."""
    segments = tl.cdiv(width, columns)
    first_line = tl.program_id(0) // segments * LINES
    first_column = tl.program_id(0) % segments * columns
    end_column = tl.minimum(first_column + columns, width)
    channel = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    inside = channel < CHANNELS
    row = tl.program_id(2).to(tl.int64)

    taps = ()
    for tap in tl.static_range(9):
        taps = taps + (tl.load(weight + tap * CHANNELS + channel, mask=inside, other=0.0).to(tl.float32),)
    offset = tl.load(bias + channel, mask=inside, other=0.0).to(tl.float32)

    # All four pointers stand on the column before the tile; the LR input also on the line above it.
    in_line = line_stride.to(tl.int64) * 8
    in_column = column_stride.to(tl.int64) * 8
    out_line = width.to(tl.int64) * CHANNELS
    noise_in = u + row * row_stride * 8 + first_line * in_line + (first_column - 1) * in_column + channel
    photo_in = noise_in + stream_stride.to(tl.int64) * 8 - in_line
    noise_out = out + (row * 2 * height + first_line) * out_line + (first_column - 1) * CHANNELS + channel
    photo_out = noise_out + height * out_line

    # The sums of the output columns before, at and after the LR column at hand.
    before = _repeat(offset, LINES)
    here = _repeat(offset, LINES)
    noises = _repeat(tl.zeros([BLOCK], u.dtype.element_ty), LINES)
    noise_end = tl.zeros([BLOCK], tl.uint32)
    # A line end of 0 masks a whole column: the picture's rim on loads, the tile's on stores.
    load_end = tl.where(inside & (first_column > 0), height, 0).to(tl.uint32)
    photos = _load_lines(photo_in, in_line, first_line - 1, load_end, LINES + 2)

    for column in range(first_column - 1, end_column + 1):
        own = inside & (column >= first_column) & (column < end_column)
        photo_end = tl.where(own, height, 0).to(tl.uint32)
        load_end = tl.where(inside & (column < end_column) & (column + 1 < width), height, 0).to(tl.uint32)
        next_photos = _load_lines(photo_in + in_column, in_line, first_line - 1, load_end, LINES + 2)
        next_noises = _load_lines(noise_in, in_line, first_line, photo_end, LINES)

        after = _repeat(offset, LINES)
        for arrival in tl.static_range(LINES + 2):
            photo = _gelu_tanh(photos[arrival])
            before = _spread(before, photo, taps, 2, arrival)
            here = _spread(here, photo, taps, 1, arrival)
            after = _spread(after, photo, taps, 0, arrival)
            if arrival >= 1 and arrival <= LINES:
                mask = (first_line + arrival - 1).to(tl.uint32) < photo_end
                tl.store(photo_out + (arrival - 1) * out_line, photo.to(out.dtype.element_ty), mask=mask)
        for line in tl.static_range(LINES):
            noise = _gelu_tanh(noises[line]) + before[line]
            mask = (first_line + line).to(tl.uint32) < noise_end
            tl.store(noise_out + line * out_line - CHANNELS, noise.to(out.dtype.element_ty), mask=mask)

        before = here
        here = after
        photos = next_photos
        noises = next_noises
        noise_end = photo_end
        noise_in += in_column
        photo_in += in_column
        noise_out += CHANNELS
        photo_out += CHANNELS


@dataclasses.dataclass(frozen=True)
class Tile:
    """The tokens and channels that one program of the kernel computes."""

    columns: int
    lines: int = 8
    channels: int = 256
    num_warps: int = 4

    def grid(
        self, rows: Any, height: Any, width: Any, channels: int, cdiv: Callable[[Any, int], Any] = triton.cdiv
    ) -> tuple[Any, int, Any]:
        """Number of programs per axis; of symbolic sizes too, given their ceiling division."""
        return (
            cdiv(height, self.lines) * cdiv(width, self.columns),
            triton.cdiv(channels, self.channels),
            rows,
        )

    def constexprs(self, channels: int) -> dict[str, int]:
        """The kernel's compile-time arguments."""
        return {"CHANNELS": channels, "BLOCK": self.channels, "LINES": self.lines}


# Longer walks repeat less of the rim, shorter ones occupy a large GPU when rows are few. Both are one kernel:
# how far a program walks is a run-time argument.
TILES = (Tile(columns=16), Tile(columns=8))
# Two programs for each of an H200's 132 multiprocessors.
FEW_PROGRAMS = 264


def tile_for(rows: int, height: int, width: int, channels: int) -> Tile:
    """The largest tile that still occupies the GPU."""
    for tile in TILES:
        if math.prod(tile.grid(rows, height, width, channels)) >= FEW_PROGRAMS:
            return tile
    return TILES[-1]


def launch(
    u: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor,
    tile: Tile | None = None,
    *,
    through: Callable[[Any], Any] = lambda kernel: kernel,
) -> torch.Tensor:
    """Run the kernel on `u [R, 2, h, w, C]`, strided or not, with C a multiple of 8.

    A compiler that is to see the launch passes it `through` `torch.library.wrap_triton`.
    """
    rows, _, height, width, channels = u.shape
    if channels % 8:
        raise ValueError(f"expected a channel count that is a multiple of 8, found {channels}")
    if u.stride(-1) != 1 or any(stride % 8 for stride in u.stride()[:-1]):
        u = u.contiguous()
    out = torch.empty(u.shape, dtype=u.dtype, device=u.device)
    tile = tile or tile_for(rows, height, width, channels)
    with torch.cuda.device_of(u):
        through(depthwise_inject_kernel)[tile.grid(rows, height, width, channels)](
            u,
            weight.contiguous(),
            bias.contiguous(),
            height,
            width,
            tile.columns,
            *(stride // 8 for stride in u.stride()[:-1]),
            out,
            **tile.constexprs(channels),
            num_warps=tile.num_warps,
        )
    return out


def source(tile: Tile, pointer: str, channels: int) -> KernelSource:
    """The kernel for tensors of one type (`*fp16`, `*bf16`, `*fp32`), ready to be compiled ahead of time."""
    pointers = ("u", "weight", "bias", "out")
    return KernelSource(
        name=f"depthwise_inject {pointer[1:]} {channels} channels",
        function=depthwise_inject_kernel,
        signature=dict.fromkeys(pointers, pointer) | dict.fromkeys(_SCALARS, "i32"),
        constexprs=tile.constexprs(channels),
        aligned=pointers,
        num_warps=tile.num_warps,
    )


def shipped_configurations() -> tuple[KernelSource, ...]:
    """Every kernel that an engine of the full model may carry."""
    return tuple(source(TILES[0], pointer, 6144) for pointer in ("*fp16", "*bf16", "*fp32"))
