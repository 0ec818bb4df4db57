"""The ways to compute one full step, from the released formulation in eager torch to the engine.

Every contender answers for two rows, as guidance asks, with random weights made where they are used: only
time is looked at. Beside them stands what a picture needs once: `prepare` and the VAE. Nothing here needs
diffusers or a checkpoint.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import convert_conv2d_weight_memory_format as in_layout

from dit4sr.bench.gpu.autoencoder import CHANNELS, LATENT, Decoder, Encoder
from dit4sr.export.architectures.dit4sr.config import TransformerConfig
from dit4sr.export.architectures.dit4sr.cost import released_macs, simplified_macs, tera_flops
from dit4sr.export.architectures.dit4sr.deployed.denoiser import ROUNDED_MODULES, Denoiser
from dit4sr.export.architectures.dit4sr.deployed.prepare import Prepare, modulation_width
from dit4sr.export.architectures.dit4sr.released.transformer import Transformer
from dit4sr.export.architectures.step import Step
from dit4sr.export.engines.inductor.mixed import MixedModule
from dit4sr.export.engines.inductor.packaging import compile_package, write_weights
from dit4sr.runtime.backends.graph_replay import WARM_RUNS
from dit4sr.runtime.backends.inductor import NAME
from dit4sr.runtime.backends.inductor.backend import Inductor, InductorContext, InductorEngine
from dit4sr.runtime.backends.inductor.packages import Package
from dit4sr.runtime.backends.inductor.tensors import array_of
from dit4sr.runtime.manifest import Component, Engine, TensorSpec, record_of

Call = Callable[[], Any]
ROWS, STEPS = 2, 40


@dataclass(frozen=True)
class Workload:
    """The network and the picture."""

    config: TransformerConfig
    latent: tuple[int, int]
    text_tokens: int
    device: torch.device
    dtype: torch.dtype
    vae_channels: tuple[int, ...] = CHANNELS

    @property
    def tokens(self) -> int:
        """Image tokens of one stream."""
        patch = self.config.patch_size
        return (self.latent[0] // patch) * (self.latent[1] // patch)

    def noise(self, *shape: int, dtype: torch.dtype | None = None) -> Tensor:
        """Inputs are FP32 at the engine's border, and half where a whole model was cast to half."""
        return torch.randn(shape, device=self.device).to(dtype or self.dtype)

    def step_inputs(self, dtype: torch.dtype) -> tuple[Tensor, ...]:
        """What one simplified step reads."""
        config, latent = self.config, (1, self.config.in_channels, *self.latent)
        return (
            self.noise(*latent, dtype=dtype),
            self.noise(*latent, dtype=dtype),
            torch.tensor([-3.0, 4.0], device=self.device, dtype=dtype),
            torch.tensor([1.0, -0.025, 0.0], device=self.device, dtype=dtype),
            self.noise(ROWS, self.tokens, config.width, dtype=dtype),
            self.noise(ROWS, self.text_tokens, config.width, dtype=dtype),
            self.noise(ROWS, modulation_width(config), dtype=dtype),
            self.noise(self.tokens, config.width, dtype=dtype),
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
        count = released_macs if released else simplified_macs
        return tera_flops(count(self.config, self.latent, self.text_tokens), rows=ROWS, steps=1) * 1e12


def random_weights(module: nn.Module) -> Callable[[str], Tensor]:
    """Weights that keep activations in range, by name."""
    shapes = {name: tensor.shape for name, tensor in module.state_dict().items()}

    def weight(name: str) -> Tensor:
        shape = shapes[name]
        if len(shape) > 1:
            return torch.randn(shape).div_(shape[1:].numel() ** 0.5)
        return torch.randn(shape).mul_(0.1).add_(1.0 if "norm" in name else 0.0)

    return weight


def filled(module: nn.Module, work: Workload) -> nn.Module:
    """A module from meta tensors to random ones."""
    with work.device:  # made where they are used: gigabytes need not cross the bus
        weight = random_weights(module)
        tensors = {name: weight(name).to(work.dtype) for name in module.state_dict()}
    module.load_state_dict(tensors, assign=True)
    return module.eval().requires_grad_(False)


def released(work: Workload, mode: str | None) -> Call:
    """Two rows of the published network, AdaLN and all, eager or compiled."""
    with torch.device("meta"):
        module = Transformer(work.config)
    model: Callable[..., Tensor] = filled(module, work)
    if mode is not None:
        model = torch.compile(model, mode=mode, fullgraph=True, dynamic=False)
    latent = (ROWS, work.config.in_channels, *work.latent)
    inputs = (
        work.noise(*latent),
        work.noise(*latent),
        work.noise(ROWS, work.text_tokens, work.config.joint_attention_dim),
        work.noise(ROWS, work.config.pooled_projection_dim),
        torch.full((ROWS,), 500.0, device=work.device),
    )
    return lambda: model(*inputs)


def simplified(work: Workload, mode: str | None) -> Call:
    """Our step with our operators, eager or compiled."""
    model: Callable[..., Any] = filled(meta_step(work), work)
    if mode is not None:
        model = torch.compile(model, mode=mode, fullgraph=True, dynamic=False)
    inputs = work.step_inputs(work.dtype)
    return lambda: model(*inputs)


def engine(work: Workload, max_autotune: bool) -> Call:
    """The package as the runtime runs it, its CUDA graph recorded and trusted."""
    return packaged(meta_step(work), work.step_inputs(torch.float32), work, max_autotune)


def packaged(module: nn.Module, inputs: Sequence[Tensor], work: Workload, max_autotune: bool = False) -> Call:
    """A module from meta tensors, as a package under the runtime's own backend, warm."""
    with work.device:
        mixed = MixedModule(module, random_weights(module), work.dtype, work.device, ROUNDED_MODULES)
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
    """With a manifest's records made up around the package; and room for its answers."""
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
    """Numbered, FP32."""
    return tuple(TensorSpec(f"{name}{i}", "float32", tuple(each.shape)) for i, each in enumerate(tensors))


def vae(work: Workload) -> Call:
    """Picture to latent and back, eager, in the layout that convolutions like best."""
    layout = torch.channels_last
    halves = [
        (in_layout(filled(module, work), layout), given.to(work.dtype, memory_format=layout))
        for module, given in work.halves()
    ]
    return lambda: [module(given) for module, given in halves]


def vae_engine(work: Workload) -> Call:
    """Picture to latent and back, packages of fixed size."""
    calls = [packaged(module, [given], work) for module, given in work.halves()]
    return lambda: [call() for call in calls]


def prepare(work: Workload) -> Call:
    """What is done once per picture and prompt, eager: all steps' modulations."""
    with torch.device("meta"):
        module = Prepare(work.config)
    model = filled(module, work)
    config = work.config
    inputs = (
        work.noise(ROWS, config.in_channels, *work.latent),
        work.noise(ROWS, work.text_tokens, config.joint_attention_dim),
        work.noise(ROWS, config.pooled_projection_dim),
        torch.linspace(1000, 9, STEPS, device=work.device),
        work.noise(work.tokens, config.width),
    )
    return lambda: model(*inputs)


def meta_step(work: Workload) -> Step:
    """Our step without its memory."""
    with torch.device("meta"):
        return Step(Denoiser(work.config)).eval().requires_grad_(False)


@dataclass(frozen=True)
class Contender:
    """A name for people, what it builds and how long that may take, and what a picture adds to its steps."""

    name: str
    build: Callable[[Workload], Call]
    limit: float
    """Seconds, of the process and all in it."""
    once: tuple[str, ...] | None = None
    """What runs once per picture besides; none if this is such a thing itself."""
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
"""Most telling first, for when the time runs out."""
