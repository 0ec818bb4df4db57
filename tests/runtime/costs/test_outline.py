"""A graph's outline, read without a library, against the one that a library reads."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import TensorProto, helper, numpy_helper

from dit4sr.runtime.bundles.built_in import tiny_bundle
from dit4sr.runtime.bundles.bundle import Bundle
from dit4sr.runtime.costs.demand import demand_of
from dit4sr.runtime.costs.outline import read_outline
from dit4sr.runtime.errors import BadInputError, IntegrityError

COMPONENTS = ("prepare", "step", "vae_decoder", "vae_encoder")


@pytest.mark.parametrize("component", COMPONENTS)
def test_what_is_read_is_what_the_library_reads(component):
    file = tiny_bundle() / "onnx" / f"{component}.onnx"
    outline, graph = read_outline(file), ir.load(file).graph
    assert [node.operator for node in outline.nodes] == [node.op_type for node in graph]
    assert [node.domain for node in outline.nodes] == [node.domain for node in graph]
    for ours, theirs in zip(outline.nodes, graph, strict=True):
        assert ours.inputs == tuple(value.name if value else "" for value in theirs.inputs)
        whole = {
            name: each.as_int()
            for name, each in theirs.attributes.items()
            if each.type == ir.AttributeType.INT
        }
        assert dict(ours.attributes) == whole
        for value in theirs.outputs:
            known = outline.tensors[value.name]
            assert known.element == value.dtype.value
            assert known.shape == tuple(a if isinstance(a, int) else str(a.value) for a in value.shape)
    assert outline.weights == set(graph.initializers)
    for name, weight in graph.initializers.items():
        assert outline.tensors[name].shape == tuple(weight.shape)


def test_weights_within_the_file_are_stepped_over(tmp_path):
    weights = np.ones((700, 300), np.float16)
    negative = helper.make_node("Gather", ["w", "i"], ["y"], axis=-1)
    graph = helper.make_graph(
        [negative],
        "g",
        [helper.make_tensor_value_info("i", TensorProto.INT64, ["n"])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT16, [700, "n"])],
        [numpy_helper.from_array(weights, "w")],
    )
    onnx.save(helper.make_model(graph), tmp_path / "g.onnx")
    outline = read_outline(tmp_path / "g.onnx")
    assert outline.tensors["w"].shape == (700, 300)
    assert outline.tensors["y"].shape == (700, "n")
    assert outline.nodes[0].attributes == {"axis": -1}
    assert outline.operators == {"Gather": 1}


NO_GRAPHS = (b"", b"no graph at all", b"\x3a\xff", b"\x3a\x04\x0a\xff\xff\xff", b"\xff" * 40)


@pytest.mark.parametrize("content", NO_GRAPHS)
def test_what_is_no_graph_is_one_line(tmp_path, content):
    (tmp_path / "g.onnx").write_bytes(content)
    with pytest.raises(IntegrityError, match=r"g\.onnx is no graph \(.*\); export the bundle anew"):
        read_outline(tmp_path / "g.onnx")


def test_no_mutation_of_a_graph_ends_otherwise_than_read_or_refused(tmp_path):
    """Bytes from a stranger: whatever they are, an outline or one line."""
    content = (tiny_bundle() / "onnx" / "prepare.onnx").read_bytes()
    rng = np.random.default_rng(0)
    sizes = {"rows": 1, "steps": 2, "height": 8, "width": 8, "tokens": 16, "text": 8}
    refused = 0
    for _ in range(300):
        spoilt = bytearray(content)
        for place in rng.integers(len(spoilt), size=3):
            spoilt[place] = rng.integers(256)
        (tmp_path / "g.onnx").write_bytes(spoilt[: rng.integers(1, len(spoilt))])
        try:
            demand_of(read_outline(tmp_path / "g.onnx"), sizes)
        except (BadInputError, IntegrityError):
            refused += 1
    assert refused > 0


def test_the_weights_of_a_bundle_are_not_read():
    """The graphs of the built-in model keep them beside, where the outline never looks."""
    bundle = Bundle.open(tiny_bundle())
    for component in COMPONENTS:
        outline = read_outline(bundle.path / bundle.components[component].graph.path)
        weights = [outline.tensors[name] for name in outline.weights]
        stated = sum(weight.elements({}) * weight.element_bytes for weight in weights)
        on_disk = sum(record.bytes for record in bundle.components[component].files)
        assert stated == pytest.approx(on_disk, rel=0.15)
