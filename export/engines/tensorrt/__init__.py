"""TensorRT plans: built from a bundle's graphs, on the machine that is to run them.

The graph says everything: precision, and which of our operators are kernels of ours. What is added here are
sizes, a search for kernels, and an account of what became of the graph.
"""

from __future__ import annotations

from functools import partial

from dit4sr.export.engines import Progress, add_engines
from dit4sr.export.engines.tensorrt.builder import Tools, build
from dit4sr.export.engines.tensorrt.config import Form, Forms, TensorRtConfig
from dit4sr.export.engines.tensorrt.preflight import check_machine
from dit4sr.export.engines.tensorrt.profiles import Span, picture_spans
from dit4sr.runtime.backends.tensorrt.machine import this_machine
from dit4sr.runtime.bundle import Bundle
from dit4sr.runtime.manifest import Manifest

__all__ = ["Form", "Forms", "Span", "TensorRtConfig", "Tools", "add_to", "build", "check", "picture_spans"]


def check(precision: str, config: TensorRtConfig) -> None:
    """Refuse what could not be built here, before there is a bundle to build it from."""
    check_machine(precision, config, this_machine())


def add_to(
    bundle: Bundle,
    config: TensorRtConfig,
    *,
    progress: Progress = lambda _: None,
    tools: Tools | None = None,
) -> Manifest:
    """Add plans to a bundle, whole or not at all. The checkpoint is not needed."""
    return add_engines(bundle, partial(build, config=config, tools=tools), progress=progress)
