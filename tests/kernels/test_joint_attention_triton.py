"""JointAttention's Triton kernel: interpreted, against the reference; compiled, for every architecture."""

import re

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from support.attention import OPERATORS, allowed_error, eager, error, inputs, sizes, truth

from dit4sr.kernels import aot
from dit4sr.kernels.joint_attention import kernel
from dit4sr.kernels.joint_attention import torch_op as operator

SMALL = kernel.Tile(queries=16, keys=16, num_warps=1)  # the smallest whose products a compiler would take
ONE = {"rows": 1, "heads": 1, "tokens": 1, "words": 1, "seed": 0}
SEVERAL_TILES = {"rows": 1, "heads": 2, "tokens": 33, "words": 35, "seed": 0}


def launched(interpreted, name, tensors, tile=SMALL):
    images, rest = tensors[:2], tensors[2:]
    arguments = {
        "joint_attention": (*images, *rest),
        "joint_attention_final": (*images, *rest[:3], None, *rest[3:]),
        "joint_attention_dual": (*images, None, *rest, None, None),
    }[name]
    return torch.cat(interpreted(kernel.launch, *arguments, tile), dim=1)


@pytest.mark.parametrize("name", OPERATORS)
@settings(deadline=None, max_examples=10)
@given(case=sizes, dtype=st.sampled_from([torch.float32, torch.float16]), strided=st.booleans())
@example({**ONE, "copied": True}, torch.float16, False)
@example({**ONE, "copied": False}, torch.float32, False)
@example({**SEVERAL_TILES, "copied": True}, torch.float16, True)
@example({**SEVERAL_TILES, "copied": False}, torch.float16, False)
def test_interpreted_it_errs_no_more_than_twice_eager_torch(interpreted, name, case, dtype, strided):
    tensors = inputs(name, **case, dtype=dtype, strided=strided)
    found = launched(interpreted, name, tensors)
    assert found.dtype is dtype
    assert error(found, truth(name, tensors)) <= allowed_error(name, tensors)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16], ids=str)
@pytest.mark.parametrize("copied", [True, False])
def test_on_the_same_values_it_errs_no_more_than_twice_eager_torch(interpreted, copied, dtype):
    tensors = inputs("joint_attention", rows=1, heads=3, tokens=21, words=37, copied=copied, dtype=dtype)
    found, expected = launched(interpreted, "joint_attention", tensors), truth("joint_attention", tensors)
    assert error(found, expected) <= 2 * error(eager("joint_attention", tensors), expected)


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("tile", kernel.TILES, ids=lambda tile: f"{tile.queries}x{tile.keys}")
@pytest.mark.parametrize("copied", [True, False])
@pytest.mark.parametrize("name", OPERATORS)
def test_on_a_gpu_it_errs_no_more_than_twice_eager_torch(name, copied, tile, dtype):
    tensors = inputs(name, rows=2, heads=3, tokens=1023, words=333, copied=copied, dtype=dtype)
    on_gpu = [tensor.cuda() for tensor in tensors]
    found = launched(lambda function, *arguments: function(*arguments), name, on_gpu, tile).cpu()
    expected = truth(name, tensors)
    assert error(found, expected) <= 2 * error(eager(name, tensors), expected)


def test_other_tiles_and_heads_give_the_same(interpreted):
    case = {"rows": 2, "heads": 3, "tokens": 19, "words": 6, "copied": True, "head_dim": 16}
    tensors = inputs("joint_attention", **case)
    found = launched(interpreted, "joint_attention", tensors, kernel.Tile(queries=32, keys=32, num_warps=1))
    expected = truth("joint_attention", tensors)
    assert error(found, expected) <= 2 * error(eager("joint_attention", tensors), expected)


@pytest.mark.parametrize("copied", [True, False])
def test_large_norm_weights_do_not_overflow(interpreted, copied):
    sizes = {"rows": 2, "heads": 2, "tokens": 9, "words": 0, "copied": copied, "dtype": torch.float16}
    *packed, norm_q, norm_k = inputs("joint_attention_dual", **sizes)
    tensors = (*packed, 40 * norm_q, 40 * norm_k)  # a query of 8 · 60 times weights of 60² were too much
    found = launched(interpreted, "joint_attention_dual", tensors)
    expected = truth("joint_attention_dual", tensors)
    assert error(found, expected) <= 2 * error(eager("joint_attention_dual", tensors), expected)


def test_channels_that_are_not_packed_are_packed_first(interpreted):
    tensors = inputs("joint_attention_dual", rows=1, heads=1, tokens=5, words=0, copied=True)
    apart = (tensors[0].mT.contiguous().mT, *tensors[1:])
    assert apart[0].stride(-1) != 1
    packed = launched(interpreted, "joint_attention_dual", tensors)
    torch.testing.assert_close(launched(interpreted, "joint_attention_dual", apart), packed, rtol=0, atol=0)


def test_shapes_that_do_not_fit_are_refused():
    noise, lr, text, *norms = inputs("joint_attention", rows=2, heads=1, tokens=4, words=3, copied=False)
    with pytest.raises(ValueError, match=r"LR \(2, 3, 192\) does not match noise \(2, 4, 192\)"):
        kernel.launch(noise, lr[:, :3], text, *norms)
    with pytest.raises(ValueError, match=r"text must be \[2, tokens, 192\], found \(1, 3, 192\)"):
        kernel.launch(noise, lr, text[:1], *norms)
    with pytest.raises(ValueError, match=r"needs a head of 16, 32, 64, … channels, found 48"):
        kernel.launch(noise[..., :144], lr[..., :144], None, norms[0][:48], norms[1][:48], None, None)


def test_few_rows_take_the_tile_that_makes_more_programs():
    assert kernel.tile_for(2, 24, 1024, 333, torch.float16) == kernel.TILES[0]
    assert kernel.tile_for(1, 2, 64, None, torch.float16) == kernel.TILES[1]
    assert kernel.tile_for(2, 24, 1024, 333, torch.float32) == kernel.SINGLE_PRECISION_TILE


def test_an_operator_is_served_for_every_one_that_torch_knows():
    assert set(kernel.OPERATORS) == set(operator.__all__) == set(OPERATORS)


TENSOR_CORES = dict.fromkeys(aot.ARCHITECTURES, "mma.sync.aligned") | {
    90: "wgmma.mma_async",
    100: "tcgen05.mma",
}
SHIPPED = kernel.shipped_configurations()
# The last block's kernel differs from the others' in no loop, and bfloat16's from float16's in no address.
TELLING = [source for source in SHIPPED if "fp16" in source.name and "final" not in source.name]


@pytest.mark.parametrize("arch", aot.ARCHITECTURES)
@pytest.mark.parametrize(
    "sources", [TELLING, pytest.param(SHIPPED, marks=pytest.mark.slow)], ids=["telling", "all"]
)
def test_shipped_kernels_compile_without_spills(arch, sources):
    for source in sources:
        compiled = aot.compile_kernel(source, arch)
        assert compiled.spill_bytes == 0, source.name
        # Keys and values come asynchronously, 16 bytes at a time; the products run on the tensor cores.
        assert "cp.async.cg.shared.global" in compiled.ptx, source.name
        assert TENSOR_CORES[arch] in compiled.ptx, source.name
        if source.num_warps == kernel.TILES[-1].num_warps:
            assert compiled.shared <= 48 * 1024, f"{source.name} needs more than a launch gets unasked"


def test_everything_is_shipped_in_every_type_flavour_and_tile():
    assert len({source.name for source in SHIPPED}) == len(SHIPPED) == 3 * 2 * 2 * len(kernel.TILES)


@pytest.mark.parametrize(
    ("name", "inputs_", "scalars", "outputs"),
    [
        ("joint_attention", 7, 8, 3),
        ("joint_attention_final", 6, 8, 2),
        ("joint_attention_dual", 4, 5, 2),
    ],
)
def test_the_entry_takes_inputs_scalars_outputs_and_two_hidden_pointers(name, inputs_, scalars, outputs):
    source = kernel.source(name, copied=True, tile=kernel.TILES[-1], pointer="*fp16", heads=24)
    types = re.findall(r"\.param \.(\w+)", aot.compile_kernel(source, 80).ptx.split(")")[0])
    assert types == ["u64"] * inputs_ + ["u32"] * scalars + ["u64"] * outputs + ["u64"] * 2
