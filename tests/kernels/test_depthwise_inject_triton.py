"""DepthwiseInject's Triton kernel: interpreted, against the reference; compiled, for every architecture."""

import math

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from support.injection import allowed_error, error, inputs, truth

from dit4sr.kernels import aot
from dit4sr.kernels.depthwise_inject import kernel
from dit4sr.kernels.depthwise_inject import torch_op as operator

SMALL = kernel.Tile(lines=2, columns=4, channels=8)


@settings(deadline=None, max_examples=15)
@given(
    shape=st.tuples(st.integers(1, 3), st.integers(1, 6), st.integers(1, 7), st.sampled_from([8, 24, 40])),
    tile=st.builds(
        kernel.Tile,
        lines=st.sampled_from([1, 2, 4]),
        columns=st.sampled_from([1, 2, 4]),
        channels=st.sampled_from([8, 32]),
    ),
    dtype=st.sampled_from([torch.float32, torch.float16]),
    strided=st.booleans(),
    seed=st.integers(0, 99),
)
@example((1, 1, 1, 8), SMALL, torch.float16, False, 0)  # one token
@example((1, 1, 19, 8), kernel.TILES[0], torch.float32, False, 0)  # one line
@example(
    (2, 9, 1, 264), kernel.TILES[1], torch.float32, True, 0
)  # one column; tiles and a block of channels begun
def test_interpreted_it_errs_no_more_than_twice_eager_torch(interpreted, shape, tile, dtype, strided, seed):
    tensors = inputs(*shape, dtype=dtype, strided=strided, seed=seed)
    found = interpreted(kernel.launch, *tensors, tile)
    assert found.shape == tensors[0].shape
    assert error(found, truth(*tensors)) <= allowed_error(tensors)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16], ids=str)
def test_on_the_same_values_it_errs_no_more_than_twice_eager_torch(interpreted, dtype):
    tensors = inputs(1, 9, 18, 256, dtype=dtype)
    found, eager, expected = (
        interpreted(kernel.launch, *tensors, kernel.TILES[0]),
        operator.depthwise_inject(*tensors),
        truth(*tensors),
    )
    assert error(found, expected) <= 2 * error(eager, expected)


@pytest.mark.parametrize("stream", [0, 1], ids=["noise", "lr"])
def test_strides_that_are_no_multiples_of_eight_are_packed_first(interpreted, stream):
    tensors = list(inputs(1, 3, 5, 8))
    tensors[stream] = inputs(1, 3, 5, 15)[stream][..., :8]
    assert error(interpreted(kernel.launch, *tensors, SMALL), truth(*tensors)) <= allowed_error(tensors)


def test_the_sum_is_rounded_once(interpreted):
    noise, lr, weight, bias = (torch.ones_like(tensor) for tensor in inputs(1, 3, 3, 8, dtype=torch.float16))
    noise, bias = 2048 * noise, 0 * bias  # halves have no 2049: step by step nothing would be added
    assert (interpreted(kernel.launch, noise, lr, weight, bias, SMALL)[0, 1, 1] == 2056).all()


def test_odd_channel_counts_are_refused():
    with pytest.raises(ValueError, match="multiple of 8, found 12"):
        kernel.launch(*inputs(1, 2, 2, 12))


def test_small_grids_take_the_tile_that_makes_more_programs():
    assert kernel.tile_for(2, 32, 32, 6144) == kernel.TILES[0]
    assert kernel.tile_for(1, 32, 32, 1536) == kernel.TILES[1]
    assert kernel.tile_for(1, 1, 1, 8) == kernel.TILES[-1]


@pytest.mark.parametrize("arch", aot.ARCHITECTURES)
def test_shipped_kernels_compile_without_spills(arch):
    for source in kernel.shipped_configurations():
        compiled = aot.compile_kernel(source, arch)
        assert compiled.spill_bytes == 0, source.name
        assert compiled.shared == 0, source.name  # no layout is turned into another
        assert blocks_per_multiprocessor(compiled) >= 2, source.name  # the tiling counts on it


def blocks_per_multiprocessor(compiled):
    """As far as registers go, which are dealt out to warps in lots of 256."""
    per_warp = math.ceil(compiled.registers * 32 / 256) * 256
    return 65536 // per_warp // compiled.num_warps


@pytest.mark.parametrize("pointer", ["*fp16", "*bf16", "*fp32"])
@pytest.mark.parametrize("tile", kernel.TILES, ids=str)
def test_channel_counts_that_are_multiples_of_eight_are_read_by_sixteen_bytes(pointer, tile):
    ptx = aot.compile_kernel(kernel.source(tile, pointer, 264), 80).ptx
    accesses = [line for line in ptx.splitlines() if "ld.global" in line or "st.global" in line]
    elements = tile.lines * tile.columns * tile.channels // (32 * tile.num_warps)  # of a thread
    each = elements // (4 if pointer == "*fp32" else 8)
    assert len(accesses) == each + 1 + each + 1 + each  # noise, bias; by turns LR, tap; out
    assert all(".v4.b32 " in line for line in accesses)


@pytest.mark.gpu
@pytest.mark.parametrize("tile", kernel.TILES, ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("strided", [False, True], ids=["packed", "strided"])
@pytest.mark.parametrize(
    "shape", [(2, 32, 32, 6144), (1, 1, 1, 8), (3, 13, 21, 264), (1, 64, 64, 1536)], ids=str
)
def test_on_a_gpu_it_errs_no_more_than_twice_eager_torch(shape, strided, dtype, tile):
    tensors = inputs(*shape, dtype=dtype, strided=strided)
    found = kernel.launch(*(tensor.cuda() for tensor in tensors), tile)
    assert error(found.cpu(), truth(*tensors)) <= allowed_error(tensors)
