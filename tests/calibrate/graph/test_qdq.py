"""Q/DQ pairs: where they stand, what they compute, and that the runtime keeps them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx_ir as ir
import onnxruntime
import pytest
from support.quantised_system import MATMULS

from dit4sr.calibrate.config import Recipe
from dit4sr.calibrate.graph.bundle_rewriting import load_graph
from dit4sr.calibrate.graph.matmuls import find_matmuls
from dit4sr.calibrate.graph.qdq import insert_qdq, quantised_matmuls
from dit4sr.calibrate.graph.step_graph import STEP
from dit4sr.calibrate.scales.derivation import derive_qparams
from dit4sr.calibrate.scales.formats import FP8, INT8
from dit4sr.calibrate.search.trial_bundles import TrialBundles
from dit4sr.export.architectures.dit4sr.layers import LAYERS
from dit4sr.runtime.backends.onnxruntime.backend import OnnxRuntime

RECIPES = {
    "fp8": Recipe(FP8),
    "fp8 per output": Recipe(FP8, per_channel=True),
    "int8 smooth": Recipe(INT8, per_channel=True, smooth=True),
}


def qparams_of(bundle, statistics, recipe):
    model = load_graph(bundle, STEP)
    return derive_qparams(find_matmuls(model, LAYERS), statistics, recipe)


@pytest.fixture(params=RECIPES)
def recipe(request):
    return RECIPES[request.param]


def test_nothing_stands_between_the_pairs_and_their_matmuls(half_bundle, statistics, recipe):
    model = load_graph(half_bundle, STEP)
    qparams = qparams_of(half_bundle, statistics, recipe)
    insert_qdq(model, qparams, LAYERS)
    assert sorted(quantised_matmuls(model)) == sorted(f"network.{name}.weight" for name in MATMULS)
    for name in MATMULS:
        weight = model.graph.initializers[f"network.{name}.weight"]
        [use] = weight.uses()
        assert weight.dtype == recipe.format.dtype
        assert use.node.op_type == "DequantizeLinear"
        [matmul] = use.node.outputs[0].uses()
        assert matmul.node.op_type == "MatMul"
        pair = matmul.node.inputs[0].producer()
        quantise = pair.inputs[0].producer()
        assert [pair.op_type, quantise.op_type] == ["DequantizeLinear", "QuantizeLinear"]
        # One scale, of the type that the MatMul is in: no cast would be fused.
        assert pair.inputs[1] is quantise.inputs[1]
        assert pair.inputs[1].shape.rank() == 0
        assert pair.outputs[0].dtype == pair.inputs[1].dtype == matmul.node.inputs[1].dtype
    embedders = [model.graph.initializers[f"network.{name}.weight"] for name in ("patch", "output")]
    assert all(value.dtype.numpy() == np.float16 for value in embedders)


def test_the_graph_computes_what_the_parameters_say(half_bundle, statistics, recipe, tmp_path):
    """A MatMul in ONNX Runtime, and the same in NumPy with activation and weight rounded."""
    qparams = qparams_of(half_bundle, statistics, recipe)
    name, params = MATMULS[-1], qparams[MATMULS[-1]]
    model = load_graph(half_bundle, STEP)
    matmul = find_matmuls(model, LAYERS)[name]
    activation, weight = matmul.activations[0], matmul.weight.const_value.numpy().astype(np.float32)
    insert_qdq(model, {name: params}, LAYERS)
    model.graph.outputs.extend([activation, matmul.nodes[0].outputs[0]])
    x, answer = run_step(model, tmp_path / "step.onnx")[-2:]

    divisors = np.ones(len(weight), np.float32) if params.divisors is None else params.divisors
    rounded_x = params.format.rounded(x / divisors.astype(np.float16), params.activation_scale)
    rounded_w = params.format.rounded(weight * divisors[:, None], params.weight_scale)
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
    """Without its session option, E4M3 MatMuls fail to load and rounding may be optimised away."""
    trials = TrialBundles(half_bundle, qparams_of(half_bundle, statistics, recipe), tmp_path / "out")
    with trials.complete(frozenset()) as bundle:
        engine, optimised = opened(bundle)
        inputs = engine.session.get_inputs()
        assert {value.name for value in inputs} >= {"latent", "modulation"}
        chosen = engine.session.get_session_options()
        assert chosen.get_session_config_entry("session.disable_quant_qdq") == "1"
    kinds = [node.op_type for node in optimised.graph.all_nodes()]
    read = {
        matmul.activation_names[0] for matmul in find_matmuls(load_graph(half_bundle, STEP), LAYERS).values()
    }
    assert kinds.count("QuantizeLinear") == len(read)
    assert kinds.count("DequantizeLinear") >= len(read)


def test_a_frugal_runtime_keeps_the_weights_in_their_bits(half_bundle, statistics, recipe, tmp_path, opened):
    trials = TrialBundles(half_bundle, qparams_of(half_bundle, statistics, recipe), tmp_path / "out")
    weights = [matmul.weights for matmul in find_matmuls(load_graph(half_bundle, STEP), LAYERS).values()]
    with trials.complete(frozenset()) as bundle:
        graphs = [opened(bundle, frugal=frugal)[1] for frugal in (False, True)]
    values = [graph.graph.initializers.values() for graph in graphs]
    lavish, frugal = (sum(v.const_value.size for v in each if v.dtype.itemsize == 1) for each in values)
    assert frugal >= sum(weights) > 100 * lavish


def test_products_that_are_kept_are_left_alone(half_bundle, statistics, tmp_path):
    trials = TrialBundles(half_bundle, qparams_of(half_bundle, statistics, RECIPES["fp8"]), tmp_path / "out")
    with trials.complete({MATMULS[1], MATMULS[2]}) as bundle:
        written = quantised_matmuls(load_graph(bundle, STEP))
        assert len(written) == len(MATMULS) - 2
        bundle.verify()
        assert bundle.card.precision == "fp8"
    assert not list(tmp_path.iterdir())
