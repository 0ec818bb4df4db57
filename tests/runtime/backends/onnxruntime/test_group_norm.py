"""Group normalisation in a form of ours: the same numbers, and only where they are meant."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from dit4sr.runtime.backends.onnxruntime.backend import session_options
from dit4sr.runtime.backends.onnxruntime.group_norm import DOMAIN, with_fewer_passes

CHANNELS, GROUPS = 12, 4
RNG = np.random.default_rng(3)


def model(shape, opset=21, **attributes) -> bytes:
    size = CHANNELS if opset >= 21 else GROUPS
    graph = helper.make_graph(
        [helper.make_node("GroupNormalization", ["x", "s", "b"], ["y"], **attributes)],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)],
        [numpy_helper.from_array(RNG.normal(size=size).astype(np.float32), name) for name in ("s", "b")],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)
    return made.SerializeToString()


def answer(content: bytes, x) -> np.ndarray:
    session = onnxruntime.InferenceSession(content, session_options(1), providers=["CPUExecutionProvider"])
    return session.run(None, {"x": x})[0]


def truth(content: bytes, x, epsilon: float) -> np.ndarray:
    scale, bias = (
        torch.from_numpy(numpy_helper.to_array(each).copy()).double()
        for each in onnx.load_from_string(content).graph.initializer
    )
    return torch.nn.functional.group_norm(torch.from_numpy(x).double(), GROUPS, scale, bias, epsilon).numpy()


@pytest.mark.parametrize("shape", [(2, CHANNELS, 6, 5), (1, CHANNELS, 7), (3, CHANNELS, 2, 3, 4)])
def test_it_is_torchs(shape):
    content = model(["n", CHANNELS, *"abc"[: len(shape) - 2]], num_groups=GROUPS, epsilon=1e-6)
    changed = with_fewer_passes(content)
    onnx.checker.check_model(onnx.load_from_string(changed), full_check=True)
    assert [node.domain for node in onnx.load_from_string(changed).graph.node] == [DOMAIN.decode()]
    x = (3 * RNG.normal(size=shape) + 1).astype(np.float32)
    expected = truth(content, x, 1e-6)
    ours, theirs = (np.abs(answer(each, x) - expected).max() for each in (changed, content))
    assert ours < 3e-6
    assert ours <= 2 * theirs


def test_numbers_that_are_all_alike_are_no_trouble():
    """Their variance is rounding alone, and may come out below nothing."""
    content = with_fewer_passes(model([1, CHANNELS, 8, 8], num_groups=GROUPS, epsilon=1e-12))
    for value in (0.1, 77.7, 1234.5):
        assert np.isfinite(answer(content, np.full((1, CHANNELS, 8, 8), value, np.float32))).all()


@pytest.mark.parametrize(
    "content",
    [
        model([1, CHANNELS, 4], opset=20, num_groups=GROUPS, epsilon=1e-6),
        model([1, CHANNELS, 4], num_groups=GROUPS),
        b"no graph at all",
    ],
    ids=["of groups", "with an epsilon that goes without saying", "no graph"],
)
def test_others_are_left_as_they_are(content):
    assert with_fewer_passes(content) == content
