"""The released loop in torch and diffusers: what a cold start is compared with.

``python -m dit4sr.bench.baselines.released`` restores one picture as a script of the released kind would:
import torch and diffusers, load a checkpoint, sample, decode.
"""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np
from PIL import Image

from dit4sr.bench.baselines.reference import reference_of
from dit4sr.export import architectures
from dit4sr.runtime.bundles.bundle import Bundle
from dit4sr.runtime.bundles.manifest import ModelCard
from dit4sr.runtime.console.command import run_process
from dit4sr.runtime.image.colour import ColourFix
from dit4sr.runtime.image.photo import Picture

# torch takes seconds to import, and is needed only by those who ask for a baseline.
# ruff: noqa: PLC0415


def write_checkpoint(bundle: Bundle, folder: Path) -> Path | None:
    """A checkpoint of the bundle's size with random weights; none if its VAE is none of diffusers'."""
    reference = reference_of(bundle)
    import torch
    from diffusers import AutoencoderKL

    vae = architectures.vae_config(bundle.manifest)
    if vae is None:
        return None
    reference.write_checkpoint(folder)
    torch.manual_seed(0)
    scale = {"scaling_factor": bundle.card.scaling, "shift_factor": bundle.card.shift}
    AutoencoderKL(**vae, **scale).save_pretrained(folder / "vae")
    return folder


def restore(
    checkpoint: Path, bundle: Bundle, picture: Picture, *, steps: int, guidance: float, seed: int
) -> Picture:
    """A picture of one tile through the released loop, plainly in torch and diffusers; FP32 throughout."""
    import torch
    from diffusers import AutoencoderKL, FlowMatchEulerDiscreteScheduler

    card = bundle.card
    transformer = reference_of(bundle).load(checkpoint)
    vae = AutoencoderKL.from_pretrained(checkpoint / "vae").eval()
    scheduler = FlowMatchEulerDiscreteScheduler(num_train_timesteps=1000, shift=card.schedule_shift)
    scheduler.set_timesteps(steps)
    names = ["negative", "positive"] if guidance > 1 else ["positive"]
    text, pooled = (
        torch.stack([torch.from_numpy(bundle.embedding(name)[part]) for name in names])
        for part in ("text", "pooled")
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
        levels = ((decoded / 2 + 0.5).clamp(0, 1) * 65535).round().numpy()
    # Ours: theirs drops decimals, which would hide what the networks differ by.
    return ColourFix.ADAIN.apply(levels.astype(np.uint16), np.asarray(low))


def _enlarged(picture: Picture, card: ModelCard, scale: int = 4) -> Image.Image:
    image = Image.fromarray(picture)
    size = tuple(side * scale // card.vae_factor * card.vae_factor for side in image.size)
    return image.resize((size[0], size[1]), Image.Resampling.BICUBIC)


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
    run_process(command)
