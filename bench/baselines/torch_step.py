"""One step of the published formulation in torch, eager or compiled."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from dit4sr.bench.workload import Workload

if TYPE_CHECKING:
    from torch import Tensor, nn

    from dit4sr.export.component import ComponentSource

# torch takes seconds to import, and is needed only by those who ask for a baseline.
# ruff: noqa: PLC0415

DTYPES = {"fp16": "float16", "bf16": "bfloat16"}


def torch_step(
    step: ComponentSource,
    workload: Workload,
    *,
    precision: str,
    device: str,
    threads: int,
    is_compiled: bool,
) -> Callable[[], Any]:
    """One run of a step that takes a single time, eager or through ``torch.compile``.

    On a device it runs in the bundle's precision; on the host in FP32, where halves are far slower.
    """
    import torch

    if threads:
        torch.set_num_threads(threads)
    dtype = getattr(torch, "float32" if device == "cpu" else DTYPES.get(precision, "float32"))
    module = loaded(step).to(device=device, dtype=dtype)
    inputs = {
        # No half holds the schedule's times.
        name: tensor.to(device=device, dtype=torch.float32 if name == "timestep" else dtype)
        for name, tensor in step_inputs(step, workload).items()
    }
    run = torch.compile(module) if is_compiled else module

    def call() -> None:
        with torch.inference_mode():
            run(*inputs.values())

    return call


def loaded(step: ComponentSource) -> nn.Module:
    """The step's module with its weights in memory."""
    from dit4sr.export.weights.folds import evaluate

    weights = {name: evaluate(recipe, step.weights.read) for name, recipe in step.recipes.items()}
    step.module.load_state_dict(weights, assign=True)
    return step.module


def step_inputs(step: ComponentSource, workload: Workload) -> dict[str, Tensor]:
    """What a step reads, by name and in its order: small numbers, mild guidance, a time in the middle."""
    import torch

    arrays = workload.arrays(step.inputs)
    special = {
        "guidance": np.array([-1.0, 2.0], np.float32)[-workload.branches :],
        "coefficients": np.array([1.0, -0.05, 0.0], np.float32),
        "timestep": np.full(workload.rows, 500.0, np.float32),
    }
    return {name: torch.from_numpy(special.get(name, values)) for name, values in arrays.items()}
