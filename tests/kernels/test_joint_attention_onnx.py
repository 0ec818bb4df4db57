"""JointAttention through torch's exporter, onnx's checker and ONNX Runtime, with either of its bodies."""

import functools

import numpy as np
import onnx
import onnx_ir
import onnxruntime
import pytest
import torch
from hypothesis import given, settings
from support.attention import OPERATORS, allowed_error, error, inputs, sizes, truth

from dit4sr.kernels.joint_attention import native_function, onnx_function
from dit4sr.kernels.joint_attention import torch_op as operator
from dit4sr.kernels.joint_attention.onnx_body import Shape

NODES = dict(zip(OPERATORS, ("JointAttention", "JointAttentionFinal", "JointAttentionDual"), strict=True))
HEADS = 2
SIZES = {"rows": 3, "heads": HEADS, "tokens": 7, "words": 5}
PLUGIN = {"plugin_namespace": b"dit4sr", "plugin_version": b"1", "aot": 1}


@functools.cache
def bare(name, copied, dtype):
    """An exported model whose node has no body yet."""

    class Net(torch.nn.Module):
        def forward(self, *tensors):
            return getattr(operator, name)(*tensors)

    tensors = inputs(name, **SIZES, copied=copied, dtype=dtype)
    image, text = {0: "rows", 1: "tokens"}, {0: "rows", 1: "words"}
    shapes = [image, image] + [text if tensor.ndim == 3 else None for tensor in tensors[2:]]
    program = torch.onnx.export(
        Net().eval(),
        tensors,
        dynamo=True,
        opset_version=21,
        input_names=[f"input_{position}" for position in range(len(tensors))],
        dynamic_shapes=(tuple(shapes),),
        custom_translation_table=onnx_function.translation_table(),
        verbose=False,
    )
    return program.model_proto


@functools.cache
def exported(name, copied, dtype, form):
    model = onnx_ir.from_proto(bare(name, copied, dtype))
    onnx_function.attach(model)
    if form == "native":
        function = native_function.body(NODES[name], Shape(HEADS, 64, int(copied)))
        function.opset_imports.update(model.functions[function.identifier()].opset_imports)
        model.functions[function.identifier()] = function
    return onnx_ir.to_proto(model)


@functools.cache
def session(*model):
    return onnxruntime.InferenceSession(
        exported(*model).SerializeToString(), providers=["CPUExecutionProvider"]
    )


def run(model, tensors):
    names = [f"input_{position}" for position in range(len(tensors))]
    arrays = (tensor.numpy() for tensor in tensors)
    return np.concatenate(session(*model).run(None, dict(zip(names, arrays, strict=True))), axis=1)


@pytest.mark.parametrize("form", ["common", "native"])
@pytest.mark.parametrize("copied", [True, False])
@pytest.mark.parametrize("name", OPERATORS)
def test_the_exported_model_is_one_checked_node_with_a_body(name, copied, form):
    model = exported(name, copied, torch.float32, form)
    onnx.checker.check_model(model, full_check=True)
    (node,) = model.graph.node
    attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
    expected = {"heads": HEADS, "head_dim": 64, "copied": int(copied)}
    assert attributes == expected | PLUGIN
    assert {function.name for function in model.functions} == {NODES[name], "TRT_Attention"}


@pytest.mark.parametrize("name", OPERATORS)
def test_shapes_are_inferred_without_the_exporters_help(name):
    model = onnx.ModelProto()
    model.CopyFrom(exported(name, True, torch.float32, "common"))
    del model.graph.value_info[:]
    for output in model.graph.output:
        output.type.tensor_type.ClearField("shape")
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
    shapes = [
        [dim.dim_param or dim.dim_value for dim in output.type.tensor_type.shape.dim]
        for output in inferred.graph.output
    ]
    assert shapes == [["rows", count, 64 * HEADS] for count in ("tokens", "tokens", "words")[: len(shapes)]]


@pytest.mark.parametrize("form", ["common", "native"])
@pytest.mark.parametrize("name", OPERATORS)
@settings(deadline=None, max_examples=12)
@given(case=sizes)
def test_onnx_runtime_equals_the_reference(name, form, case):
    tensors = inputs(name, **case | {"heads": HEADS})
    found = run((name, case["copied"], torch.float32, form), tensors)
    np.testing.assert_allclose(found, truth(name, tensors), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("form", ["common", "native"])
@pytest.mark.parametrize("name", OPERATORS)
@settings(deadline=None, max_examples=12)
@given(case=sizes)
def test_in_half_precision_it_errs_no_more_than_twice_eager_torch(name, form, case):
    tensors = inputs(name, **case | {"heads": HEADS}, dtype=torch.float16)
    found = run((name, case["copied"], torch.float16, form), tensors)
    expected = truth(name, tensors)
    assert found.dtype == np.float16
    assert error(found, expected) <= allowed_error(name, tensors)


def test_a_model_holds_one_flavour():
    model = onnx_ir.from_proto(bare("joint_attention_dual", True, torch.float32))
    (node,) = model.graph
    attributes = [*node.attributes.values(), onnx_ir.AttrInt64("copied", 0)]
    model.graph.append(onnx_ir.Node("dit4sr", node.op_type, node.inputs, attributes, num_outputs=2))
    with pytest.raises(ValueError, match="one model has one flavour and one head count"):
        onnx_function.attach(model)


def test_a_model_without_attention_stays_as_it_was():
    graph = onnx_ir.Graph([], [], nodes=[], opset_imports={"": 21})
    model = onnx_ir.Model(graph, ir_version=10)
    onnx_function.attach(model)
    assert not model.functions
    assert model.opset_imports == {"": 21}
