"""DepthwiseInject through torch's exporter, onnx's checker and ONNX Runtime."""

import functools

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support.injection import allowed_error, error, inputs, truth

from dit4sr.kernels.depthwise_inject import onnx_function
from dit4sr.kernels.depthwise_inject import torch_op as operator

CHANNELS = 24
NAMES = ("noise", "lr", "weight", "bias")


class Net(torch.nn.Module):
    def forward(self, noise, lr, weight, bias):
        return operator.depthwise_inject(noise, lr, weight, bias)


@functools.cache
def exported(dtype):
    arguments = inputs(3, 4, 5, CHANNELS, dtype=dtype)
    axes = {0: "rows", 1: "grid_h", 2: "grid_w"}
    program = torch.onnx.export(
        Net().eval(),
        arguments,
        dynamo=True,
        opset_version=21,
        input_names=NAMES,
        output_names=["injected"],
        dynamic_shapes=(axes, axes, None, None),
        custom_translation_table=onnx_function.translation_table(),
        verbose=False,
    )
    onnx_function.attach(program.model)
    return program.model_proto


@functools.cache
def session(dtype):
    return onnxruntime.InferenceSession(
        exported(dtype).SerializeToString(), providers=["CPUExecutionProvider"]
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16], ids=str)
def test_the_exported_model_is_one_checked_node_with_a_body(dtype):
    model = exported(dtype)
    onnx.checker.check_model(model, full_check=True)
    (node,) = (node for node in model.graph.node if node.domain == "dit4sr")
    attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
    assert attributes == {
        "channels": CHANNELS,
        "plugin_namespace": b"dit4sr",
        "plugin_version": b"1",
        "aot": 1,
    }
    assert [function.name for function in model.functions] == ["DepthwiseInject"]


def test_shapes_are_inferred_without_the_exporters_help():
    model = onnx.ModelProto()
    model.CopyFrom(exported(torch.float32))
    del model.graph.value_info[:]
    model.graph.output[0].type.tensor_type.ClearField("shape")
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
    dims = inferred.graph.output[0].type.tensor_type.shape.dim
    assert [dim.dim_param or dim.dim_value for dim in dims] == ["rows", "grid_h", "grid_w", CHANNELS]


@settings(deadline=None, max_examples=30)
@given(
    grid=st.tuples(st.integers(1, 3), st.integers(1, 9), st.integers(1, 9)),
    dtype=st.sampled_from([torch.float32, torch.float16]),
    seed=st.integers(0, 99),
)
def test_onnx_runtime_equals_the_reference(grid, dtype, seed):
    tensors = inputs(*grid, CHANNELS, dtype=dtype, seed=seed)
    feeds = {name: tensor.numpy() for name, tensor in zip(NAMES, tensors, strict=True)}
    (found,) = session(dtype).run(None, feeds)
    expected = truth(*tensors)
    if dtype == torch.float32:
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
    else:
        assert error(found, expected) <= allowed_error(tensors)
