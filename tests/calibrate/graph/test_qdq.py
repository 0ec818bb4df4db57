"""Q/DQ pairs: where they stand, what they compute, and that the runtime keeps them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx_ir as ir
import onnxruntime
import pytest
from support.quantised_system import PRODUCTS

from dit4sr.calibrate.config import Recipe
from dit4sr.calibrate.graph.bundle_rewriting import load_graph
from dit4sr.calibrate.graph.matmuls import find_products
from dit4sr.calibrate.graph.qdq import quantise_products, quantised_products
from dit4sr.calibrate.observe.tap import STEP
from dit4sr.calibrate.scales.formats import FP8, INT8
from dit4sr.calibrate.scales.qparams import derive_treatments
from dit4sr.calibrate.scales.smoothing import smoothing
from dit4sr.calibrate.search.trial_bundles import Candidates
from dit4sr.runtime.backends.onnxruntime.backend import OnnxRuntime

RECIPES = {
    "fp8": Recipe(FP8),
    "fp8 per output": Recipe(FP8, per_channel=True),
    "int8 smooth": Recipe(INT8, per_channel=True, smooth=True),
}


def treated(bundle, statistics, recipe):
    model = load_graph(bundle, STEP)
    return derive_treatments(find_products(model), statistics, recipe)


@pytest.fixture(params=RECIPES)
def recipe(request):
    return RECIPES[request.param]


def test_nothing_stands_between_the_pairs_and_their_products(half_bundle, statistics, recipe):
    model = load_graph(half_bundle, STEP)
    treatments = treated(half_bundle, statistics, recipe)
    quantise_products(model, treatments)
    assert sorted(quantised_products(model)) == sorted(f"network.{name}.weight" for name in PRODUCTS)
    for name in PRODUCTS:
        weight = model.graph.initializers[f"network.{name}.weight"]
        [use] = weight.uses()
        assert weight.dtype == recipe.format.dtype
        assert use.node.op_type == "DequantizeLinear"
        [product] = use.node.outputs[0].uses()
        assert product.node.op_type == "MatMul"
        pair = product.node.inputs[0].producer()
        quantise = pair.inputs[0].producer()
        assert [pair.op_type, quantise.op_type] == ["DequantizeLinear", "QuantizeLinear"]
        # One scale, of the type that the product is in: no cast would be fused.
        assert pair.inputs[1] is quantise.inputs[1]
        assert pair.inputs[1].shape.rank() == 0
        assert pair.outputs[0].dtype == pair.inputs[1].dtype == product.node.inputs[1].dtype
    embedders = [model.graph.initializers[f"network.{name}.weight"] for name in ("patch", "output")]
    assert all(value.dtype.numpy() == np.float16 for value in embedders)


def test_the_graph_computes_what_the_treatment_says(half_bundle, statistics, recipe, tmp_path):
    """A product in ONNX Runtime, and the same in NumPy with activation and weight rounded."""
    treatments = treated(half_bundle, statistics, recipe)
    name, treatment = PRODUCTS[-1], treatments[PRODUCTS[-1]]
    model = load_graph(half_bundle, STEP)
    product = find_products(model)[name]
    activation, weight = product.activation, product.weight.const_value.numpy().astype(np.float32)
    quantise_products(model, {name: treatment})
    model.graph.outputs.extend([activation, product.node.outputs[0]])
    x, answer = run_step(model, tmp_path / "step.onnx")[-2:]

    divisors = np.ones(len(weight), np.float32) if treatment.divisors is None else treatment.divisors
    rounded_x = treatment.format.rounded(x / divisors.astype(np.float16), treatment.activation_scale)
    rounded_w = treatment.format.rounded(weight * divisors[:, None], treatment.weight_scale)
    wanted = as_halves(rounded_x) @ as_halves(rounded_w)
    exact = x.astype(np.float32) @ weight
    assert relative(answer, wanted) < 2**-11, "as near as halves are"
    # Two factors of 2^-4 relative grids (E4M3) or 2^-8 of the range (whole numbers), not more.
    assert 2**-11 < relative(answer, exact) < 0.06


def run_step(model: ir.Model, file: Path) -> list[np.ndarray]:
    """One step on noise."""
    sizes = {"images": 1, "branches": 2, "rows": 2, "height": 8, "width": 8, "tokens": 16, "text": 5}
    ir.save(model, file, external_data=f"{file.name}.data")
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry("session.disable_quant_qdq", "1")
    session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    noise = np.random.default_rng(3)
    shapes = {value.name: [sizes.get(axis, axis) for axis in value.shape] for value in session.get_inputs()}
    return session.run(
        None, {name: noise.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    )


def as_halves(values: np.ndarray) -> np.ndarray:
    return values.astype(np.float16).astype(np.float32)


def relative(found: np.ndarray, wanted: np.ndarray) -> float:
    return float(np.linalg.norm(found.astype(np.float32) - wanted) / np.linalg.norm(wanted))


def test_smoothing_alone_changes_nothing(half_bundle, statistics):
    """Powers of two pass through halves unharmed: x W = (x / s)(s W), bit for bit."""
    product = find_products(load_graph(half_bundle, STEP))[PRODUCTS[0]]
    weight = product.weight.const_value.numpy()
    channels = statistics.tensors[product.activation.name].channels
    divisors = smoothing(channels, [weight])
    assert set(np.log2(divisors) % 1) == {0.0}
    assert divisors.max() > divisors.min()
    x = np.random.default_rng(0).normal(size=(50, len(weight))).astype(np.float16)
    smooth = (x / divisors.astype(np.float16)).astype(np.float64) @ (
        (weight * divisors[:, None]).astype(np.float64)
    )
    assert np.array_equal(smooth, x.astype(np.float64) @ weight.astype(np.float64))


def test_smoothing_brings_channels_together():
    noise = np.random.default_rng(0)
    activation = np.exp2(noise.uniform(-6, 6, 64)).astype(np.float32)
    weight = noise.normal(size=(64, 32)).astype(np.float16)
    divisors = smoothing(activation, [weight])
    spread = [np.ptp(np.log2(values)) for values in (activation, activation / divisors)]
    assert spread[1] < 0.7 * spread[0]
    assert np.isfinite(smoothing(np.zeros(64, np.float32), [weight])).all()


@pytest.fixture
def opened(tmp_path, monkeypatch):
    """What the runtime makes of a bundle's `step`, and the graph that ONNX Runtime is left with."""
    file, plain = tmp_path / "optimised.onnx", onnxruntime.SessionOptions

    def telling():
        options = plain()
        options.optimized_model_filepath = str(file)
        return options

    def open_step(bundle, **options):
        monkeypatch.setattr(onnxruntime, "SessionOptions", telling)
        return OnnxRuntime(threads=1, **options).open(bundle, STEP), ir.load(file)

    return open_step


def test_the_runtime_keeps_the_pairs(half_bundle, statistics, recipe, tmp_path, opened):
    """Without its session option, E4M3 products fail to load and rounding may be optimised away."""
    candidates = Candidates(half_bundle, treated(half_bundle, statistics, recipe), tmp_path / "out")
    with candidates.complete(frozenset()) as bundle:
        engine, optimised = opened(bundle)
        inputs = engine.session.get_inputs()
        assert {value.name for value in inputs} >= {"latent", "modulation"}
        chosen = engine.session.get_session_options()
        assert chosen.get_session_config_entry("session.disable_quant_qdq") == "1"
    kinds = [node.op_type for node in optimised.graph.all_nodes()]
    read = {str(product.activation.name) for product in find_products(load_graph(half_bundle, STEP)).values()}
    assert kinds.count("QuantizeLinear") == len(read)
    assert kinds.count("DequantizeLinear") >= len(read)


def test_a_frugal_runtime_keeps_the_weights_in_their_bits(half_bundle, statistics, recipe, tmp_path, opened):
    candidates = Candidates(half_bundle, treated(half_bundle, statistics, recipe), tmp_path / "out")
    weights = [product.weights for product in find_products(load_graph(half_bundle, STEP)).values()]
    with candidates.complete(frozenset()) as bundle:
        graphs = [opened(bundle, frugal=frugal)[1] for frugal in (False, True)]
    values = [graph.graph.initializers.values() for graph in graphs]
    lavish, frugal = (sum(v.const_value.size for v in each if v.dtype.itemsize == 1) for each in values)
    assert frugal >= sum(weights) > 100 * lavish


def test_products_that_are_kept_are_left_alone(half_bundle, statistics, tmp_path):
    candidates = Candidates(half_bundle, treated(half_bundle, statistics, RECIPES["fp8"]), tmp_path / "out")
    with candidates.complete({PRODUCTS[1], PRODUCTS[2]}) as bundle:
        written = quantised_products(load_graph(bundle, STEP))
        assert len(written) == len(PRODUCTS) - 2
        bundle.verify()
        assert bundle.card.precision == "fp8"
    assert not list(tmp_path.iterdir())
