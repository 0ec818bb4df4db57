"""dit4sr-tiny as a whole: a photo in, a picture out, plainly in torch. And its checkpoint."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from dit4sr.export.architectures.dit4sr.released.transformer import Transformer
from dit4sr.export.tiny.data.degradation import enlarged
from dit4sr.export.tiny.recipe import TILE, TRANSFORMER, VAE
from dit4sr.export.tiny.training.autoencoder import as_image
from dit4sr.export.tiny.training.flow import SCHEDULE_SHIFT, Restorer
from dit4sr.export.tiny.training.latents import Scale, encode
from dit4sr.export.weights.checkpoint import read_json
from dit4sr.runtime.files.whole import atomic_directory
from dit4sr.runtime.sampling.noise_levels import noise_levels

Picture = NDArray[np.uint8]
WEIGHTS = "diffusion_pytorch_model.safetensors"
NAME = "dit4sr-tiny"
SIDES = ("negative", "positive")


@dataclass(frozen=True)
class TinySystem:
    """The whole of dit4sr-tiny: VAE, transformer with prompts, and the latents' scale."""

    vae: AutoencoderKL
    restorer: Restorer
    scale: Scale

    @torch.no_grad()
    def reconstruct(self, picture: Picture) -> Picture:
        """Pass a picture through the VAE and back."""
        return self._decode(encode(self.vae, _image(picture)))

    @torch.no_grad()
    def restore(self, photo: Picture, *, steps: int, guidance: float, seed: int) -> Picture:
        """Restore a photo no larger than a tile by Euler's method from noise, as the runtime does it."""
        condition = self.scale.apply(encode(self.vae, _image(enlarged(photo))))
        generator = torch.Generator().manual_seed(seed)
        latent = torch.randn(condition.shape, generator=generator)
        levels = torch.from_numpy(noise_levels(steps, SCHEDULE_SHIFT))
        rows = 1 if guidance == 1 else 2
        prompt = torch.tensor([1] if rows == 1 else [0, 1])
        for level, following in pairwise(levels):
            velocity = self.restorer(
                latent.expand(rows, -1, -1, -1),
                condition.expand(rows, -1, -1, -1),
                prompt,
                level.expand(rows),
            )
            if rows == 2:
                velocity = velocity[:1] + guidance * (velocity[1:] - velocity[:1])
            latent = latent + (following - level) * velocity
        return self._decode(self.scale.undo(latent))

    def _decode(self, latent: Tensor) -> Picture:
        image = self.vae.decoder(latent)[0].float().clamp(-1, 1)
        picture: Picture = ((image + 1) * 127.5).round().byte().permute(1, 2, 0).numpy()
        return picture


Parts = Mapping[str, tuple[nn.Module, Mapping[str, object]]]
"""Networks by their folder in a checkpoint, each with its ``config.json``."""


def read_checkpoint(folder: Path) -> TinySystem:
    """Read what `write_checkpoint` wrote, as it was rounded."""
    restorer = Restorer(Transformer(TRANSFORMER))
    return read_parts(folder, restorer, tiny_parts(restorer))


def write_checkpoint(system: TinySystem, folder: Path, *, steps: int, guidance: float) -> None:
    """Write a diffusers folder in FP16, with the prompts and defaults beside it."""
    defaults = {"name": NAME, "steps": steps, "guidance": guidance, "tile": TILE}
    write_parts(system, tiny_parts(system.restorer), folder, defaults)


def tiny_parts(restorer: Restorer) -> Parts:
    """The folder of dit4sr-tiny's network."""
    config = {key: value for key, value in TRANSFORMER.to_json().items() if key not in {"flavour", "variant"}}
    return {"transformer": (restorer.transformer, config)}


def read_parts(folder: Path, restorer: Restorer, parts: Parts) -> TinySystem:
    """Read a checkpoint into a restorer, whose networks ``parts`` names."""
    vae = AutoencoderKL(**VAE).eval().requires_grad_(False)
    vae.load_state_dict(load_file(folder / "vae" / WEIGHTS))
    config = read_json(folder / "vae" / "config.json")
    prompts = load_file(folder / "prompts.safetensors")
    restorer.eval().requires_grad_(False)
    for name, (network, _) in parts.items():
        network.load_state_dict(load_file(folder / name / WEIGHTS))
    for place, side in enumerate(SIDES):
        restorer.text[place] = prompts[f"{side}.text"]
        restorer.pooled[place] = prompts[f"{side}.pooled"]
    return TinySystem(vae, restorer, Scale(config["shift_factor"], config["scaling_factor"]))


def write_parts(system: TinySystem, parts: Parts, folder: Path, defaults: Mapping[str, object]) -> None:
    """Write a checkpoint of a system, whose networks ``parts`` names."""
    scale = {"scaling_factor": system.scale.scaling, "shift_factor": system.scale.shift}
    restorer = system.restorer
    prompts = {
        f"{side}.{part}": values[place]
        for place, side in enumerate(SIDES)
        for part, values in (("text", restorer.text), ("pooled", restorer.pooled))
    }
    with atomic_directory(folder, replace=True) as draft:
        for name, (network, config) in parts.items():
            _write_part(draft / name, network.state_dict(), config)
        _write_part(draft / "vae", system.vae.state_dict(), {**VAE, **scale})
        _write_json(draft / "scheduler" / "scheduler_config.json", {"shift": SCHEDULE_SHIFT})
        _write_json(draft / "dit4sr.json", defaults)
        save_file(_halves(prompts), draft / "prompts.safetensors")


def _write_part(folder: Path, tensors: dict[str, Tensor], config: Mapping[str, object]) -> None:
    _write_json(folder / "config.json", config)
    save_file(_halves(tensors), folder / WEIGHTS)


def _write_json(file: Path, values: Mapping[str, object]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(values, indent=2) + "\n")


def _halves(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {key: tensor.detach().half().contiguous() for key, tensor in tensors.items()}


def _image(picture: Picture) -> Tensor:
    return as_image(picture.transpose(2, 0, 1)[None], "cpu")
