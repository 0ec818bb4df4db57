"""The VAE in fewer bytes: equal in real numbers, and in halves as near as any graph has to be."""

from __future__ import annotations

from collections import Counter

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from dit4sr.export.architectures.autoencoder_kl.components import checkpoint_vae
from dit4sr.export.engines.plans.convolutions import fold_upsampling, sum_in_half, transposed_kernel
from dit4sr.export.tiny import CHECKPOINT
from dit4sr.export.verify import torch_runner
from dit4sr.export.weights.checkpoint import open_checkpoint
from dit4sr.runtime.bundles.built_in import tiny_bundle

RNG = np.random.default_rng(11)
FOLDER = tiny_bundle() / "onnx"


@pytest.mark.parametrize("size", [(1, 1), (1, 4), (5, 3)])
def test_the_transposed_convolution_is_the_convolution_of_the_enlarged_picture(size):
    picture, kernel, bias = (
        torch.from_numpy(RNG.normal(size=s)) for s in [(2, 3, *size), (5, 3, 3, 3), (5,)]
    )
    enlarged = torch.nn.functional.interpolate(picture, scale_factor=2.0, mode="nearest")
    expected = torch.nn.functional.conv2d(enlarged, kernel, bias, padding=1)
    folded = torch.from_numpy(transposed_kernel(kernel.numpy()))
    found = torch.nn.functional.conv_transpose2d(picture, folded, bias, stride=2, padding=1)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-13)


def rewritten(name: str) -> tuple[onnx.ModelProto, int, int]:
    model = onnx.load(FOLDER / name, load_external_data=False)
    sums, folds = sum_in_half(model), fold_upsampling(model, FOLDER)
    onnx.load_external_data_for_model(model, str(FOLDER))
    onnx.checker.check_model(model, full_check=True)
    return model, sums, folds


def test_the_model_in_the_box_is_rewritten_throughout():
    model, sums, folds = rewritten("vae_decoder.onnx")
    operators = Counter(node.op_type for node in model.graph.node)
    assert (folds, operators["ConvTranspose"], operators["Resize"]) == (3, 3, 0)
    assert sums == operators["Add"] == 10
    encoder, sums, folds = rewritten("vae_encoder.onnx")
    assert folds == 0
    assert sums == Counter(node.op_type for node in encoder.graph.node)["Add"] > 0


def test_in_half_it_errs_at_most_twice_as_much_as_plain_half():
    """As any graph may. By the book, for ONNX Runtime leaves out roundings."""
    vae = checkpoint_vae(open_checkpoint(CHECKPOINT / "vae"), 8)
    [decoder] = [source for source in vae.components() if source.name == "vae_decoder"]
    feeds = {"latent": RNG.normal(size=(1, 16, 4, 5)).astype(np.float32)}
    truth, plain = (torch_runner(decoder, kind)(feeds)[0] for kind in (torch.float64, torch.float16))
    model, *_ = rewritten("vae_decoder.onnx")
    [found] = ReferenceEvaluator(model).run(None, feeds)
    errors = [np.abs(values - truth).mean() for values in (found, plain)]
    assert errors[0] < 2 * errors[1]
    assert errors[0] > 1e-5  # it was in half indeed


def test_the_step_keeps_its_residuals_in_fp32():
    model = onnx.load(FOLDER / "step.onnx", load_external_data=False)
    before = model.SerializeToString()
    assert (sum_in_half(model), fold_upsampling(model, FOLDER)) == (0, 0)
    assert model.SerializeToString() == before


def enlarging(*, scales=(1, 1, 2, 2), mode="nearest", rounding="floor", pads=(1, 1, 1, 1), read_twice=False):
    """An enlargement and a convolution, each of which could be another."""
    kernel = RNG.normal(size=(2, 3, 3, 3)).astype(np.float32)
    nodes = [
        helper.make_node(
            "Resize",
            ["x", "", "scales"],
            ["large"],
            mode=mode,
            nearest_mode=rounding,
            coordinate_transformation_mode="asymmetric",
        ),
        helper.make_node("Conv", ["large", "kernel"], ["y"], pads=pads),
    ]
    if read_twice:
        nodes.append(helper.make_node("Neg", ["large"], ["z"]))
    ends = ["y", "z"] if read_twice else ["y"]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 4, 5])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, "c", "h", "w"]) for name in ends],
        [
            numpy_helper.from_array(np.array(scales, np.float32), "scales"),
            numpy_helper.from_array(kernel, "kernel"),
        ],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)


@pytest.mark.parametrize(
    ("changed", "folds"),
    [
        ({}, 1),
        ({"scales": (1, 1, 2, 3)}, 0),
        ({"mode": "linear"}, 0),
        ({"rounding": "ceil"}, 0),
        ({"pads": (0, 0, 0, 0)}, 0),
        ({"read_twice": True}, 0),
    ],
)
def test_what_only_looks_like_it_is_left_alone(changed, folds, tmp_path):
    model = enlarging(**changed)
    x = RNG.normal(size=(1, 3, 4, 5)).astype(np.float32)
    before = onnxruntime.InferenceSession(model.SerializeToString()).run(["y"], {"x": x})[0]
    assert fold_upsampling(model, tmp_path) == folds
    after = onnxruntime.InferenceSession(model.SerializeToString()).run(["y"], {"x": x})[0]
    np.testing.assert_allclose(after, before, atol=1e-5)
