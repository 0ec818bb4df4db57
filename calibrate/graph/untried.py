"""Graphs in eight bits before anything was observed: to be compiled and looked at, not to restore photos."""

from __future__ import annotations

from pathlib import Path

import onnx_ir as ir

from dit4sr.calibrate.graph.bundle_rewriting import GraphChange, rewrite_bundle
from dit4sr.calibrate.graph.matmuls import find_matmuls
from dit4sr.calibrate.graph.qdq import insert_qdq
from dit4sr.calibrate.graph.step_graph import STEP, layer_names, load_lighter_step, load_step
from dit4sr.calibrate.graph.weights_only import store_weights
from dit4sr.calibrate.scales.formats import Format
from dit4sr.calibrate.scales.stand_in import stand_in_qparams
from dit4sr.export.architectures.layer_names import LayerNames
from dit4sr.runtime.bundles.bundle import Bundle
from dit4sr.runtime.errors import BadInputError


def quantise_untried(model: ir.Model, layers: LayerNames, format_: Format) -> None:
    """Put every MatMul of a graph that may be quantised between Q/DQ pairs, with scales that stand in."""
    insert_qdq(model, stand_in_qparams(find_matmuls(model, layers), format_), layers)


def untried_bundle(bundle: Bundle, folder: Path, format_: Format, *, share: bool = True) -> Bundle:
    """Fill an empty folder with a bundle's steps in eight bits; with ``share`` the rest stays where it is."""
    if bundle.card.precision != "fp16":
        raise BadInputError(
            f"{bundle.path} is {bundle.card.precision}",
            expected="fp16, of which eight bits are made",
            fix="export with --precision fp16",
        )
    changes = {}
    for name, model in {STEP: load_step(bundle), **load_lighter_step(bundle)}.items():
        quantise_untried(model, layer_names(bundle), format_)
        # As a calibration stores what it leaves in half precision.
        store_weights(model)
        changes[name] = GraphChange(model, format_.name)
    return rewrite_bundle(bundle, folder, changes, precision=format_.name, share=share)
