"""The body by which TensorRT computes DepthwiseInject without our kernel: in ONNX Runtime, and compiled."""

import functools
from pathlib import Path

import numpy as np
import onnx_ir
import onnxruntime
import pytest
import torch
from support.injection import allowed_error, error, inputs, truth

from dit4sr.export.engines.plans.graph import PreparedGraph
from dit4sr.kernels.depthwise_inject import native_function

CHANNELS = 24
NAMES = ("noise", "lr", "weight", "bias")
KINDS = {torch.float32: onnx_ir.DataType.FLOAT, torch.float16: onnx_ir.DataType.FLOAT16}


def model(dtype, rows="rows", height="grid_h", width="grid_w", channels=CHANNELS):
    """One node, and the body in place of its own."""
    function = native_function.body()
    function.opset_imports[""] = 21
    stream = (rows, height, width, channels)
    kind = onnx_ir.TensorType(KINDS[dtype])
    given = [
        onnx_ir.Value(name=name, shape=onnx_ir.Shape(shape), type=kind)
        for name, shape in zip(NAMES, (stream, stream, (3, 3, channels), (channels,)), strict=True)
    ]
    injected = onnx_ir.Value(name="injected", shape=onnx_ir.Shape(stream), type=kind)
    node = onnx_ir.node(
        function.name, given, {"channels": channels}, domain=function.domain, outputs=[injected]
    )
    graph = onnx_ir.Graph(given, [injected], nodes=[node], opset_imports={"": 21, function.domain: 2})
    return onnx_ir.to_proto(onnx_ir.Model(graph, ir_version=10, functions=[function])).SerializeToString()


@functools.cache
def session(dtype):
    return onnxruntime.InferenceSession(model(dtype), providers=["CPUExecutionProvider"])


@pytest.mark.parametrize("dtype", KINDS, ids=str)
@pytest.mark.parametrize("grid", [(4, 4), (3, 7), (6, 1), (1, 5), (1, 1)], ids=str)
def test_it_errs_no_more_than_twice_eager_torch(grid, dtype):
    tensors = inputs(2, *grid, CHANNELS, dtype=dtype)
    feeds = {name: tensor.numpy() for name, tensor in zip(NAMES, tensors, strict=True)}
    (found,) = session(dtype).run(None, feeds)
    assert found.dtype == tensors[0].numpy().dtype
    assert error(found, truth(*tensors)) <= allowed_error(tensors)


def test_the_sum_is_rounded_once():
    noise, lr, weight, bias = (
        np.ones_like(tensor) for tensor in inputs(1, 3, 3, CHANNELS, dtype=torch.float16)
    )
    feeds = dict(zip(NAMES, (2048 * noise, lr, weight, 0 * bias), strict=True))
    (found,) = session(torch.float16).run(None, feeds)
    assert (found[0, 1, 1] == 2056).all()  # halves have no 2049: step by step nothing would be added


@pytest.mark.parametrize("shape", [(2, 32, 32, 6144), (2, 3, 7, 24), (1, 5, 1, 24)], ids=str)
def test_nvidias_compiler_makes_one_kernel_of_it(shape):
    """It reads both streams and writes one: nothing of the padding or the nine shifts reaches memory."""
    pytest.importorskip("tensorrt_rtx", reason="not run: TensorRT for RTX is for Linux and Windows on x86-64")
    from dit4sr.export.engines.tensorrt_rtx.library import compile_graph  # noqa: PLC0415 - loads it

    graph = PreparedGraph(content=model(torch.float16, *shape), path=Path(), attentions=0, plugins=())
    layers = compile_graph(graph, (80, 86, 89, 120), lambda _: None).layers
    streams = [
        [tensor for tensor in layer[key] if tuple(tensor["Dimensions"]) == shape]
        for layer in layers
        for key in ("Inputs", "Outputs")
    ]
    assert [len(tensors) for tensors in streams] == [2, 1]
    assert all(tensor["Datatype"] == "Half" for tensors in streams for tensor in tensors)
