"""The compiler's list of layers, read and counted; the sums are known beforehand."""

from __future__ import annotations

import pytest

from dit4sr.export.engines.account.counting import account_of, require_fusion
from dit4sr.export.engines.account.graph_nodes import GraphNodes
from dit4sr.export.engines.account.layer import Layer
from dit4sr.export.engines.account.layer_list import (
    is_layer_list,
    parse_layer_list,
    read_layer_list,
    write_layer_list,
)
from dit4sr.runtime.errors import AccuracyError, IntegrityError


def tensor(sizes, dtype="Half", name="t"):
    return (
        f"{{ Name: {name}, Dimensions: [{','.join(map(str, sizes))}], Strides: [1], StrideOrder: [0], "
        f"Datatype: {dtype}, Format: (Arbitrary) Format with stride order = [1,0] }}"
    )


def line(name, kind, inputs=(), constants=(), outputs=(), metadata=""):
    parts = [", ".join(tensor(*each) for each in group) for group in (inputs, constants, outputs)]
    return (
        f"Name: {name}, LayerType: {kind}, Inputs: [ {parts[0]}], Constants: [ {parts[1]}], "
        f"Outputs: [ {parts[2]}], TacticName: {name}_0x1f, StreamId: 0, Metadata: {metadata}"
    )


LINES = [
    line("node_MatMul_1_myl0_1", "gemm", [((8, 4),)], [((4, 6),), ((1,), "Float")], [((8, 6),)],
         "[ONNX Layer: node_MatMul_1]"),
    line("__myl_FcAddTanh_myl0_2", "runtime_fusion", [((8, 6), "FP8")], [((1, 5),), ((6, 5), "FP8")],
         [((8, 5),)], "[ONNX Layer: bias]\x1e[ONNX Layer: n1 | node_ff (Gelu)]"),
    line("_gemm_mha_v2_myl0_3", "kgen", [((2, 7, 4),), ((2, 4, 9),), ((2, 9, 4),)], [], [((2, 7, 4),)],
         "[ONNX Layer: node_TRT_Attention_69 | node_joint (JointAttention)]"),
    line("node_conv2d_myl0_4", "correlation", [((1, 3, 8, 8),)], [((5, 3, 2, 2),), ((1, 5, 1, 1),)],
         [((1, 5, 4, 4),)]),
    line("__myl_CorrCast_myl0_5", "runtime_fusion", [((1, 5, 4, 4),)], [((5, 1, 3, 3),)], [((1, 5, 4, 4),)]),
    line("__myl_MulAddCast_myl0_6", "kgen", [((8, 5), "Float")], [], [((8, 5),)]),
    line("__myl_CastTranResh_myl0_7", "kgen", [((8, 5),)], [], [((5, 8), "Float")],
         "[ONNX Layer: node_Cast_9]"),
    line("__mye99_myl0_8", "signal"),
    line("__mye99_myl0_9", "wait"),
    line("__mye99_0_myl0_0", "shape_call"),
]  # fmt: skip
MESSAGE = "\n".join(["Layers:", *LINES, "", "I/O Tensors:", " Name: latent, IOMode: Input"])

KINDS = ["product", "product", "attention", "convolution", "convolution", "pointwise", "copy"]
FLOPS = [2 * 8 * 4 * 6, 2 * 8 * 6 * 5, 4 * 2 * 7 * 9 * 4, 2 * 80 * 12, 2 * 80 * 9, 0, 0]
MOVED = [
    2 * (32 + 24 + 48) + 4,
    48 + 2 * 5 + 30 + 2 * 40,
    2 * (56 + 72 + 72 + 56),
    2 * (192 + 60 + 5 + 80),
    2 * (80 + 45 + 80),
    40 * 6,
    40 * 6,
]


@pytest.fixture
def layers():
    return [Layer.of(entry) for entry in parse_layer_list(MESSAGE)]


def test_every_kernel_is_of_a_kind(layers):
    assert [layer.kind for layer in layers if layer.is_kernel] == KINDS
    assert [layer.type for layer in layers if not layer.is_kernel] == ["signal", "wait", "shape_call"]


def test_products_are_counted_whatever_their_layout(layers):
    assert [layer.flops for layer in layers if layer.is_kernel] == FLOPS


def test_every_tensor_is_read_or_written_once(layers):
    assert [layer.bytes for layer in layers if layer.is_kernel] == MOVED


def test_a_product_has_the_precision_of_its_operands(layers):
    assert [layer.precision for layer in layers if layer.kind == "product"] == ["fp16", "fp8"]


def test_nodes_bear_the_names_of_the_graph(layers):
    assert layers[1].nodes == ("bias", "node_ff")
    assert layers[2].nodes == ("node_joint",)


@pytest.mark.parametrize("inner", [1536, 6144])
def test_a_residual_that_fits_is_no_operand(inner):
    """Of a product with its gate and residual in one kernel, the sum in FP32 fits the weights as well."""
    given = [((1, 333, 1536), "Float"), ((1, 1, 1536), "Float"), ((1, 333, inner),)]
    constants = [((1, 1, 1536),), ((1, inner, 1536),)]
    message = line(
        "__myl_FcAddCastMulAdd_myl0_97", "runtime_fusion", given, constants, [((1, 333, 1536), "Float")]
    )
    [entry] = parse_layer_list(f"Layers:\n{message}")
    layer = Layer.of(entry)
    assert (layer.precision, layer.flops) == ("fp16", 2 * 333 * 1536 * inner)


def test_products_of_a_batch_may_read_one_operand():
    """Queries, keys and values of T5, which the compiler multiplies together."""
    message = line("a_myl0_1", "gemm", [((1, 9, 48),)], [((3, 48, 24),), ((1,), "Float")], [((3, 9, 24),)])
    [entry] = parse_layer_list(f"Layers:\n{message}")
    assert Layer.of(entry).flops == 2 * 3 * 9 * 48 * 24


def test_sizes_that_are_open_are_not_counted():
    [entry] = parse_layer_list("Layers:\n" + line("a_myl0_1", "kgen", [((2, -1),)], [], [((2, -1),)]))
    assert not Layer.of(entry).is_counted


def test_a_line_of_a_new_kind_is_no_layer_less():
    """A layer that is passed over would make a plan look better than it is."""
    with pytest.raises(RuntimeError, match="of a new kind"):
        parse_layer_list("Layers:\nName: a, LayerType: gemm, Inputs: none")


def test_only_one_message_of_the_log_is_the_list():
    assert is_layer_list(MESSAGE)
    assert not is_layer_list("Layers: 391 Engine Metadata")
    assert not is_layer_list("Adding reformat layer with LayerType: gemm")


def test_a_list_comes_back_from_its_file(tmp_path, layers):
    file = tmp_path / "step.layers.json"
    write_layer_list(parse_layer_list(MESSAGE), file)
    assert [Layer.of(entry) for entry in read_layer_list(file.read_bytes(), file.name)] == layers


@pytest.mark.parametrize(
    "content",
    [b"", b"{}", b"[1]", b'[{"Name": 1}]', b"[" * 100_000,
     b'[{"Name":"a","LayerType":"gemm","Metadata":"","Inputs":[],"Constants":[],"Outputs":[{"Dimensions":["x"]}]}]'],
    ids=range(6),
)  # fmt: skip
def test_what_is_no_list_of_layers_is_refused(content):
    with pytest.raises(IntegrityError, match=r"x\.json is no list of layers"):
        read_layer_list(content, "x.json")


def counted(layers, attentions=1, quantised=(("bias", "a.weight"),)):
    nodes = GraphNodes({"node_joint": "attention", "node_MatMul_1": "queries"}, attentions, dict(quantised))
    return account_of(layers, nodes, compiler="a compiler 1", sizes={"rows": 2}, rest="the rest")


def test_an_account_sums_up(layers):
    account = counted(layers)
    assert account.kernels == {"attention": 1, "convolution": 2, "copy": 1, "pointwise": 1, "product": 2}
    assert (account.flops, account.bytes_read + account.bytes_written) == (sum(FLOPS), sum(MOVED))
    assert sum(account.bytes.values()) == sum(MOVED)
    assert account.products == {"fp16": 1, "fp8": 1}
    by_group = {group.group: (group.kernels, group.flops) for group in account.groups}
    rest = sum(FLOPS) - FLOPS[0] - FLOPS[2]
    assert by_group == {"queries": (1, FLOPS[0]), "attention": (1, FLOPS[2]), "the rest": (5, rest)}
    assert [(copy.bytes, copy.nodes) for copy in account.copies] == [(MOVED[-1], ("node_Cast_9",))]


def test_an_attention_that_is_not_fused_is_refused(layers):
    require_fusion("step", counted(layers))
    with pytest.raises(AccuracyError, match="step: 1 of 2 attentions are fused"):
        require_fusion("step", counted(layers, attentions=2))


def test_a_quantised_product_that_runs_wide_is_refused(layers):
    with pytest.raises(AccuracyError, match="step: 1 of 2 quantised products run in eight bits"):
        require_fusion(
            "step", counted(layers, quantised=(("bias", "a.weight"), ("node_MatMul_1", "b.weight")))
        )


def test_a_layer_that_streams_share_is_one_product(layers):
    """It runs in eight bits if each of the products that read its weight does."""
    shared = counted(layers, quantised=(("bias", "a.weight"), ("node_MatMul_1", "a.weight")))
    assert (shared.quantised_products, shared.narrow_products) == (1, 0)
    alone = counted(layers, quantised=(("bias", "a.weight"),))
    assert (alone.quantised_products, alone.narrow_products) == (1, 1)
