"""Rounding as ONNX Runtime rounds, with ml_dtypes and torch as witnesses."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import onnxruntime
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper

from dit4sr.calibrate.scales.formats import FORMATS, FP8, INT4, INT8, SMALLEST_SCALE

SCALES = [1.0, 0.037, 3.3e-4]


def through_onnxruntime(values: np.ndarray, format_, scale: float) -> np.ndarray:
    """Q and DQ as the runtime runs them: halves in, halves out."""
    kind = int(format_.dtype)
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "scale", "zero"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "scale", "zero"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "pair",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT16, [None])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT16, [None])],
        [
            helper.make_tensor("scale", TensorProto.FLOAT16, [], [scale]),
            helper.make_tensor("zero", kind, [], b"\0", raw=True),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.add_session_config_entry("session.disable_quant_qdq", "1")
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return session.run(None, {"x": values})[0]


def every_half() -> np.ndarray:
    halves = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
    return halves[np.isfinite(halves)]


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("format_", [FP8, INT8], ids=lambda format_: format_.name)
def test_every_half_is_rounded_as_onnx_runtime_rounds_it(format_, scale):
    scale = float(np.float16(scale))
    ours = format_.rounded(every_half(), scale).astype(np.float16)
    theirs = through_onnxruntime(every_half(), format_, scale)
    differ = ours != theirs
    # ONNX's whole numbers reach down to -128, symmetric ones to -127; nothing else may differ.
    allowed = np.zeros_like(differ) if format_ is FP8 else theirs < -127.4 * scale
    assert not (differ & ~allowed).any()
    assert (np.abs(ours[differ]) == np.float16(127 * scale)).all()


@pytest.mark.parametrize("scale", SCALES)
def test_e4m3_is_torchs_and_saturates(scale):
    values = every_half().astype(np.float32)
    clamped = (torch.from_numpy(values) / np.float32(scale)).clamp(-448, 448)
    theirs = clamped.to(torch.float8_e4m3fn).float().numpy() * np.float32(scale)
    assert np.array_equal(FP8.rounded(values, scale), theirs)
    assert FP8.rounded(np.float32([1e9, -1e9]), 1.0).tolist() == [448, -448]
    # Without a clamp, a cast makes something that is no number of what lies beyond.
    assert np.isnan(np.float32(1e9).astype(ml_dtypes.float8_e4m3fn).astype(np.float32))


@pytest.mark.parametrize("format_", FORMATS.values(), ids=lambda format_: format_.name)
def test_the_largest_number_is_the_largest_that_can_be_stored(format_):
    """A smaller one would be stored as the same, and waste reach in every scale."""
    limits = ml_dtypes.finfo if format_ is FP8 else ml_dtypes.iinfo
    assert format_.largest == float(limits(format_.storage).max)
    assert format_.rounded(np.float32(format_.largest), 1.0) == format_.largest


@given(st.floats(1e-12, 6e4), st.sampled_from(list(FORMATS.values())))
def test_a_scale_holds_its_reach_and_is_a_half(reach, format_):
    scale = format_.scale_for(reach)
    assert scale == np.float16(scale)
    assert scale * format_.largest >= reach
    # Rounding up costs no more than the last digit of a half.
    assert scale <= max(reach / format_.largest, SMALLEST_SCALE) * (1 + 2**-4)


def test_four_bits_are_whole_numbers_up_to_seven():
    assert INT4.rounded(np.float32([-9, -7, -0.4, 0.6, 3.5, 99]), 1.0).tolist() == [-7, -7, 0, 1, 4, 7]
