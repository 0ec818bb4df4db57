"""Halves widened: nothing but their rounding goes, and what a graph of them cannot be is left alone."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from dit4sr.runtime.backends.onnxruntime.backend import DATA_FOLDER, session_options
from dit4sr.runtime.backends.onnxruntime.widening import widened
from dit4sr.runtime.bundles.built_in import tiny_bundle

OPSETS = [helper.make_opsetid("", 21)]
HALF, FLOAT = TensorProto.FLOAT16, TensorProto.FLOAT
RNG = np.random.default_rng(5)


def made(nodes, initializers=(), functions=(), *, kind=FLOAT, opsets=OPSETS) -> bytes:
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", kind, [3, 4])],
        [helper.make_tensor_value_info("y", kind, ["a", "b"])],
        list(initializers),
    )
    model = helper.make_model(graph, opset_imports=opsets, functions=list(functions), ir_version=10)
    return model.SerializeToString()


def answer(model: bytes, x) -> np.ndarray:
    session = onnxruntime.InferenceSession(model, session_options(1), providers=["CPUExecutionProvider"])
    return session.run(None, {"x": x})[0]


def cast(name: str, to: int, result: str):
    return helper.make_node("Cast", [name], [result], to=to)


def weight(name: str, shape: Sequence[int]):
    return numpy_helper.from_array(RNG.normal(size=shape).astype(np.float16), name)


def product():
    """A product in half of an initialiser, with a cast before and after it."""
    w = weight("w", [4, 5])
    nodes = [cast("x", HALF, "h"), helper.make_node("MatMul", ["h", "w"], ["p"]), cast("p", FLOAT, "y")]
    return made(nodes, [w]), lambda x: x @ numpy_helper.to_array(w).astype(np.float32)


def constant():
    """A constant of a node, of whose type the next one's result is."""
    value = weight("", [4])
    nodes = [
        helper.make_node("Constant", [], ["c"], value=value),
        helper.make_node("CastLike", ["x", "c"], ["h"]),
        helper.make_node("Add", ["h", "c"], ["s"]),
        cast("s", FLOAT, "y"),
    ]
    return made(nodes), lambda x: x + numpy_helper.to_array(value).astype(np.float32)


def branch():
    """Halves in a graph within a graph, with weights of its own."""
    w = weight("v", [4])
    inner = [
        cast("x", HALF, "ih"),
        helper.make_node("Mul", ["ih", "v"], ["ip"]),
        cast("ip", FLOAT, "iy"),
    ]
    result = [helper.make_tensor_value_info("iy", FLOAT, [3, 4])]
    body = helper.make_graph(inner, "then", [], result, [w])
    truth = numpy_helper.from_array(np.array(True), "always")
    nodes = [helper.make_node("If", ["always"], ["y"], then_branch=body, else_branch=body)]
    return made(nodes, [truth]), lambda x: x * numpy_helper.to_array(w).astype(np.float32)


def function(**given):
    """Halves in the body of a function, whose own attribute names their type."""
    body = [
        helper.make_node("Cast", ["a"], ["h"]),
        helper.make_node("Mul", ["h", "h"], ["q"]),
        helper.make_node("Cast", ["q"], ["b"], to=FLOAT),
    ]
    body[0].attribute.add(name="to", ref_attr_name="to", type=onnx.AttributeProto.INT)
    declared = {"attributes": ["to"]} if given else {"attribute_protos": [helper.make_attribute("to", HALF)]}
    square = helper.make_function("here", "Square", ["a"], ["b"], body, OPSETS, **declared)
    nodes = [helper.make_node("Square", ["x"], ["y"], domain="here", **given)]
    return made(nodes, (), [square], opsets=[*OPSETS, helper.make_opsetid("here", 1)]), lambda x: x * x


def called_function():
    """The call names the type."""
    return function(to=HALF)


@pytest.mark.parametrize("case", [product, constant, branch, called_function])
def test_answers_are_those_of_fp32(case):
    model, truth = case()
    x = RNG.normal(size=(3, 4)).astype(np.float32)
    changed = onnx.load_from_string(widened(model))
    onnx.checker.check_model(changed, full_check=True)
    # By the book: ONNX Runtime leaves out some of the roundings that a graph asks for.
    in_half, in_full = (
        ReferenceEvaluator(each).run(None, {"x": x})[0] for each in (onnx.load_from_string(model), changed)
    )
    assert np.abs(in_half - truth(x)).max() > 1e-5
    np.testing.assert_allclose(in_full, truth(x), rtol=2e-6, atol=2e-6)
    np.testing.assert_allclose(answer(widened(model), x), truth(x), rtol=2e-6, atol=2e-6)


def test_a_type_that_goes_without_saying_is_fp32():
    model, _ = function()
    [square] = onnx.load_from_string(widened(model)).functions
    assert square.attribute_proto[0].i == FLOAT


def test_the_models_weights_stay_in_half_and_nothing_else_does():
    """The library widens them as it loads: what it keeps and runs is FP32 alone."""
    folder = tiny_bundle() / "onnx"
    content = (folder / "step.onnx").read_bytes()
    before, after = (onnx.load_from_string(each) for each in (content, widened(content)))
    halves = {each.name for each in before.graph.initializer if each.data_type == HALF}
    casts = [node for node in after.graph.node if node.output[0] in halves]
    assert len(casts) == len(halves) > 100
    assert {(node.op_type, node.attribute[0].i) for node in casts} == {("Cast", FLOAT)}
    kinds = [Counter(each.data_type for each in model.graph.initializer) for model in (before, after)]
    assert kinds[0] == kinds[1]
    assert not any(a.name == "to" and a.i == HALF for node in after.graph.node for a in node.attribute)


def test_no_cast_is_left_to_be_run(tmp_path):
    folder = tiny_bundle() / "onnx"
    left = []
    for content in [(folder / "step.onnx").read_bytes(), widened((folder / "step.onnx").read_bytes())]:
        options = session_options(1)
        options.add_session_config_entry(DATA_FOLDER, str(folder))
        options.optimized_model_filepath = str(tmp_path / "optimised.onnx")
        onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        nodes = onnx.load(tmp_path / "optimised.onnx", load_external_data=False).graph.node
        left.append(sum(node.op_type == "Cast" for node in nodes))
    assert left[0] > 100
    assert left[1] == 0


def test_a_graph_that_takes_halves_is_left_as_it_is():
    model = made([helper.make_node("Add", ["x", "w"], ["y"])], [weight("w", [4])], kind=HALF)
    assert widened(model) == model


def test_a_graph_without_halves_computes_the_same():
    model = made([helper.make_node("Neg", ["x"], ["y"])])
    assert onnx.load_from_string(widened(model)) == onnx.load_from_string(model)


@settings(max_examples=300, deadline=None)
@given(seed=st.integers(0, 2**48))
def test_damaged_graphs_lead_to_an_answer(seed):
    """Never an error: what is no graph is for the library to refuse, in its own words."""
    rng = random.Random(seed)
    content = bytearray(rng.choice([product, constant, branch, function])()[0])
    for _ in range(rng.randint(1, 4)):
        content[rng.randrange(len(content))] = rng.randrange(256)
    assert isinstance(widened(bytes(content)), bytes)
