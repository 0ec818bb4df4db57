"""JointAttention as one Triton kernel: packed projections in, one answer per stream out, nothing in between.

Where the norm happens. Of a key `k`, the normalised key is `g k r`, with `g` the norm's weights and
`r = 1/rms(k)` one number; so a logit is `(q̂ g)·k r`. The weights are folded into the query, once for each
pair of norms that meet in this softmax, and `r` scales a column of logits. A tile of keys goes from memory to
the tensor cores as it is, asynchronously, neither rounded again nor written back to shared memory, and the
sums for `r` are made while the tensor cores work. A key that is normalised twice (flavour `copied`) is
`g² k r r'`: the same tile. So noise and LR go through one loop in pairs of tiles, and share a maximum.

What it costs, in cycles of an H200's multiprocessor, for 128 queries on 64 keys: 512 of tensor cores, 512 of
exponentials and about 300 of other arithmetic, which overlap; `r` adds about 110 per tile of keys and 64 per
tile of logits. Normalising the keys themselves would cost about 210, twice in `copied`, delay the first
product and pass shared memory once more. A kernel that normalises ahead would move 30 MB (two rows at
512×512), some 10 µs beside an attention of perhaps 150 µs: less arithmetic, but another launch and, as a
plugin of TensorRT is one kernel without workspace, a second plugin and a fusion barrier between the two. So
the norm stays inside. All of this is reckoned, not measured yet.
"""

# Triton's language has no annotations, decides some conditions before it compiles, and writes its constants
# in capitals.
# ruff: noqa: ANN001, ANN201, ANN202, N803, N806, PLR0917, SIM102
# mypy: disable-error-code="no-untyped-def,untyped-decorator"

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import torch
import triton
import triton.language as tl

from dit4sr.kernels.aot import KernelSource
from dit4sr.kernels.joint_attention.reference import EPSILON

__all__ = [
    "OPERATORS",
    "TILES",
    "Tile",
    "joint_attention_kernel",
    "launch",
    "shipped_configurations",
    "source",
    "tile_for",
]

# The operators that the kernel serves, and which of its arguments each does without.
OPERATORS = {
    "joint_attention": frozenset[str](),
    "joint_attention_final": frozenset({"text_norm_q", "text_out"}),
    "joint_attention_dual": frozenset(
        {
            *("text_qkv", "text_norm_q", "text_norm_k", "text_out"),
            *("text_tokens", "text_row_stride", "text_stride"),
        }
    ),
}
_POINTERS = (
    *("noise_qkv", "lr_qkv", "text_qkv", "norm_q", "norm_k", "text_norm_q", "text_norm_k"),
    *("noise_out", "lr_out", "text_out"),
)
_COUNTS = ("tokens", "text_tokens")
_STRIDES = (
    *("noise_row_stride", "noise_stride", "lr_row_stride", "lr_stride", "text_row_stride", "text_stride"),
)

_EPSILON = tl.constexpr(EPSILON)
_LOG2_E = tl.constexpr(math.log2(math.e))


@triton.jit
def _inverse_rms(x):
    return tl.rsqrt(tl.sum(x * x, 1) / x.shape[1] + _EPSILON)


@triton.jit
def _load_query(query, asks, weight):
    # Volatile, because the compiler would otherwise keep the first load's 64 channels in registers until the
    # text's turn, and spill.
    x = tl.load(query, mask=asks, other=0.0, volatile=True).to(tl.float32)
    return x * _inverse_rms(x)[:, None] * tl.load(weight).to(tl.float32)


@triton.jit
def _fold(query, weight, dtype):
    # Folded weights are at most 1, so that FP16 cannot overflow; the factor taken out scales the logits.
    largest = tl.maximum(tl.max(tl.abs(weight), 0), 1e-30)
    logit_scale = _LOG2_E / tl.sqrt(query.shape[1] + 0.0)
    return (query * (weight / largest)).to(dtype), largest * logit_scale


@triton.jit
def _load_tile(stream, stride, first, tokens, KEYS: tl.constexpr, HEAD_DIM: tl.constexpr):
    token = first + tl.arange(0, KEYS)
    tile = stream + token[:, None] * stride + tl.arange(0, HEAD_DIM)
    return tl.load(tile, mask=(token < tokens)[:, None], other=0.0)


@triton.jit
def _absence(first, tokens, KEYS: tl.constexpr):
    # What a logit gets added: it costs nothing, as the multiplication by r becomes a fused multiply-add.
    return tl.where(first + tl.arange(0, KEYS) < tokens, 0.0, float("-inf"))


@triton.jit
def _read(so_far, asked, key, value, stride, tokens, KEYS: tl.constexpr, HEAD_DIM: tl.constexpr):
    answer, total, peak = so_far
    query, scale = asked
    for first in range(0, tokens, KEYS):
        keys = _load_tile(key, stride, first, tokens, KEYS, HEAD_DIM)
        values = _load_tile(value, stride, first, tokens, KEYS, HEAD_DIM)
        logits = tl.dot(query, keys.T, input_precision="ieee")
        scales = _inverse_rms(keys.to(tl.float32)) * scale
        logits = logits * scales[None, :] + _absence(first, tokens, KEYS)[None, :]

        higher = tl.maximum(peak, tl.max(logits, 1))
        fade = tl.exp2(peak - higher)
        weights = tl.exp2(logits - higher[:, None])
        answer = tl.dot(weights.to(values.dtype), values, answer * fade[:, None], input_precision="ieee")
        total = total * fade + tl.sum(weights, 1)
        peak = higher
    return answer, total, peak


@triton.jit
def _read_images(
    so_far, asked, lr_asked, key_norm, noise, stride, lr, lr_stride, tokens,
    COPIED: tl.constexpr, KEYS: tl.constexpr, WIDTH: tl.constexpr, HEAD_DIM: tl.constexpr,
):  # fmt: skip
    answer, total, peak = so_far
    query, scale = asked
    lr_query, lr_scale = lr_asked
    for first in range(0, tokens, KEYS):
        keys = _load_tile(noise + WIDTH, stride, first, tokens, KEYS, HEAD_DIM)
        values = _load_tile(noise + 2 * WIDTH, stride, first, tokens, KEYS, HEAD_DIM)
        logits = tl.dot(query, keys.T, input_precision="ieee")
        precise = keys.to(tl.float32)
        scales = _inverse_rms(precise)
        if COPIED:
            lr_values = _load_tile(lr + WIDTH, lr_stride, first, tokens, KEYS, HEAD_DIM)
            lr_logits = tl.dot(lr_query, keys.T, input_precision="ieee")
            lr_scales = _inverse_rms(precise * scales[:, None] * key_norm) * scales
        else:
            lr_keys = _load_tile(lr + WIDTH, lr_stride, first, tokens, KEYS, HEAD_DIM)
            lr_values = _load_tile(lr + 2 * WIDTH, lr_stride, first, tokens, KEYS, HEAD_DIM)
            lr_logits = tl.dot(lr_query, lr_keys.T, input_precision="ieee")
            lr_scales = _inverse_rms(lr_keys.to(tl.float32))
        absence = _absence(first, tokens, KEYS)[None, :]
        logits = logits * (scales * scale)[None, :] + absence
        lr_logits = lr_logits * (lr_scales * lr_scale)[None, :] + absence

        higher = tl.maximum(peak, tl.max(tl.maximum(logits, lr_logits), 1))
        fade = tl.exp2(peak - higher)
        weights = tl.exp2(logits - higher[:, None])
        lr_weights = tl.exp2(lr_logits - higher[:, None])
        answer = tl.dot(weights.to(values.dtype), values, answer * fade[:, None], input_precision="ieee")
        answer = tl.dot(lr_weights.to(values.dtype), lr_values, answer, input_precision="ieee")
        total = total * fade + tl.sum(weights + lr_weights, 1)
        peak = higher
    return answer, total, peak


@triton.jit
def joint_attention_kernel(
    noise_qkv, lr_qkv, text_qkv, norm_q, norm_k, text_norm_q, text_norm_k,
    tokens, text_tokens,
    noise_row_stride, noise_stride, lr_row_stride, lr_stride, text_row_stride, text_stride,
    noise_out, lr_out, text_out,
    HEADS: tl.constexpr, HEAD_DIM: tl.constexpr, COPIED: tl.constexpr,
    QUERIES: tl.constexpr, KEYS: tl.constexpr,
):  # fmt: skip
    """Attend for one block of one stream's queries, in one head of one row.

    Blocks are counted through noise, LR and text, and none straddles two streams. What an operator lacks is
    None: `text_norm_q` and `text_out` in the last block, all of text in dual attention.
    """
    WIDTH: tl.constexpr = HEADS * HEAD_DIM
    block = tl.program_id(0)
    head = tl.program_id(1) * HEAD_DIM
    row = tl.program_id(2).to(tl.int64)
    channel = tl.arange(0, HEAD_DIM)
    dtype = noise_qkv.dtype.element_ty

    noise = noise_qkv + row * noise_row_stride + head
    lr = lr_qkv + row * lr_row_stride + head

    image_blocks = tl.cdiv(tokens, QUERIES)
    query, query_stride, query_tokens, query_norm, out = noise, noise_stride, tokens, norm_q, noise_out
    if block >= image_blocks:
        block -= image_blocks
        query, query_stride, out = lr, lr_stride, lr_out
    if text_qkv is not None:
        text = text_qkv + row * text_row_stride + head
        if text_out is not None:
            if block >= image_blocks:
                block -= image_blocks
                query, query_stride, query_tokens = text, text_stride, text_tokens
                query_norm, out = text_norm_q, text_out

    token = block * QUERIES + tl.arange(0, QUERIES)
    asks = (token < query_tokens)[:, None]
    query += token[:, None] * query_stride + channel
    query_norm += channel

    answer = tl.zeros([QUERIES, HEAD_DIM], tl.float32)
    so_far = answer, tl.zeros([QUERIES], tl.float32), tl.full([QUERIES], float("-inf"), tl.float32)
    normed = _load_query(query, asks, query_norm)
    key_norm = tl.load(norm_k + channel).to(tl.float32)
    asked = _fold(normed, key_norm, dtype)
    lr_asked = _fold(normed, key_norm * key_norm, dtype) if COPIED else asked
    so_far = _read_images(
        so_far, asked, lr_asked, key_norm, noise, noise_stride, lr, lr_stride, tokens,
        COPIED, KEYS, WIDTH, HEAD_DIM,
    )  # fmt: skip
    if text_qkv is not None:
        normed = _load_query(query, asks, query_norm)
        asked = _fold(normed, tl.load(text_norm_k + channel).to(tl.float32), dtype)
        if text_out is not None:
            text += WIDTH
        so_far = _read(so_far, asked, text, text + WIDTH, text_stride, text_tokens, KEYS, HEAD_DIM)

    answer, total, _peak = so_far
    out += (row * query_tokens + token)[:, None] * WIDTH + head + channel
    tl.store(out, (answer / total[:, None]).to(dtype), mask=asks)


@dataclasses.dataclass(frozen=True)
class Tile:
    """How many queries one program of the kernel answers, and how many keys it reads at a time."""

    queries: int
    keys: int
    num_warps: int
    num_stages: int = 2

    def grid(
        self,
        rows: Any,
        heads: int,
        tokens: Any,
        text_queries: Any,
        cdiv: Callable[[Any, int], Any] = triton.cdiv,
    ) -> tuple[Any, int, Any]:
        """Number of programs per axis; of symbolic sizes too, given their ceiling division."""
        image_blocks = cdiv(tokens, self.queries) * 2
        text_blocks = 0 if text_queries is None else cdiv(text_queries, self.queries)
        return image_blocks + text_blocks, heads, rows


# More queries read the keys less often, which Hopper's level 2 cache needs; fewer occupy a large GPU with few
# rows, and stay within the 48 KiB of shared memory that a launch gets unasked everywhere.
TILES = (Tile(queries=128, keys=32, num_warps=8), Tile(queries=64, keys=32, num_warps=4))
# Two programs for each of an H200's 132 multiprocessors.
FEW_PROGRAMS = 264
# FP32 tiles are twice as large, and not what the kernel is for.
SINGLE_PRECISION_TILE = Tile(queries=32, keys=16, num_warps=4)


def tile_for(rows: int, heads: int, tokens: int, text_queries: int | None, dtype: torch.dtype) -> Tile:
    """The largest tile that still occupies the GPU."""
    if dtype.itemsize > 2:
        return SINGLE_PRECISION_TILE
    for tile in TILES:
        if math.prod(tile.grid(rows, heads, tokens, text_queries)) >= FEW_PROGRAMS:
            return tile
    return TILES[-1]


def launch(
    noise_qkv: torch.Tensor,
    lr_qkv: torch.Tensor,
    text: torch.Tensor | None,
    norm_q: torch.Tensor,
    norm_k: torch.Tensor,
    text_norm_q: torch.Tensor | None,
    text_norm_k: torch.Tensor | None,
    tile: Tile | None = None,
    *,
    through: Callable[[Any], Any] = lambda kernel: kernel,
) -> tuple[torch.Tensor, ...]:
    """Run the kernel; text is `q|k|v`, or `k|v` without `text_norm_q`, or None. Rows may be strided.

    A compiler that is to see the launch passes it `through` `torch.library.wrap_triton`.
    """
    rows, tokens, packed_width = noise_qkv.shape
    head_dim = len(norm_k)
    heads = packed_width // (3 * head_dim)
    width = heads * head_dim
    text_width = 2 * width if text_norm_q is None else 3 * width
    copied = lr_qkv.shape[2] == 2 * width
    if lr_qkv.shape != (rows, tokens, 2 * width if copied else 3 * width):
        raise ValueError(f"LR {tuple(lr_qkv.shape)} does not match noise {tuple(noise_qkv.shape)}")
    if text is not None and (text.shape[0], text.shape[2]) != (rows, text_width):
        raise ValueError(f"text must be [{rows}, tokens, {text_width}], found {tuple(text.shape)}")
    if head_dim < 16 or head_dim & (head_dim - 1):
        raise ValueError(f"the kernel needs a head of 16, 32, 64, … channels, found {head_dim}")

    noise_qkv, lr_qkv = _with_packed_channels(noise_qkv), _with_packed_channels(lr_qkv)
    text = None if text is None else _with_packed_channels(text)
    text_tokens = None if text is None else text.shape[1]
    text_queries = None if text_norm_q is None else text_tokens
    answers = [
        None if count is None else noise_qkv.new_empty((rows, count, width))
        for count in (tokens, tokens, text_queries)
    ]
    tile = tile or tile_for(rows, heads, tokens, text_queries, noise_qkv.dtype)
    with torch.cuda.device_of(noise_qkv):
        through(joint_attention_kernel)[tile.grid(rows, heads, tokens, text_queries)](
            noise_qkv,
            lr_qkv,
            text,
            norm_q,
            norm_k,
            text_norm_q,
            text_norm_k,
            tokens,
            text_tokens,
            *noise_qkv.stride()[:2],
            *lr_qkv.stride()[:2],
            *((None, None) if text is None else text.stride()[:2]),
            *answers,
            heads,
            head_dim,
            copied,
            tile.queries,
            tile.keys,
            num_warps=tile.num_warps,
            num_stages=tile.num_stages,
        )
    return tuple(answer for answer in answers if answer is not None)


def _with_packed_channels(tensor: torch.Tensor) -> torch.Tensor:
    return tensor if tensor.stride(-1) == 1 else tensor.contiguous()


def source(
    operator: str, *, copied: bool, tile: Tile, pointer: str, heads: int, head_dim: int = 64
) -> KernelSource:
    """An operator's kernel for contiguous tensors of one type (`*fp16`, `*bf16`), ready to be compiled."""
    absent = OPERATORS[operator]
    flavour = "copied" if copied else "own"
    types = dict.fromkeys(_POINTERS, pointer) | dict.fromkeys((*_COUNTS, *_STRIDES), "i32")
    return KernelSource(
        name=f"{operator} {flavour} {pointer[1:]} {heads}x{head_dim} {tile.queries}x{tile.keys}",
        function=joint_attention_kernel,
        signature={name: type_ for name, type_ in types.items() if name not in absent},
        constexprs={
            "HEADS": heads,
            "HEAD_DIM": head_dim,
            "COPIED": copied,
            "QUERIES": tile.queries,
            "KEYS": tile.keys,
        }
        | dict.fromkeys(sorted(absent)),
        aligned=tuple(name for name in (*_POINTERS, *_STRIDES) if name not in absent),
        num_warps=tile.num_warps,
        num_stages=tile.num_stages,
    )


def shipped_configurations() -> tuple[KernelSource, ...]:
    """Every kernel that an engine of the full model may carry."""
    return tuple(
        source(operator, copied=copied, tile=tile, pointer=pointer, heads=24)
        for pointer in ("*fp16", "*bf16")
        for operator in OPERATORS
        for copied in (True, False)
        for tile in TILES
    )
