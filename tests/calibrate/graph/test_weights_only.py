"""Weights in fewer bits: near the originals, where operators can take them, and nothing else touched."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from dit4sr.calibrate.graph.bundle_rewriting import load_graph, rewrite_bundle
from dit4sr.calibrate.graph.step_graph import STEP
from dit4sr.calibrate.graph.weights_only import BLOCK, FEWEST, store_weights, weights_only_changes
from dit4sr.calibrate.scales.formats import FP8, INT4, INT8
from dit4sr.runtime.backends.onnxruntime.backend import OnnxRuntime, host_array
from dit4sr.runtime.errors import IntegrityError


def stored_weights(model):
    """Dequantised values by the name of the weight, as `DequantizeLinear` defines them."""
    for node in model.graph:
        if node.op_type == "DequantizeLinear":
            weight, scale = (value.const_value.numpy().astype(np.float32) for value in node.inputs)
            axis, block = node.attributes["axis"].as_int(), node.attributes.get("block_size")
            if block is not None:
                scale = np.repeat(scale, block.as_int(), axis)
            else:
                scale = np.expand_dims(scale, [place for place in range(weight.ndim) if place != axis])
            yield node.inputs[0].name, weight * scale


@pytest.mark.parametrize(("format_", "grid"), [(INT8, 127), (INT4, 7)], ids=["int8", "int4"])
@pytest.mark.parametrize("component", [STEP, "vae_decoder", "prepare"])
def test_every_large_weight_is_within_half_a_step_of_what_it_was(half_bundle, component, format_, grid):
    before, after = load_graph(half_bundle, component), load_graph(half_bundle, component)
    stored = store_weights(after, format_)
    originals = {name: value.const_value.numpy() for name, value in before.graph.initializers.items()}
    large = {name for name, values in originals.items() if values.ndim > 1 and values.size >= FEWEST}
    assert set(stored) == large
    for name, values in stored_weights(after):
        original = originals[name].astype(np.float32)
        is_blocked = format_ is INT4 and original.ndim == 2
        allowed = np.abs(original).max() / (grid if is_blocked else 127) * 0.501
        assert 0 < np.abs(values - original).max() <= allowed


def test_blocks_serve_their_own_numbers(half_bundle):
    """A block's scale follows the block: columns of small numbers keep their digits."""
    model = load_graph(half_bundle, STEP)
    weight = model.graph.initializers["network.blocks.0.contract.weight"]
    values = weight.const_value.numpy().copy()
    values[BLOCK:] /= 100
    weight.const_value = ir.Tensor(values, name=weight.name)
    store_weights(model, INT4)
    found = dict(stored_weights(model))[weight.name]
    small = slice(BLOCK, None)
    error = np.linalg.norm(found[small] - values[small]) / np.linalg.norm(values[small].astype(np.float32))
    assert error < 0.12


@pytest.mark.parametrize(
    ("format_", "coarsest"), [(INT8, 2**-5), (FP8, 2**-4), (INT4, 2**-5)], ids=["int8", "fp8", "int4"]
)
def test_the_runtime_reads_them(half_bundle, format_, coarsest, tmp_path):
    """E4M3 is off by a sixteenth at most; convolutions keep eight bits even where four are asked for."""
    changed = rewrite_bundle(half_bundle, tmp_path, weights_only_changes(half_bundle, format_))
    changed.verify()
    latent = np.random.default_rng(0).normal(size=(1, 4, 8, 8)).astype(np.float32)
    images = []
    for bundle in (half_bundle, changed):
        engine = OnnxRuntime(threads=1).open(bundle, "vae_decoder")
        images.append(engine.context().run({"latent": host_array(latent)})["image"].owner.numpy())
    error = np.linalg.norm(images[1] - images[0]) / np.linalg.norm(images[0])
    assert 0 < error < coarsest
    assert changed.components["vae_decoder"].precision == f"{format_.name} weights"
    sizes = [sum(r.bytes for r in b.components["vae_decoder"].files[1:]) for b in (half_bundle, changed)]
    assert sizes[1] < 0.65 * sizes[0]


def test_a_scratch_copy_holds_what_changed_and_finds_the_rest(half_bundle, tmp_path):
    """Whole copies would be gigabytes of encoders; links make their weights unreadable to onnx_ir."""
    changed = rewrite_bundle(half_bundle, tmp_path, weights_only_changes(half_bundle, INT8))
    assert changed.component_file("vae_encoder") == half_bundle.component_file("vae_encoder")
    assert changed.component_file("vae_decoder").is_relative_to(tmp_path)
    assert not any(path.name.startswith("vae_encoder") for path in tmp_path.rglob("*"))
    changed.verify()
    assert {path.stat().st_nlink for path in half_bundle.path.rglob("*") if path.is_file()} == {1}
    damaged = changed.component_file("vae_decoder")
    damaged.write_bytes(damaged.read_bytes()[:-1])
    with pytest.raises(IntegrityError, match="bytes"):
        changed.component_file("vae_decoder")
