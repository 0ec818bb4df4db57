"""The ways to compute one full step, from the released formulation in eager torch to the engine.

Every contender answers for two rows, as guidance asks, with random weights made where they are used: only
time is looked at. Beside them stands what a picture needs once: `prepare` and the VAE. Nothing here needs
diffusers or a checkpoint.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import convert_conv2d_weight_memory_format as in_layout

from dit4sr.bench.gpu.autoencoder import CHANNELS, LATENT, Decoder, Encoder
from dit4sr.export import architectures
from dit4sr.export.architectures.protocol import Architecture, Config
from dit4sr.export.architectures.summary import tera_flops
from dit4sr.export.component import ComponentSource
from dit4sr.export.engines.inductor.mixed import MixedModule
from dit4sr.export.engines.inductor.packaging import compile_package, write_weights
from dit4sr.runtime.axes import Sizes, axis_length, axis_sizes
from dit4sr.runtime.backends.graph_replay import WARM_RUNS
from dit4sr.runtime.backends.inductor import NAME
from dit4sr.runtime.backends.inductor.backend import Inductor, InductorContext, InductorEngine
from dit4sr.runtime.backends.inductor.packages import Package
from dit4sr.runtime.backends.inductor.tensors import array_of
from dit4sr.runtime.bundles.manifest import Component, Engine, TensorSpec, record_of

Call = Callable[[], Any]
ROWS, STEPS = 2, 40


@dataclass(frozen=True)
class Workload:
    """The network and the picture that all contenders compute."""

    config: Config
    latent: tuple[int, int]
    text_tokens: int
    device: torch.device
    dtype: torch.dtype
    vae_channels: tuple[int, ...] = CHANNELS

    @cached_property
    def architecture(self) -> Architecture:
        """Whose networks the contenders are."""
        return architectures.named(architectures.DEFAULT)

    @cached_property
    def components(self) -> dict[str, ComponentSource]:
        """`prepare` and `step` without their memory."""
        return {source.name: source for source in self.architecture.random(self.config, 0).components()}

    @cached_property
    def plain(self) -> ComponentSource:
        """The step as released, without its memory."""
        return self.architecture.reference(self.config).plain_step()

    @cached_property
    def sizes(self) -> Sizes:
        """Every axis of the network."""
        card = self.architecture.random(self.config, 0).card("fp16", self.architecture.sampling())
        return axis_sizes(
            card, images=1, branches=ROWS, latent=self.latent, text=self.text_tokens, steps=STEPS
        )

    def noise(self, *shape: int, dtype: torch.dtype | None = None) -> Tensor:
        """Random inputs: FP32 at the engine's border, and half where a whole model was cast to half."""
        return torch.randn(shape, device=self.device).to(dtype or self.dtype)

    def inputs(self, source: ComponentSource, dtype: torch.dtype) -> tuple[Tensor, ...]:
        """What a component reads; times are FP32, for no half holds the schedule's."""
        special = {
            "guidance": torch.tensor([-3.0, 4.0], dtype=dtype),
            "coefficients": torch.tensor([1.0, -0.025, 0.0], dtype=dtype),
            "timestep": torch.full((ROWS,), 500.0),
            "timesteps": torch.linspace(1000, 9, STEPS),
        }
        return tuple(
            special[spec.name].to(self.device)
            if spec.name in special
            else self.noise(*(axis_length(axis, self.sizes) for axis in spec.shape), dtype=dtype)
            for spec in source.inputs
        )

    def halves(self) -> list[tuple[nn.Module, Tensor]]:
        """The VAE's encoder and decoder without their memory, and what one picture gives them."""
        height, width = self.latent
        factor = 2 ** (len(self.vae_channels) - 1)
        with torch.device("meta"):
            encoder, decoder = Encoder(self.vae_channels), Decoder(self.vae_channels)
        return [
            (encoder, self.noise(1, 3, factor * height, factor * width, dtype=torch.float32)),
            (decoder, self.noise(1, LATENT, height, width, dtype=torch.float32)),
        ]

    def flops(self, *, released: bool) -> float:
        """Floating-point operations of a step."""
        factor = self.architecture.sampling().vae_factor
        picture = (factor * self.latent[0], factor * self.latent[1])
        summary = self.architecture.summary(self.config, picture, self.text_tokens)
        return tera_flops(summary.released if released else summary.simplified, rows=ROWS, steps=1) * 1e12


def random_weights(module: nn.Module) -> Callable[[str], Tensor]:
    """Random weights by name that keep activations in range."""
    shapes = {name: tensor.shape for name, tensor in module.state_dict().items()}

    def weight(name: str) -> Tensor:
        shape = shapes[name]
        if len(shape) > 1:
            return torch.randn(shape).div_(shape[1:].numel() ** 0.5)
        return torch.randn(shape).mul_(0.1).add_(1.0 if "norm" in name else 0.0)

    return weight


def filled(module: nn.Module, work: Workload) -> nn.Module:
    """A module brought from meta tensors to random ones."""
    with work.device:  # made where they are used: gigabytes need not cross the bus
        weight = random_weights(module)
        tensors = {name: weight(name).to(work.dtype) for name in module.state_dict()}
    module.load_state_dict(tensors, assign=True)
    return module.eval().requires_grad_(False)


def released(work: Workload, mode: str | None) -> Call:
    """The call of a step of the published network, AdaLN and all, eager or compiled."""
    return in_torch(work.plain, work, mode)


def simplified(work: Workload, mode: str | None) -> Call:
    """The call of our step with our operators, eager or compiled."""
    return in_torch(work.components["step"], work, mode)


def in_torch(source: ComponentSource, work: Workload, mode: str | None) -> Call:
    """The call of a component with random weights as torch runs it."""
    model: Callable[..., Any] = filled(source.module, work)
    if mode is not None:
        model = torch.compile(model, mode=mode, fullgraph=True, dynamic=False)
    inputs = work.inputs(source, work.dtype)
    return lambda: model(*inputs)


def engine(work: Workload, max_autotune: bool) -> Call:
    """The call of the package as the runtime runs it, its CUDA graph recorded and trusted."""
    step = work.components["step"]
    inputs = work.inputs(step, torch.float32)
    return packaged(step.module, inputs, work, max_autotune, rounded=step.rounded_modules)


def packaged(
    module: nn.Module,
    inputs: Sequence[Tensor],
    work: Workload,
    max_autotune: bool = False,
    *,
    rounded: tuple[type[nn.Module], ...] = (),
) -> Call:
    """The call of a module as a package under the runtime's own backend, warm."""
    with work.device:
        mixed = MixedModule(module, random_weights(module), work.dtype, work.device, rounded)
    with tempfile.TemporaryDirectory() as scratch:
        context, answers = opened(mixed, inputs, Path(scratch), work, max_autotune)
    arrays = {f"input{i}": array_of(tensor) for i, tensor in enumerate(inputs)}
    targets = {f"output{i}": array_of(tensor) for i, tensor in enumerate(answers)}
    for _ in range(WARM_RUNS + 1):
        context.run(arrays, targets)
    return lambda: context.run(arrays, targets)


def opened(
    module: MixedModule, inputs: Sequence[Tensor], folder: Path, work: Workload, max_autotune: bool
) -> tuple[InductorContext, list[Tensor]]:
    """An engine over a package, with a manifest's records made up around it, and room for its answers."""
    package, weights = folder / "engine.pt2", folder / "engine.safetensors"
    write_weights(weights, compile_package(module, inputs, package, max_autotune=max_autotune))
    backend = Inductor(work.device.type)
    call = backend.loaded(package, backend.weights([weights]))
    answers = [torch.empty_like(answer) for answer in call(inputs)]
    records = (record_of(package, folder), record_of(weights, folder))
    record = Engine(NAME, "engine", records, str(work.dtype), work.device.type, {}, ())
    component = Component(records, record.precision, specs("input", inputs), specs("output", answers))
    known = Package(record, component)
    return InductorEngine([known], lambda _: call, backend.recorder).context(), answers


def specs(name: str, tensors: Sequence[Tensor]) -> tuple[TensorSpec, ...]:
    """Tensors as numbered FP32 inputs or outputs of a manifest."""
    return tuple(TensorSpec(f"{name}{i}", "float32", tuple(each.shape)) for i, each in enumerate(tensors))


def vae(work: Workload) -> Call:
    """The call of picture to latent and back, eager, in the layout that convolutions like best."""
    layout = torch.channels_last
    halves = [
        (in_layout(filled(module, work), layout), given.to(work.dtype, memory_format=layout))
        for module, given in work.halves()
    ]
    return lambda: [module(given) for module, given in halves]


def vae_engine(work: Workload) -> Call:
    """The call of picture to latent and back, by packages of fixed size."""
    calls = [packaged(module, [given], work) for module, given in work.halves()]
    return lambda: [call() for call in calls]


def prepare(work: Workload) -> Call:
    """The call of what is done once per picture and prompt, eager: all steps' modulations."""
    return in_torch(work.components["prepare"], work, None)


@dataclass(frozen=True)
class Contender:
    """A name for people, what it builds and how long that may take, and what a picture adds to its steps."""

    name: str
    build: Callable[[Workload], Call]
    limit: float
    """Seconds that the process and all in it may take."""
    once: tuple[str, ...] | None = None
    """Contenders that run once per picture besides; ``None`` if this is such a one itself."""
    is_released: bool = False


# CUDA graphs are left to the timing: the compiler's own copy every input and hide what is compared.
AUTOTUNE = "max-autotune-no-cudagraphs"
EAGER, COMPILED, AUTOTUNED = 40.0, 100.0, 150.0

CONTENDERS: Mapping[str, Contender] = {
    "released": Contender(
        "released, eager", lambda work: released(work, None), EAGER, ("vae",), is_released=True
    ),
    "simplified": Contender(
        "simplified, our kernels, eager", lambda work: simplified(work, None), EAGER, ("prepare", "vae")
    ),
    "prepare": Contender("once per picture: prepare, eager", prepare, EAGER),
    "vae": Contender("once per picture: VAE, eager", vae, EAGER),
    "engine": Contender(
        "inductor engine, CUDA graph", lambda work: engine(work, False), COMPILED, ("prepare", "vae-engine")
    ),
    "released-compiled": Contender(
        "released, torch.compile",
        lambda work: released(work, "default"),
        COMPILED,
        ("vae",),
        is_released=True,
    ),
    "vae-engine": Contender("once per picture: VAE, inductor engine", vae_engine, COMPILED),
    "released-autotuned": Contender(
        f"released, torch.compile({AUTOTUNE})",
        lambda work: released(work, AUTOTUNE),
        AUTOTUNED,
        ("vae",),
        is_released=True,
    ),
    "simplified-compiled": Contender(
        "simplified, our kernels, torch.compile",
        lambda work: simplified(work, "default"),
        COMPILED,
        ("prepare", "vae"),
    ),
    "engine-autotuned": Contender(
        "inductor engine, CUDA graph, max-autotune",
        lambda work: engine(work, True),
        AUTOTUNED,
        ("prepare", "vae-engine"),
    ),
}
"""The contenders by name, the most telling first, for when the time runs out."""
