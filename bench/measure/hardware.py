"""The environment block of a record: the machine and its software."""

from __future__ import annotations

import os
import platform

from dit4sr.bench.measure.limits import Limits
from dit4sr.bench.record import Environment
from dit4sr.bench.references import peak_of
from dit4sr.runtime.machine.host import processor_name, total_memory
from dit4sr.runtime.machine.libraries import installed_versions

BUSY = 0.1
"""Share of all cores that other work may use before timings are no record."""
LIBRARIES = ("dit4sr", "numpy", "onnxruntime", "onnxruntime-gpu", "onnx", "torch", "tensorrt", "matplotlib")


def environment(limits: Limits, device: str, background: float) -> Environment:
    """The environment block of a record; ``background`` is the cores that other work kept busy."""
    cores = os.cpu_count() or 1
    machine = processor_name() if device == "cpu" else _card()
    return Environment(
        machine=machine,
        cores=cores,
        memory_bytes=total_memory() or 0,
        system=f"{platform.system()} {platform.release()}",
        python=platform.python_version(),
        versions=installed_versions(LIBRARIES),
        load=round(background, 2),
        is_busy=background > BUSY * cores,
        copy_bandwidth=limits.copy_bandwidth,
        cached_bandwidth=limits.cached_bandwidth,
        matmul_rate=limits.matmul_rate,
        rate_precision=limits.precision,
        device_peak=None if device == "cpu" else peak_of(machine),
    )


def _card() -> str:
    import torch  # noqa: PLC0415  (what measured the device's limits has found it)

    return str(torch.cuda.get_device_name())
