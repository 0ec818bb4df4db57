"""Each pass alone, on graphs small enough to read."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from dit4sr.export.graph.passes.cleanup import simplify_graph, strip_stack_traces, transpose_weights
from dit4sr.export.graph.passes.precision import mixed_precision
from dit4sr.export.graph.passes.report import node_counts, run_pass

FLOAT, HALF = ir.DataType.FLOAT, ir.DataType.FLOAT16


class Sketch:
    """A graph written line by line; weights have a shape and no data, as after tracing."""

    def __init__(self) -> None:
        self.tape = ir.tape.Tape()
        self.inputs: list[ir.Value] = []
        self.weights: list[ir.Value] = []

    def given(self, name: str, *shape: int | str) -> ir.Value:
        self.inputs.append(ir.Value(name=name, shape=ir.Shape(shape), type=ir.TensorType(FLOAT)))
        return self.inputs[-1]

    def weight(self, name: str, *shape: int) -> ir.Value:
        self.weights.append(ir.Value(name=name, shape=ir.Shape(shape), type=ir.TensorType(FLOAT)))
        return self.weights[-1]

    def constant(self, *values: int) -> ir.Value:
        return self.tape.initializer(ir.tensor(np.array(values, np.int64), name=f"c{len(self.tape.nodes)}"))

    def op(self, name: str, *inputs: ir.Value, domain: str = "", **attributes) -> ir.Value:
        value = self.tape.op(name, inputs, attributes, domain=domain)
        value.type = ir.TensorType(FLOAT)
        return value

    def model(self, *outputs: ir.Value) -> ir.Model:
        for place, output in enumerate(outputs):
            output.name = f"out{place}"
        graph = ir.Graph(
            self.inputs,
            outputs,
            nodes=self.tape.nodes,
            initializers=[*self.tape.initializers, *self.weights],
            opset_imports={"": 21, "dit4sr": 1},
        )
        return ir.Model(graph, ir_version=10)


def types(model: ir.Model) -> list[tuple[str, ir.DataType | None]]:
    return [(node.op_type, node.outputs[0].dtype) for node in model.graph]


def test_weights_are_stored_as_their_products_read_them():
    g = Sketch()
    weight = g.weight("layer.weight", 8, 4)
    model = g.model(g.op("MatMul", g.given("x", "n", 4), g.op("Transpose", weight, perm=[1, 0])))
    report = run_pass(model, transpose_weights)
    assert report.difference == {"Transpose": -1}
    assert weight.shape == ir.Shape([4, 8])
    assert weight.meta["transposed"]
    assert str(report) == "transpose_weights: -1 Transpose"


def test_a_weight_with_two_readers_stays_as_it_is():
    g = Sketch()
    weight, x = g.weight("weight", 4, 4), g.given("x", "n", 4)
    turned = g.op("MatMul", x, g.op("Transpose", weight, perm=[1, 0]))
    model = g.model(turned, g.op("MatMul", x, weight))
    assert run_pass(model, transpose_weights).difference == {}
    assert weight.shape == ir.Shape([4, 4])


def test_simplifying_folds_constants_and_leaves_weights_alone():
    g = Sketch()
    x, weight = g.given("x", 2, 3), g.weight("weight", 3, 3)
    shape = g.op("Concat", g.constant(1), g.constant(2, 3), axis=0)
    shape.type = ir.TensorType(ir.DataType.INT64)
    g.op("Relu", x)  # read by nobody
    model = g.model(g.op("Reshape", g.op("MatMul", x, weight), shape))
    assert run_pass(model, simplify_graph).difference == {"Concat": -1, "Relu": -1}
    assert model.graph.initializers["weight"].const_value is None


def test_origins_are_forgotten():
    g = Sketch()
    model = g.model(g.op("Relu", g.given("x", 2)))
    model.graph[0].metadata_props["pkg.torch.onnx.stack_trace"] = "/home/someone/model.py"
    assert run_pass(model, strip_stack_traces).difference == {}
    assert not model.graph[0].metadata_props


def test_products_run_in_half_and_the_rest_in_fp32():
    g = Sketch()
    normed = g.op("LayerNormalization", g.given("x", "n", 4), g.weight("scale", 4))
    product = g.op("MatMul", normed, g.weight("w", 4, 4))
    biased = g.op("Add", product, g.weight("b", 4))
    model = g.model(g.op("Mul", biased, g.given("gate", "n", 4)))
    report = run_pass(model, mixed_precision(HALF), "mixed_precision")
    assert report.difference == {"Cast": 2}
    assert types(model) == [
        ("LayerNormalization", FLOAT),
        ("Cast", HALF),
        ("MatMul", HALF),
        ("Add", HALF),
        ("Cast", FLOAT),
        ("Mul", FLOAT),
    ]
    weights = {name: value.dtype for name, value in model.graph.initializers.items()}
    assert weights == {"scale": FLOAT, "w": HALF, "b": HALF}


def test_a_value_crosses_by_one_cast_however_many_read_it():
    g = Sketch()
    normed = g.op("Relu", g.given("x", "n", 4))
    products = [g.op("MatMul", normed, g.weight(f"w{i}", 4, 4)) for i in range(3)]
    model = g.model(g.op("Add", g.op("Add", products[0], products[1]), products[2]))
    assert run_pass(model, mixed_precision(HALF)).difference == {"Cast": 4}


def test_an_activation_between_products_never_leaves_half():
    g = Sketch()
    up = g.op("MatMul", g.given("x", "n", 4), g.weight("up", 4, 8))
    active = g.op("Gelu", up, approximate="tanh")
    model = g.model(g.op("MatMul", active, g.weight("down", 8, 4)))
    run_pass(model, mixed_precision(HALF))
    assert [op for op, _ in types(model)] == ["Cast", "MatMul", "Gelu", "MatMul", "Cast"]


def test_a_weight_that_streams_share_is_bound_in_half():
    g = Sketch()
    weight = g.weight("w", 4, 4)
    one, other = (g.op("MatMul", g.given(name, "n", 4), weight) for name in "xy")
    model = g.model(g.op("MatMul", one, g.weight("v", 4, 4)), g.op("MatMul", other, g.weight("u", 4, 4)))
    run_pass(model, mixed_precision(HALF))
    assert weight.dtype == HALF
    assert [op for op, _ in types(model)].count("Cast") == 2 + 2  # the streams in, the answers out


def test_tokens_are_added_to_an_answer_in_half_where_products_read_both():
    """As the LR stream is: it was projected, and its answer plus itself is projected again."""
    g = Sketch()
    tokens = g.op("LayerNormalization", g.given("x", "n", 4), g.weight("scale", 4))
    qkv = g.op("MatMul", tokens, g.weight("qkv", 4, 4))
    answer = g.op("JointAttentionDual", qkv, qkv, domain="dit4sr")
    model = g.model(g.op("MatMul", g.op("Add", answer, tokens), g.weight("out", 4, 4)))
    run_pass(model, mixed_precision(HALF))
    assert dict(types(model))["Add"] == HALF


@pytest.mark.parametrize("is_read_wide", [True, False])
def test_other_sums_stay_in_fp32(is_read_wide):
    """A residual stream: what it adds to no product reads, or what it makes something else reads as well."""
    g = Sketch()
    stream = g.given("x", "n", 4)
    normed = g.op("LayerNormalization", stream, g.weight("scale", 4)) if not is_read_wide else stream
    total = g.op("Add", g.op("MatMul", normed, g.weight("w", 4, 4)), stream)
    after = g.op("MatMul", total, g.weight("v", 4, 4))
    model = g.model(g.op("Mul", after, total) if is_read_wide else after)
    run_pass(model, mixed_precision(HALF))
    assert dict(types(model))["Add"] == FLOAT


def test_movers_keep_the_type_of_what_they_move():
    """Rounded before they are moved, where only a product reads them; moved in half after one."""
    g = Sketch()
    x = g.given("x", 2, 4)
    moved = g.op("Unsqueeze", x, g.constant(0))
    product = g.op("MatMul", moved, g.weight("w", 4, 4))
    model = g.model(g.op("Squeeze", product, g.constant(0)))
    run_pass(model, mixed_precision(HALF))
    assert types(model) == [
        ("Cast", HALF),
        ("Unsqueeze", HALF),
        ("MatMul", HALF),
        ("Squeeze", HALF),
        ("Cast", FLOAT),
    ]
    assert model.graph.outputs[0].name == "out0"


def test_shapes_are_not_rounded():
    g = Sketch()
    x = g.given("x", "n", 4)
    shape = g.op("Shape", x)
    shape.type = ir.TensorType(ir.DataType.INT64)
    longer = g.op("Concat", shape, g.constant(1), axis=0)
    longer.type = ir.TensorType(ir.DataType.INT64)
    model = g.model(g.op("Reshape", g.op("MatMul", x, g.weight("w", 4, 4)), longer))
    run_pass(model, mixed_precision(HALF))
    assert dict(types(model))["Concat"] == ir.DataType.INT64


@pytest.mark.parametrize("half", [ir.DataType.FLOAT16, ir.DataType.BFLOAT16])
def test_our_operators_are_products(half):
    g = Sketch()
    taps, bias = g.weight("taps", 3, 3, 8), g.weight("bias", 8)
    model = g.model(
        g.op("DepthwiseInject", g.given("u", 1, 2, 4, 4, 8), taps, bias, domain="dit4sr", channels=8)
    )
    run_pass(model, mixed_precision(half))
    assert types(model) == [("Cast", half), ("DepthwiseInject", half), ("Cast", FLOAT)]
    assert node_counts(model)["dit4sr::DepthwiseInject"] == 1
    assert taps.dtype == half
