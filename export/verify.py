"""Is what was written what was meant? Each component, and the loop they form, against torch.

The truth is the module in FP64 on the unrounded weights. The yardstick is the error that the same module
makes when torch simply runs it in the bundle's precision: a graph may err twice as much, and no more.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dit4sr.export.architecture import Architecture, Part, Sizes, axis_size, example_sizes
from dit4sr.export.simplify import evaluate
from dit4sr.runtime.bundle import Check
from dit4sr.runtime.errors import AccuracyError

SLACK = 2.0
DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
LOOP_STEPS = 3

Arrays = dict[str, NDArray[Any]]
Runner = Callable[[Arrays], list[NDArray[Any]]]


def verify_parts(
    parts: Sequence[Part], architecture: Architecture, folder: Path, precision: str
) -> tuple[Check, ...]:
    """Compare every component on seeded inputs, then three steps of the loop; refuse what strays.

    ONNX Runtime has no BF16 products on the CPU: such a bundle comes back without checks, and says so.
    """
    if precision == "bf16":
        return ()
    card = architecture.card(precision)
    latent = (8 * card.patch_size, 6 * card.patch_size)
    sizes = example_sizes(card, images=1, branches=2, latent=latent, text=7, steps=LOOP_STEPS)
    checks = []
    runners: dict[str, list[Runner]] = {}
    for part in parts:
        feeds = seeded_inputs(part, sizes)
        runners[part.name] = [
            torch_runner(part, torch.float64),
            torch_runner(part, DTYPES[precision]),
            graph_runner(folder / "onnx" / f"{part.name}.onnx"),
        ]
        exact, plain, found = (run(feeds) for run in runners[part.name])
        checks += [
            compared(part.name, output, *answers)
            for output, *answers in zip(part.outputs, exact, plain, found, strict=True)
        ]
    if {"prepare", "step"} <= runners.keys():
        by_name = {part.name: part for part in parts}
        answers = [
            run_loop(by_name["prepare"], by_name["step"], prepare, step, sizes)
            for prepare, step in zip(runners["prepare"], runners["step"], strict=True)
        ]
        checks.append(compared("loop", "latent", *answers))
    return tuple(checks)


def compared(
    component: str, output: str, exact: NDArray[Any], plain: NDArray[Any], found: NDArray[Any]
) -> Check:
    """One output: finite, not constant, and no further from the truth than rounding explains."""
    if not np.isfinite(found).all():
        raise AccuracyError(
            f"{component}: {output} is not finite", fix="export with --precision bf16 or fp32"
        )
    if found.std() == 0:
        raise AccuracyError(f"{component}: {output} is constant")
    check = Check(component, output, relative_error(found, exact), SLACK * relative_error(plain, exact))
    if check.error > check.allowed:
        raise AccuracyError(
            f"{component}: {output} is off by {check.error:.1e}",
            expected=f"at most {check.allowed:.1e}, twice what torch errs at this precision",
        )
    return check


def relative_error(found: NDArray[Any], exact: NDArray[Any]) -> float:
    """Root mean square of the difference, relative to that of the truth."""
    difference = found.astype(np.float64) - exact
    return float(np.sqrt(np.mean(difference**2) / np.mean(exact**2)))


def seeded_inputs(part: Part, sizes: Sizes) -> Arrays:
    """Normal noise; times spread over the schedule, and a mild guidance and solver update."""
    noise = np.random.default_rng(0)
    feeds: Arrays = {
        spec.name: noise.standard_normal([axis_size(axis, sizes) for axis in spec.shape], dtype=np.float32)
        for spec in part.inputs
    }
    special = {
        "timesteps": np.linspace(1000, 9, sizes["steps"], dtype=np.float32),
        "guidance": np.array([-1.0, 2.0], np.float32)[-sizes["branches"] :],
        "coefficients": np.array([1.0, -0.3, 0.1], np.float32),
    }
    return feeds | {name: value for name, value in special.items() if name in feeds}


def run_loop(prepare: Part, step: Part, run_prepare: Runner, run_step: Runner, sizes: Sizes) -> NDArray[Any]:
    """A short sampling loop, wired by name as the runtime does it."""
    feeds = seeded_inputs(step, sizes) | seeded_inputs(prepare, sizes)
    known = feeds | dict(zip(prepare.outputs, run_prepare(_take(prepare, feeds)), strict=True))
    modulations = known["modulation"]
    for modulation in modulations:
        answers = run_step(_take(step, known | {"modulation": modulation}))
        known |= {"latent": answers[0], "previous_velocity": answers[1]}
    return known["latent"]


def _take(part: Part, known: Mapping[str, NDArray[Any]]) -> Arrays:
    return {spec.name: known[spec.name] for spec in part.inputs}


def torch_runner(part: Part, dtype: torch.dtype) -> Runner:
    """The part as torch runs it at one precision throughout."""
    weights = {
        name: evaluate(part.recipes[name.removeprefix("network.")], _reader(part)).to(dtype)
        for name in part.module.state_dict()
    }

    def run(feeds: Arrays) -> list[NDArray[Any]]:
        # A half cannot hold the schedule's times, and no precision is asked to.
        wide = torch.promote_types(dtype, torch.float32)
        tensors = [
            torch.from_numpy(array).to(wide if name == "timesteps" else dtype)
            for name, array in feeds.items()
        ]
        with torch.no_grad():
            answers = torch.func.functional_call(part.module, weights, tuple(tensors))
        return [answer.double().numpy() for answer in (answers if isinstance(answers, tuple) else [answers])]

    return run


def _reader(part: Part) -> Callable[[str], Tensor]:
    def read(key: str) -> Tensor:
        return part.source.read(key).double()

    return read


def graph_runner(graph: Path) -> Runner:
    """The part as ONNX Runtime runs what was written."""
    import onnxruntime  # noqa: PLC0415  (half a second that tracing alone does not need)

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])

    def run(feeds: Arrays) -> list[NDArray[Any]]:
        answers: list[NDArray[Any]] = session.run(None, {k: v.astype(np.float32) for k, v in feeds.items()})
        return answers

    return run
