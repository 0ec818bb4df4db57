"""The graph that calibration is about: that of one step of the network."""

from __future__ import annotations

import onnx_ir as ir

from dit4sr.calibrate.graph.bundle_rewriting import load_graph
from dit4sr.calibrate.graph.matmuls import open_attentions
from dit4sr.export import architectures
from dit4sr.export.architectures.layer_names import LayerNames
from dit4sr.runtime.bundles.bundle import Bundle

STEP = "step"


def layer_names(bundle: Bundle) -> LayerNames:
    """What the layers of a bundle's step are called, by its network's architecture."""
    return architectures.of_bundle(bundle.manifest).layers


def load_step(bundle: Bundle, *, attention: bool = False) -> ir.Model:
    """Load a bundle's step; with ``attention`` the operands of its attentions can be quantised too."""
    model = load_graph(bundle, STEP)
    if attention:
        open_attentions(model)
    return model


def load_lighter_step(bundle: Bundle) -> dict[str, ir.Model]:
    """The graph that stands for the step where part of the network is not heard, by name; or none.

    Its layers are the step's, by the same names, and meet what the step's meet.
    """
    stated = bundle.manifest.lighter_step
    return {stated.component: load_graph(bundle, stated.component)} if stated else {}
