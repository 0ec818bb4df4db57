"""The toy bundle with plans from the fake builder."""

from __future__ import annotations

from pathlib import Path

from support.fake_tensorrt import FakeCompiler, FakeGpu, tools
from support.runtime_system import FACTOR, TILE, write_toy_bundle

from dit4sr.export.engines.plans.spans import Span
from dit4sr.export.engines.tensorrt.builder import add_to
from dit4sr.export.engines.tensorrt.config import TensorRtConfig
from dit4sr.runtime.bundles.bundle import Bundle

SIDE = TILE * FACTOR
FIXED = {"h": Span.at(TILE), "w": Span.at(TILE), "H": Span.at(SIDE), "W": Span.at(SIDE), "steps": Span.at(4)}
FREE = {"h": Span(4, TILE, 32), "w": Span(4, TILE, 32), "H": Span(16, SIDE, 128), "W": Span(16, SIDE, 128)}


def plan_bundle(folder: Path, gpu: FakeGpu, compiler: FakeCompiler | None = None, **options) -> Bundle:
    """The network for one tile, the VAE for any size."""
    path = write_toy_bundle(folder)
    parts = (("vae_encoder", "vae_decoder"), FREE), (("prepare", "step"), FIXED)
    for components, sizes in parts:
        config = TensorRtConfig(
            components=components, sizes=sizes, timing_cache=folder.parent / "timing", **options
        )
        add_to(Bundle.open(path), config, tools=tools(gpu, compiler))
    return Bundle.open(path)
