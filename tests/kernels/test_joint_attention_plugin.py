"""JointAttention as TensorRT's builder sees it: the real bindings, without a GPU."""

import pytest
from support import tensorrt_stubs
from support.attention import OPERATORS

from dit4sr.kernels import aot
from dit4sr.kernels.joint_attention import kernel

HEADS = 24  # the kernels are then those that other tests compile too
NODES = dict(zip(OPERATORS, ("JointAttention", "JointAttentionFinal", "JointAttentionDual"), strict=True))


def case(name, *, rows, tokens, words=0, copied, tactic, kind="HALF"):
    width = 64 * HEADS
    lr_width = 2 * width if copied else 3 * width
    text_width = 2 * width if name == "joint_attention_final" else 3 * width
    text = [] if name == "joint_attention_dual" else [(rows, words, text_width)]
    norms = {"joint_attention": 4, "joint_attention_final": 3, "joint_attention_dual": 2}[name]
    return {
        "module": "dit4sr.kernels.joint_attention.plugin",
        "name": NODES[name],
        "attributes": {"heads": HEADS, "head_dim": 64, "copied": int(copied)},
        "type": kind,
        "inputs": [(rows, tokens, 3 * width), (rows, tokens, lr_width), *text, *[(64,)] * norms],
        "tactic": tactic,
    }


CASES = [
    # The model's own shape, a batch of eight, nine tiles of a large photo, odd counts, one token.
    ("joint_attention", {"rows": 2, "tokens": 1024, "words": 333, "copied": True, "tactic": 1}),
    ("joint_attention", {"rows": 16, "tokens": 1024, "words": 333, "copied": False, "tactic": 2}),
    ("joint_attention", {"rows": 18, "tokens": 4096, "words": 154, "copied": False, "tactic": 1}),
    ("joint_attention_final", {"rows": 2, "tokens": 1023, "words": 333, "copied": True, "tactic": 2}),
    ("joint_attention_final", {"rows": 1, "tokens": 1, "words": 1, "copied": False, "tactic": 1}),
    ("joint_attention_dual", {"rows": 2, "tokens": 1024, "copied": True, "tactic": 1}),
    ("joint_attention_dual", {"rows": 3, "tokens": 77, "copied": False, "tactic": 2}),
]


def test_launches_follow_the_shapes_and_carry_the_compiled_kernel(plugin_answers):
    answers = plugin_answers(*(case(name, **sizes) for name, sizes in CASES))
    for (name, sizes), answer in zip(CASES, answers, strict=True):
        rows, tokens, words, copied = (sizes.get(key, 0) for key in ("rows", "tokens", "words", "copied"))
        tile = kernel.TILES[sizes["tactic"] - 1]
        source = kernel.source(name, copied=copied, tile=tile, pointer="*fp16", heads=HEADS)
        compiled = aot.compile_kernel(source, 80)
        width = 64 * HEADS

        asking = [tokens, tokens] + [words] * (name == "joint_attention")
        assert answer["output_shapes"] == [[rows, count, width] for count in asking]
        assert answer["output_types"] == ["DataType.HALF"] * len(asking)
        assert answer["combinations"] == ["DataType.BF16", "DataType.HALF"]
        assert answer["tactics"] == [1, 2]
        assert answer["grid"] == [sum(-(-count // tile.queries) for count in asking), HEADS, rows]
        assert answer["block"] == [32 * tile.num_warps, 1, 1]
        assert answer["shared"] == compiled.shared
        assert (answer["entry"], answer["ptx"]) == (compiled.entry, compiled.ptx)

        read = [(tokens, 3), (tokens, 2 if copied else 3)]
        if name != "joint_attention_dual":
            read.append((words, 2 if name == "joint_attention_final" else 3))
        counts = [tokens] if name == "joint_attention_dual" else [tokens, words]
        strides = [stride for count, parts in read for stride in (count * parts * width, parts * width)]
        assert answer["scalars"] == counts + strides


def test_brain_floats_get_a_kernel_of_their_own(plugin_answers):
    sizes = {"rows": 1, "tokens": 9, "copied": True, "tactic": 2}
    half, brain = plugin_answers(
        case("joint_attention_dual", **sizes), case("joint_attention_dual", **sizes, kind="BF16")
    )
    assert ".f16.f16" in half["ptx"]
    assert ".bf16.bf16" in brain["ptx"]


CHOICES = """
import sys
from types import SimpleNamespace as Namespace
runtime = Namespace(
    cudaDeviceAttr=Namespace(cudaDevAttrComputeCapabilityMajor=0, cudaDevAttrComputeCapabilityMinor=1),
    cudaError_t=Namespace(cudaSuccess=0),
    cudaDeviceGetAttribute=lambda part, device: ({error}, {capability}[part]),
)
sys.modules["cuda"] = sys.modules["cuda.bindings"] = Namespace(runtime=runtime)
from dit4sr.kernels.joint_attention import plugin
print(plugin.architecture())
"""


@pytest.mark.parametrize(
    ("error", "capability", "arch"),
    [
        (0, (9, 0), 90),
        (0, (8, 6), 86),
        (0, (8, 7), 80),  # not among ours: portable
        (100, (9, 0), 80),  # no device
    ],
)
def test_an_engine_gets_ptx_for_the_gpu_that_builds_it(error, capability, arch):
    code = CHOICES.format(error=error, capability=capability)
    printed = tensorrt_stubs.run(tensorrt_stubs.VERSIONS[0], "-c", code)
    assert printed.splitlines()[-1] == str(arch)
