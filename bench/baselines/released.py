"""The released formulation in torch: the baseline of every timing.

One step is the released transformer with guidance and the solver's update around it, exactly the work of the
released loop. ``python -m dit4sr.bench.baselines.released`` restores one picture as a script of the released
kind would: import torch and diffusers, load a checkpoint, sample, decode. It is what a cold start is
compared with.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np
from PIL import Image

from dit4sr.bench.baselines.blueprint import require_torch, transformer_config, vae_config
from dit4sr.bench.workload import Workload
from dit4sr.runtime.bundle import Bundle
from dit4sr.runtime.console.command import run_command
from dit4sr.runtime.image.photo import Picture
from dit4sr.runtime.manifest import ModelCard

if TYPE_CHECKING:
    from torch import Tensor, nn

    from dit4sr.export.architectures.dit4sr.config import TransformerConfig

# torch takes seconds to import, and is needed only by those who ask for a baseline.
# ruff: noqa: PLC0415

DTYPES = {"fp16": "float16", "bf16": "bfloat16"}


def released_step(config: TransformerConfig) -> nn.Module:
    """The released network with random weights, in the step that a loop runs."""
    import torch

    from dit4sr.export.architectures.dit4sr.layout import read_tensors
    from dit4sr.export.architectures.dit4sr.released.transformer import Transformer
    from dit4sr.export.architectures.step import Step
    from dit4sr.export.weights.sources import RandomWeights

    layout = read_tensors(config)
    source = RandomWeights(layout, seed=0)
    with torch.device("meta"):
        network = Transformer(config)
    network.load_state_dict({key: source.read(key) for key in layout}, assign=True)
    return Step(network).eval().requires_grad_(False)


def step_inputs(config: TransformerConfig, workload: Workload) -> tuple[Tensor, ...]:
    """Latent, previous velocity, guidance, coefficients; condition, text, pooled vector, time."""
    import torch

    noise = torch.Generator().manual_seed(0)

    def tensor(*shape: int) -> Tensor:
        return 0.1 * torch.randn(shape, generator=noise)

    latent = (config.in_channels, workload.height, workload.width)
    return (
        tensor(workload.images, *latent),
        tensor(workload.images, *latent),
        torch.tensor([-1.0, 2.0])[-workload.branches :],
        torch.tensor([1.0, -0.05, 0.0]),
        tensor(workload.rows, *latent),
        tensor(workload.rows, workload.text, config.joint_attention_dim),
        tensor(workload.rows, config.pooled_projection_dim),
        torch.full((workload.rows,), 500.0),
    )


def torch_step(
    bundle: Bundle, workload: Workload, *, device: str, threads: int, is_compiled: bool
) -> Callable[[], Any]:
    """One step of the released formulation, eager or through ``torch.compile``.

    On a device it runs in the bundle's precision; on the host in FP32, where halves are far slower.
    """
    import torch

    if threads:
        torch.set_num_threads(threads)
    config = transformer_config(bundle)
    precision = "float32" if device == "cpu" else DTYPES.get(bundle.card.precision, "float32")
    dtype = getattr(torch, precision)
    step = released_step(config).to(device=device, dtype=dtype)
    inputs = [value.to(device=device, dtype=dtype) for value in step_inputs(config, workload)]
    inputs[-1] = inputs[-1].float()  # no half holds the schedule's times
    run = torch.compile(step) if is_compiled else step

    def call() -> None:
        with torch.inference_mode():
            run(*inputs)

    return call


def write_checkpoint(bundle: Bundle, folder: Path) -> Path:
    """A checkpoint of the bundle's size with random weights, in diffusers layout."""
    require_torch()
    import torch
    from diffusers import AutoencoderKL
    from safetensors.torch import save_file

    from dit4sr.export.architectures.dit4sr.layout import POSITION_TABLE, released_layout
    from dit4sr.export.weights.sources import RandomWeights
    from dit4sr.runtime.sampling.positions import sine_cosine_positions

    config = transformer_config(bundle)
    layout, table = released_layout(config), bundle.card.positions
    assert table is not None  # every DiT4SR reads positions
    source = RandomWeights(layout, seed=0)
    tensors = {key: source.read(key) for key in layout if key != POSITION_TABLE}
    positions = sine_cosine_positions(
        (table.table_size, table.table_size),
        width=table.width,
        table_size=table.table_size,
        base_size=table.base_size,
    )
    tensors[POSITION_TABLE] = torch.from_numpy(positions)[None].contiguous()
    transformer = folder / "transformer"
    transformer.mkdir(parents=True)
    save_file(tensors, transformer / "diffusion_pytorch_model.safetensors")
    (transformer / "config.json").write_text(json.dumps(config.to_json()), encoding="utf-8")
    torch.manual_seed(0)
    AutoencoderKL(**vae_config(bundle)).save_pretrained(folder / "vae")
    return folder


def restore(
    checkpoint: Path, bundle: Bundle, picture: Picture, *, steps: int, guidance: float, seed: int
) -> Picture:
    """A picture of one tile through the released loop, plainly in torch and diffusers; FP32 throughout."""
    import torch
    from diffusers import AutoencoderKL, FlowMatchEulerDiscreteScheduler

    from dit4sr.export.architectures.dit4sr.config import Flavour, Variant
    from dit4sr.export.architectures.dit4sr.loading import load_transformer

    card = bundle.card
    transformer = load_transformer(
        checkpoint, dtype=torch.float32, flavour=Flavour(card.flavour), variant=Variant(card.variant)
    )
    vae = AutoencoderKL.from_pretrained(checkpoint / "vae").eval()
    scheduler = FlowMatchEulerDiscreteScheduler(num_train_timesteps=1000, shift=card.schedule_shift)
    scheduler.set_timesteps(steps)
    names = ["negative", "positive"] if guidance > 1 else ["positive"]
    text, pooled = (
        torch.stack([torch.from_numpy(bundle.embedding(name)[tensor]) for name in names])
        for tensor in ("text", "pooled")
    )
    low, noise = _enlarged(picture, card), torch.Generator().manual_seed(seed)
    with torch.inference_mode():
        image = torch.from_numpy(np.array(low)).permute(2, 0, 1)[None].float() / 127.5 - 1
        mean, log_variance = vae.encoder(image).chunk(2, dim=1)
        latent = torch.randn([1, *mean.shape[1:]], generator=noise)
        spread = torch.randn([len(names), *mean.shape[1:]], generator=noise)
        condition = (mean + (log_variance.clamp(-30, 20) / 2).exp() * spread - card.shift) * card.scaling
        for time in scheduler.timesteps:
            rows = latent.expand(len(names), -1, -1, -1)
            answers = transformer(rows, condition, text, pooled, time.expand(len(names)))
            velocity = answers[-1:]
            if guidance > 1:
                velocity = answers[:1] + guidance * (answers[1:] - answers[:1])
            latent = scheduler.step(velocity, time, latent).prev_sample
        decoded = vae.decoder(latent / card.scaling + card.shift)[0].permute(1, 2, 0)
        pixels = ((decoded / 2 + 0.5).clamp(0, 1) * 255).round().byte().numpy()
    return _adain(pixels, np.asarray(low))


def _enlarged(picture: Picture, card: ModelCard, scale: int = 4) -> Image.Image:
    image = Image.fromarray(picture)
    size = tuple(side * scale // card.vae_factor * card.vae_factor for side in image.size)
    return image.resize((size[0], size[1]), Image.Resampling.BICUBIC)


def _adain(content: Picture, style: Picture) -> Picture:
    """The released colour correction: means and spreads of the low-resolution picture."""
    values, wanted = content / 255.0, style / 255.0
    moved = (values - values.mean((0, 1))) / np.sqrt(values.var((0, 1), ddof=1) + 1e-5)
    fixed = moved * np.sqrt(wanted.var((0, 1), ddof=1) + 1e-5) + wanted.mean((0, 1))
    restored: Picture = (fixed.clip(0, 1) * 255).astype(np.uint8)
    return restored


@click.command()
@click.argument("checkpoint", type=click.Path(path_type=Path))
@click.argument("bundle", type=click.Path(path_type=Path))
@click.argument("photo", type=click.Path(path_type=Path))
@click.argument("output", type=click.Path(path_type=Path))
@click.option("--steps", type=int, required=True)
@click.option("--guidance", type=float, required=True)
@click.option("--seed", type=int, default=0)
@click.option("--threads", type=int, default=0)
def command(
    checkpoint: Path,
    bundle: Path,
    photo: Path,
    output: Path,
    *,
    steps: int,
    guidance: float,
    seed: int,
    threads: int,
) -> None:
    """Restore PHOTO with the CHECKPOINT's weights and the BUNDLE's prompts."""
    import torch

    if threads:
        torch.set_num_threads(threads)
    picture = np.asarray(Image.open(photo).convert("RGB"))
    restored = restore(checkpoint, Bundle.open(bundle), picture, steps=steps, guidance=guidance, seed=seed)
    Image.fromarray(restored).save(output)


if __name__ == "__main__":
    sys.exit(run_command(command))
