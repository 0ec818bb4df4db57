"""DepthwiseInject as TensorRT's builder sees it: the real bindings, without a GPU."""

import re

import pytest

from dit4sr.kernels import aot
from dit4sr.kernels.depthwise_inject import kernel

CHANNELS = 64
POINTERS = {"HALF": "*fp16", "BF16": "*bf16", "FLOAT": "*fp32"}


def case(shape, channels, tactic, kind="HALF"):
    return {
        "module": "dit4sr.kernels.depthwise_inject.plugin",
        "name": "DepthwiseInject",
        "attributes": {"channels": channels},
        "type": kind,
        "inputs": [(*shape, channels), (*shape, channels), (3, 3, channels), (channels,)],
        "tactic": tactic,
    }


def test_launches_follow_the_shape_and_carry_the_compiled_kernel(plugin_answers):
    # The model's own shape, nine tiles of a large photo, a ragged grid, one token; each tactic, each type.
    cases = [
        case((2, 32, 32), 6144, 1),
        case((18, 32, 32), 6144, 2),
        case((18, 64, 64), 6144, 1),
        case((3, 13, 21), 264, 1, "BF16"),
        case((1, 1, 1), 8, 2, "FLOAT"),
        case((1, 9, 7), 264, 2, "BF16"),
    ]
    for asked, answer in zip(cases, plugin_answers(*cases), strict=True):
        rows, height, width, channels = asked["inputs"][0]
        tile = kernel.TILES[asked["tactic"] - 1]
        compiled = aot.compile_kernel(kernel.source(tile, POINTERS[asked["type"]], channels), 80)
        assert answer["output_shapes"] == [list(asked["inputs"][0])]
        assert answer["output_types"] == [f"DataType.{asked['type']}"]
        assert answer["combinations"] == ["DataType.BF16", "DataType.FLOAT", "DataType.HALF"]
        assert answer["tactics"] == [1, 2]
        lines, columns = (8, 16) if asked["tactic"] == 1 else (4, 8)
        assert answer["grid"] == [-(-channels // 64), -(-height // lines) * -(-width // columns), rows]
        assert answer["block"] == [256 if asked["tactic"] == 1 else 128, 1, 1]
        assert answer["shared"] == compiled.shared
        line = width * channels // 8
        strides = [height * line, line, channels // 8]
        assert answer["scalars"] == [height, width, *strides, *strides]
        assert (answer["entry"], answer["ptx"]) == (compiled.entry, compiled.ptx)


def test_the_entry_takes_inputs_scalars_outputs_and_two_hidden_pointers():
    ptx = aot.compile_kernel(kernel.source(kernel.TILES[0], "*fp16", CHANNELS), 80).ptx
    types = re.findall(r"\.param \.(\w+)", ptx.split(")")[0])
    assert types == ["u64"] * 4 + ["u32"] * 8 + ["u64"] + ["u64"] * 2


@pytest.mark.parametrize("arch", aot.ARCHITECTURES)
def test_the_engines_portable_ptx_assembles_everywhere_without_spills(arch):
    for source in kernel.shipped_configurations():
        assert aot.assemble(aot.compile_kernel(source, 80).ptx, arch).spill_bytes == 0, source.name
