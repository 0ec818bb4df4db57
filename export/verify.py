"""Is what was written what was meant? Each component, and the loop they form, against torch.

The truth is the module in FP64 on the unrounded weights. The yardstick is the error that the same module
makes when torch simply runs it in half precision: a graph may err twice as much, and no more; one in FP32 a
hundredth.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dit4sr.export.component import ComponentSource, static_sizes
from dit4sr.export.weights.folds import evaluate
from dit4sr.runtime.axes import Sizes, axis_length, axis_sizes
from dit4sr.runtime.backends.onnxruntime.stopping import stoppable_opening, stoppable_run
from dit4sr.runtime.bundles.manifest import Check, ModelCard, TensorSpec
from dit4sr.runtime.errors import AccuracyError

LARGE = 200_000_000
DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
LOOP_STEPS = 3

Arrays = dict[str, NDArray[Any]]
Runner = Callable[[Arrays], list[NDArray[Any]]]


@dataclass(frozen=True)
class Tolerance:
    """How far from the truth an output may be: so many times what torch errs at a precision."""

    times: float
    yardstick: torch.dtype
    words: str

    @classmethod
    def at(cls, precision: str) -> Tolerance:
        """The tolerance at a precision; in FP32 it is for sums in another order, and too small for TF32."""
        if precision == "fp32":
            return cls(0.01, torch.float16, "a hundredth of what torch errs in half")
        return cls(2.0, DTYPES[precision], "twice what torch errs at this precision")


def verify_components(
    sources: Sequence[ComponentSource], card: ModelCard, folder: Path, *, static: bool = False
) -> tuple[Check, ...]:
    """Compare every component on seeded inputs, then three steps of the loop; refuse what strays.

    ONNX Runtime has no BF16 MatMuls on the CPU: such a bundle comes back without checks, and says so.
    """
    precision = card.precision
    if precision == "bf16":
        return ()
    tolerance = Tolerance.at(precision)
    latent = (8 * card.patch_size, 6 * card.patch_size)
    small = axis_sizes(card, latent=latent, text=7, steps=LOOP_STEPS)
    checks = []
    for source in sources:
        feeds = seeded_inputs(source, static_sizes(card, source) if static else small)
        checks += compared_component(source, feeds, _runners(source, folder, precision), tolerance)
    by_name = {source.name: source for source in sources}
    if {"prepare", "step"} <= by_name.keys() and not any(map(is_large, sources)):
        prepare, step = by_name["prepare"], by_name["step"]
        both = zip(_runners(prepare, folder, precision), _runners(step, folder, precision), strict=True)
        sizes = static_sizes(card, step) if static else small
        latents = [run_loop(prepare, step, first(), second(), sizes) for first, second in both]
        checks.append(compared("loop", "latent", *latents, tolerance=tolerance))
    return tuple(checks)


def compared_component(
    source: ComponentSource, feeds: Arrays, runners: Sequence[Callable[[], Runner]], tolerance: Tolerance
) -> list[Check]:
    """Check every output of a component, given makers of the runners for truth, yardstick and result."""
    # One runner at a time: a full-size component takes ten gigabytes in each.
    exact, plain, found = (make()(feeds) for make in runners)
    if not all(np.isfinite(values).all() for values in plain):
        plain = _as_if_in_range(source, feeds, exact)
    checks = []
    for output, *values in zip(source.outputs, exact, plain, found, strict=True):
        if output in source.even_outputs:
            _require_equal(source.name, output, values[0], values[2])
        else:
            checks.append(compared(source.name, output, *values, tolerance=tolerance))
    return checks


def _runners(source: ComponentSource, folder: Path, precision: str) -> list[Callable[[], Runner]]:
    return [*torch_runners(source, precision), lambda: graph_runner(folder / "onnx" / f"{source.name}.onnx")]


def torch_runners(source: ComponentSource, precision: str) -> list[Callable[[], Runner]]:
    """Makers of torch's runners for the truth and for the yardstick, each called when it is its turn."""
    # Beside half precision FP32 is truth enough, where FP64 would not fit.
    truth = torch.float32 if is_large(source) and DTYPES[precision].itemsize < 4 else torch.float64
    yardstick = Tolerance.at(precision).yardstick
    return [
        lambda: torch_runner(source, truth),
        lambda: torch_runner(source, yardstick),
    ]


def _as_if_in_range(source: ComponentSource, feeds: Arrays, exact: list[NDArray[Any]]) -> list[NDArray[Any]]:
    """What FP16 would answer if it had BF16's range: T5 overflows where our graphs do not.

    FP16 has three more bits, so its error is an eighth of the one that BF16 makes.
    """
    coarse = torch_runner(source, torch.bfloat16)(feeds)
    return [truth + (rough - truth) / 8 for truth, rough in zip(exact, coarse, strict=True)]


def is_large(source: ComponentSource) -> bool:
    """True if a component cannot be held in memory several times over."""
    return elements(source) > LARGE


def elements(source: ComponentSource) -> int:
    """Number of elements in all weights of a component."""
    return sum(math.prod(tensor.shape) for tensor in source.module.state_dict().values())


def memory_needed(sources: Sequence[ComponentSource], precision: str) -> int:
    """Bytes that verifying takes at its peak: the largest component in ONNX Runtime, or its truth."""
    per_element = 6 if DTYPES[precision].itemsize < 4 else 9
    return per_element * max(map(elements, sources), default=0) + (1 << 30)


def compared(
    component: str,
    output: str,
    exact: NDArray[Any],
    plain: NDArray[Any],
    found: NDArray[Any],
    *,
    tolerance: Tolerance,
) -> Check:
    """Check one output: finite, not constant, and no further from the truth than rounding explains."""
    if not np.isfinite(found).all():
        raise AccuracyError(
            f"{component}: {output} is not finite", fix="export with --precision bf16 or fp32"
        )
    if found.std() == 0:
        raise AccuracyError(f"{component}: {output} is constant")
    allowed = tolerance.times * relative_error(plain, exact)
    check = Check(component, output, relative_error(found, exact), allowed)
    if check.error > check.allowed:
        raise AccuracyError(
            f"{component}: {output} is off by {check.error:.1e}",
            expected=f"at most {check.allowed:.1e}, {tolerance.words}",
        )
    return check


def _require_equal(component: str, output: str, exact: NDArray[Any], found: NDArray[Any]) -> None:
    """Hold an output that no precision rounds to the very numbers; it has no error to be relative to."""
    if not np.array_equal(found.astype(np.float32), exact.astype(np.float32)):
        raise AccuracyError(f"{component}: {output} is not what torch makes of it")


def relative_error(found: NDArray[Any], exact: NDArray[Any]) -> float:
    """Root mean square of an output's difference from the truth, relative to that of the truth."""
    difference = found.astype(np.float64) - exact
    return float(np.sqrt(np.mean(difference**2) / np.mean(exact**2)))


class Signature(Protocol):
    """The inputs of a component, as far as they must be known to make some up."""

    @property
    def inputs(self) -> Sequence[TensorSpec]:
        """Name, type and axes of every input."""

    @property
    def vocabulary(self) -> int:
        """Integers given to the component are below this."""


def seeded_inputs(signature: Signature, sizes: Sizes) -> Arrays:
    """Make inputs by seed: noise, token ids, times over the schedule, a mild guidance and solver update."""
    noise = np.random.default_rng(0)

    def seeded(spec: TensorSpec) -> NDArray[Any]:
        shape = [axis_length(axis, sizes) for axis in spec.shape]
        if spec.dtype == "int64":
            return noise.integers(signature.vocabulary, size=shape)
        return noise.standard_normal(shape, dtype=np.float32)

    feeds: Arrays = {spec.name: seeded(spec) for spec in signature.inputs}
    special = {
        "timesteps": np.linspace(1000, 9, sizes["steps"], dtype=np.float32),
        "guidance": np.array([-1.0, 2.0], np.float32)[-sizes["branches"] :],
        "coefficients": np.array([1.0, -0.3, 0.1], np.float32),
    }
    return feeds | {name: value for name, value in special.items() if name in feeds}


def run_loop(
    prepare: ComponentSource, step: ComponentSource, run_prepare: Runner, run_step: Runner, sizes: Sizes
) -> NDArray[Any]:
    """Run a short sampling loop, wired by name as the runtime does it, and return its last latent."""
    feeds = seeded_inputs(step, sizes) | seeded_inputs(prepare, sizes)
    prepared = dict(zip(prepare.outputs, run_prepare(_take(prepare, feeds)), strict=True))
    known, ranks = feeds | prepared, {spec.name: len(spec.shape) for spec in step.inputs}
    of_steps = [name for name, values in prepared.items() if values.ndim == ranks.get(name, values.ndim) + 1]
    for place in range(LOOP_STEPS):
        now = {name: prepared[name][place] for name in of_steps}
        answers = run_step(_take(step, known | now))
        known |= {"latent": answers[0], "previous_velocity": answers[1]}
    return known["latent"]


def _take(source: ComponentSource, known: Mapping[str, NDArray[Any]]) -> Arrays:
    return {spec.name: known[spec.name] for spec in source.inputs}


def torch_runner(source: ComponentSource, dtype: torch.dtype) -> Runner:
    """Return a runner of a component in torch, at one precision throughout."""
    weights = {name: weight_of(source, name).to(dtype) for name in source.module.state_dict()}

    def run(feeds: Arrays) -> list[NDArray[Any]]:
        # A half cannot hold the schedule's times, and no precision is asked to.
        wide = torch.promote_types(dtype, torch.float32)
        tensors = []
        for name, array in feeds.items():
            tensor = torch.from_numpy(array)
            if tensor.is_floating_point():
                tensor = tensor.to(wide if name == "timesteps" else dtype)
            tensors.append(tensor)
        with torch.no_grad():
            answers = torch.func.functional_call(source.module, weights, tuple(tensors))
        return [answer.double().numpy() for answer in (answers if isinstance(answers, tuple) else [answers])]

    return run


def weight_of(source: ComponentSource, name: str) -> Tensor:
    """A weight of a component's module, by its name there, in FP64."""

    def read(key: str) -> Tensor:
        return source.weights.read(key).double()

    return evaluate(source.recipes[name], read)


def graph_runner(graph: Path) -> Runner:
    """Return a runner of a written graph in ONNX Runtime."""
    import onnxruntime  # noqa: PLC0415  (half a second that tracing alone does not need)

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    with stoppable_opening(options):
        session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])

    def run(feeds: Arrays) -> list[NDArray[Any]]:
        single = {k: v.astype(np.float32) if v.dtype.kind == "f" else v for k, v in feeds.items()}
        with stoppable_run() as how:
            answers: list[NDArray[Any]] = session.run(None, single, how)
        return answers

    return run
