"""A bundle's graphs as parts of a larger one: of standard operators alone, with their weights."""

from __future__ import annotations

import onnx
from onnx.external_data_helper import load_external_data_for_model
from onnx.inliner import inline_local_functions

from dit4sr.runtime.backends.onnxruntime.backend import for_cpus
from dit4sr.runtime.bundles.bundle import Bundle
from dit4sr.runtime.plan import ENGINES


def components(bundle: Bundle, *, is_for_compilers: bool) -> dict[str, onnx.ModelProto]:
    """All that a picture passes through.

    For a compiler they stay in the bundle's arithmetic. Else they have that of ONNX Runtime's backend on a
    CPU, which computes in FP32 from weights in whatever bits.
    """
    return {name: _component(bundle, name, is_for_compilers=is_for_compilers) for name in ENGINES}


def _component(bundle: Bundle, name: str, *, is_for_compilers: bool) -> onnx.ModelProto:
    with bundle.opened_component(name) as files:
        content = files.graph.content()
        model = onnx.load_from_string(content if is_for_compilers else for_cpus(content))
        # Weights after it: together they may be more than one message holds.
        model = inline_local_functions(model)
        load_external_data_for_model(model, str(files.graph.path.parent))
    return model
