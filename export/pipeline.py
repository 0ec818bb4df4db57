"""Whole systems to export: from a checkpoint folder, or from a seed where there is none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from dit4sr.export.architecture import Architecture, ComponentSource
from dit4sr.export.architectures.autoencoder_kl.components import SD35_VAE, Vae
from dit4sr.export.architectures.dit4sr.config import Flavour, TransformerConfig, Variant
from dit4sr.export.architectures.dit4sr.layout import lr_tensors, read_tensors
from dit4sr.export.architectures.dit4sr.loading import checkpoint_config, fresh_lr_weight
from dit4sr.export.architectures.dit4sr.network import VAE_FACTOR, Dit4sr
from dit4sr.export.architectures.text_encoders.encoders import (
    SD35_TEXT,
    EncoderConfig,
    checkpoint_encoders,
    random_encoders,
)
from dit4sr.export.sampling import Prompt, checkpoint_prompts, checkpoint_sampling
from dit4sr.export.weights.checkpoint import Checkpoint, check_layout, open_checkpoint, read_json
from dit4sr.export.weights.sources import RandomWeights
from dit4sr.runtime.errors import BadInputError
from dit4sr.runtime.files import sha256_of


@dataclass(frozen=True)
class System:
    """An architecture, the parts around it, and what the manifest says of their origin."""

    architecture: Architecture
    surroundings: tuple[ComponentSource, ...]
    checkpoint: Mapping[str, str]
    prompts: Mapping[str, Prompt] = field(default_factory=dict)


@dataclass(frozen=True)
class Untrained:
    """SD3.5's weights with fresh LR weights where it has none."""

    checkpoint: Checkpoint
    config: TransformerConfig

    def read(self, key: str) -> Tensor:
        """Read what is there, and begin what is not."""
        if key not in lr_tensors(self.config):
            return self.checkpoint.read(key)
        return fresh_lr_weight(key, self.config, self.checkpoint.read)


def checkpoint_system(
    path: Path,
    *,
    flavour: Flavour | None = None,
    variant: Variant | None = None,
    untrained: bool = False,
) -> System:
    """A published checkpoint: its transformer and, where the folder has them, its text encoders and VAE."""
    checkpoint = open_checkpoint(path)
    config = checkpoint_config(checkpoint, flavour=flavour, variant=variant, untrained=untrained)
    source = Untrained(checkpoint, config) if untrained else checkpoint
    files = {file.name: file for file in checkpoint.files()}
    words = checkpoint_encoders(path)
    for encoder in words.checkpoints():
        files |= {f"{file.parent.name}/{file.name}": file for file in encoder.files()}
    vae_parts: list[ComponentSource] = []
    if (path / "vae").is_dir():
        vae = open_checkpoint(path / "vae")
        files |= {f"vae/{file.name}": file for file in vae.files()}
        network = Vae(vae, vae_config(path / "vae" / "config.json"))
        check_layout(vae, network.layout(), "the VAE that its config describes")
        vae_parts = network.parts()
    prompts = checkpoint_prompts(path, config)
    sampling = checkpoint_sampling(path, prompts)
    return System(
        Dit4sr(config, source, "untrained LR stream" if untrained else "trained", sampling),
        (*words.parts(), *vae_parts),
        {name: sha256_of(files[name]) for name in sorted(files)},
        prompts,
    )


def random_system(
    seed: int,
    config: TransformerConfig,
    vae: Mapping[str, Any],
    text: Mapping[str, EncoderConfig] | None = None,
) -> System:
    """Weights by seed, at any size: for trying and timing, not for looking at."""
    layout = Vae(_NOTHING, vae).layout()
    says = f"random, seed {seed}"
    return System(
        Dit4sr(config, RandomWeights(read_tensors(config), seed), says),
        (*random_encoders(seed, text or {}).parts(), *Vae(RandomWeights(layout, seed), vae).parts()),
        {"random weights": f"seed {seed}"},
        random_prompts(seed, config),
    )


def full_size_system(seed: int, flavour: Flavour = Flavour.COPIED, *, text_encoders: bool = False) -> System:
    """The published architecture with weights by seed; text encoders, twice its size, only on request."""
    text = SD35_TEXT if text_encoders else None
    return random_system(seed, TransformerConfig(flavour=flavour), SD35_VAE, text)


def random_prompts(seed: int, config: TransformerConfig, tokens: int = 8) -> dict[str, Prompt]:
    """Context rows for a positive and a negative prompt, where there is no text encoder to make them."""
    noise = np.random.default_rng(seed)

    def prompt() -> Prompt:
        return (
            noise.standard_normal((tokens, config.joint_attention_dim), dtype=np.float32),
            noise.standard_normal(config.pooled_projection_dim, dtype=np.float32),
        )

    return {"positive": prompt(), "negative": prompt()}


OPTIONAL = ("mid_block_add_attention",)
"""What older configs of a VAE leave out, and diffusers knows the default of."""


def vae_config(file: Path) -> dict[str, Any]:
    """What diffusers' AutoencoderKL is to be built with."""
    values = read_json(file)
    config = {key: values[key] for key in (*SD35_VAE, *OPTIONAL) if key in values}
    if missing := SD35_VAE.keys() - config.keys():
        raise BadInputError(f"{file} lacks {min(missing)}", expected="the VAE config of SD3.5")
    if config["use_quant_conv"] or config["use_post_quant_conv"]:
        raise BadInputError(f"{file} asks for quant convolutions", expected="SD3.5's VAE, which has none")
    if (factor := 2 ** (len(config["block_out_channels"]) - 1)) != VAE_FACTOR:
        raise BadInputError(f"{file} describes a VAE of factor {factor}", expected=f"{VAE_FACTOR}")
    return config


class _Nothing:
    """A source for networks that are only looked at."""

    def read(self, key: str) -> Tensor:
        raise AssertionError(f"{key} has no data")


_NOTHING = _Nothing()
