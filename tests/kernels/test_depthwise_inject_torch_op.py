"""DepthwiseInject as a torch operator, against the reference and against torch's own checks."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support.injection import error, inputs, truth, usual_error
from torch.utils.flop_counter import FlopCounterMode

from dit4sr.kernels.depthwise_inject import torch_op as operator


def by_hand(noise, lr, weight, bias):
    """The definition, one output at a time."""
    rows, height, width, channels = noise.shape
    out = noise.copy()
    for r, y, x, c in np.ndindex(rows, height, width, channels):
        out[r, y, x, c] += bias[c]
        for dy, dx in np.ndindex(3, 3):
            if 0 <= y + dy - 1 < height and 0 <= x + dx - 1 < width:
                out[r, y, x, c] += weight[dy, dx, c] * lr[r, y + dy - 1, x + dx - 1, c]
    return out


shapes = st.tuples(st.integers(1, 3), st.integers(1, 5), st.integers(1, 5), st.sampled_from([1, 8, 24]))


@settings(deadline=None, max_examples=20)
@given(shape=shapes, seed=st.integers(0, 99))
def test_the_reference_is_the_definition(shape, seed):
    tensors = inputs(*shape, seed=seed)
    expected = by_hand(*(tensor.double().numpy() for tensor in tensors))
    np.testing.assert_allclose(truth(*tensors), expected, rtol=1e-12, atol=1e-12)


@settings(deadline=None, max_examples=20)
@given(shape=shapes, strided=st.booleans(), seed=st.integers(0, 99))
def test_the_operator_equals_the_reference(shape, strided, seed):
    tensors = inputs(*shape, strided=strided, seed=seed)
    found = torch.ops.dit4sr.depthwise_inject(*tensors)
    assert found.is_contiguous()
    assert error(found, truth(*tensors)) <= 2 * usual_error(torch.float32)


def test_torch_finds_nothing_wrong_with_it():
    torch.library.opcheck(torch.ops.dit4sr.depthwise_inject.default, inputs(2, 3, 4, 8))


def test_it_stays_one_node_through_export_and_compile():
    class Net(torch.nn.Module):
        def forward(self, noise, lr, weight, bias):
            return operator.depthwise_inject(noise, lr, weight, bias) * 2

    tensors = inputs(2, 3, 4, 8)
    rows, height, width = (torch.export.Dim(name) for name in ("rows", "height", "width"))
    axes = {0: rows, 1: height, 2: width}
    program = torch.export.export(Net(), tensors, dynamic_shapes=(axes, axes, None, None))
    calls = [node.target for node in program.graph.nodes if node.op == "call_function"]
    assert calls == [torch.ops.dit4sr.depthwise_inject.default, torch.ops.aten.mul.Tensor]

    graphs = []

    def backend(graph, _examples):
        graphs.append(graph)
        return graph.forward

    compiled = torch.compile(Net(), backend=backend, fullgraph=True)
    torch.testing.assert_close(compiled(*tensors), Net()(*tensors))
    assert len(graphs) == 1


def test_wrong_shapes_are_named():
    noise, lr, weight, bias = (tensor.to("meta") for tensor in inputs(2, 3, 4, 8))
    found = r"found \(2, 3, 4, 8\) and \(2, 2, 4, 8\)"
    with pytest.raises(RuntimeError, match=rf"both streams must be \[R, h, w, C\], {found}"):
        operator.depthwise_inject(noise, lr[:, :2], weight, bias)
    with pytest.raises(RuntimeError, match=r"expected weight \[3, 3, 8\] and bias \[8\]"):
        operator.depthwise_inject(noise, lr, weight, bias[:4])


def test_the_flop_counter_knows_its_price():
    tensors = [tensor.to("meta") for tensor in inputs(2, 3, 4, 8)]
    with FlopCounterMode(display=False) as counter:
        operator.depthwise_inject(*tensors)
    assert counter.get_total_flops() == 2 * 9 * 2 * 3 * 4 * 8
