"""A whole system to export: from a checkpoint folder, or from a seed where there is none."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from dit4sr.export import architectures
from dit4sr.export.architectures.autoencoder_kl.components import Vae, checkpoint_vae, random_vae
from dit4sr.export.architectures.autoencoder_kl.config import SD35_VAE
from dit4sr.export.architectures.image_encoders.clip_vision import ClipVisionConfig
from dit4sr.export.architectures.image_encoders.encoders import (
    CLIP_L,
    checkpoint_image_encoders,
    random_image_encoders,
)
from dit4sr.export.architectures.protocol import Choices, Network
from dit4sr.export.architectures.text_encoders.encoders import (
    SD35_TEXT,
    T5_TOKENS,
    EncoderConfig,
    checkpoint_encoders,
    random_encoders,
)
from dit4sr.export.component import ComponentSource
from dit4sr.export.sampling import (
    Prompt,
    Sampling,
    checkpoint_prompts,
    checkpoint_sampling,
    random_prompts,
)
from dit4sr.export.weights.checkpoint import Checkpoint, open_checkpoint
from dit4sr.runtime.bundles.manifest import ArchitectureRecord, ModelCard, View
from dit4sr.runtime.errors import BadInputError
from dit4sr.runtime.files.reading import sha256_of

NO_CHOICES: Choices = {}


@dataclass(frozen=True)
class Pipeline:
    """A network, the encoders and the VAE around it, how it is sampled, and where all of it came from."""

    architecture: str
    network: Network
    sampling: Sampling
    text_encoders: tuple[ComponentSource, ...] = ()
    """The text encoders, in the order in which their outputs are joined."""
    image_encoders: tuple[ComponentSource, ...] = ()
    """The image encoders, in the order in which their outputs are joined."""
    vae: tuple[ComponentSource, ...] = ()
    vae_config: Mapping[str, Any] = field(default_factory=dict)
    origin: Mapping[str, str] = field(default_factory=dict)
    """Where the weights come from: digests of the checkpoint's files, or the seed."""
    prompts: Mapping[str, Prompt] = field(default_factory=dict)

    def components(self) -> list[ComponentSource]:
        """All components to export, in the order in which prompt and picture pass through them."""
        return [*self.text_encoders, *self.image_encoders, *self.vae, *self.network.components()]

    @property
    def views(self) -> tuple[View, ...]:
        """What image encoders are shown of the picture for each tile."""
        sight = self.network.sight()
        return sight.views if sight else ()

    def card(self, precision: str) -> ModelCard:
        """The model card, which tells the sampler what it needs to know."""
        return replace(self.network.card(precision, self.sampling), presets=self.sampling.presets)

    def with_text_tokens(self, tokens: int) -> Pipeline:
        """The same for prompts of so many rows: encoders whose length is free get those that others leave.

        SD3.5's CLIPs read 77 tokens whatever is asked for, and T5 as many as there are left.
        """
        if self.prompts and self.sampling.text_tokens == len(self.prompts["positive"].get("text", ())):
            raise BadInputError(
                f"{tokens} rows of text", expected=f"{self.sampling.text_tokens}: its prompts are stored"
            )
        fixed = [axis for source in self.text_encoders if isinstance(axis := source.inputs[0].shape[-1], int)]
        left = tokens - max(fixed, default=0)
        if left < 1:
            raise BadInputError(f"{tokens} rows of text", expected=f"more than CLIP's {max(fixed)}")
        encoders = tuple(
            source
            if isinstance(source.inputs[0].shape[-1], int)
            else replace(
                source,
                tokenizer=source.tokenizer and source.tokenizer.cut_to(left),
                static_sizes={**source.static_sizes, "text": left},
            )
            for source in self.text_encoders
        )
        return replace(self, sampling=replace(self.sampling, text_tokens=tokens), text_encoders=encoders)

    def record(self) -> ArchitectureRecord:
        """The configs of network and VAE for the manifest, from which they can be built anew."""
        # Diffusers takes tuples as well as lists; JSON has lists.
        vae = json.loads(json.dumps(dict(self.vae_config)))
        configs = {architectures.NETWORK: self.network.to_json(), architectures.VAE: vae}
        return ArchitectureRecord(self.architecture, {key: value for key, value in configs.items() if value})


def checkpoint_pipeline(path: Path, choices: Choices = NO_CHOICES, *, name: str | None = None) -> Pipeline:
    """A published checkpoint: its network and, where the folder has them, its text encoders and VAE.

    The network's architecture is told by its tensors unless it is named.
    """
    checkpoint = open_checkpoint(path)
    architecture = architectures.named(name) if name else architectures.detect(checkpoint)
    network, default = architecture.load(checkpoint, choices), architecture.sampling()
    sight = network.sight()
    # Where pictures stand for CLIP's text, all rows of a prompt are T5's.
    t5_tokens = network.card("fp32", default).text_tokens if sight else T5_TOKENS
    encoders = checkpoint_encoders(path, t5_tokens=t5_tokens)
    image_encoders = checkpoint_image_encoders(path, sight) if sight else []
    files = {file.name: file for file in checkpoint.files()}
    for companion in architecture.companions:
        beside = open_checkpoint(path / companion)
        files |= {f"{companion}/{file.name}": file for file in beside.files()}
    for encoder in encoders.checkpoints():
        files |= {f"{file.parent.name}/{file.name}": file for file in encoder.files()}
    for shown in image_encoders:
        if isinstance(shown.weights, Checkpoint):
            files |= {f"{file.parent.name}/{file.name}": file for file in shown.weights.files()}
    vae: Vae | None = None
    if (path / "vae").is_dir():
        weights = open_checkpoint(path / "vae")
        files |= {f"vae/{file.name}": file for file in weights.files()}
        vae = checkpoint_vae(weights, default.vae_factor)
    prompts = checkpoint_prompts(path, network.card("fp32", default))
    return Pipeline(
        architecture.name,
        network,
        checkpoint_sampling(path, prompts, default),
        tuple(encoders.components()),
        tuple(each.component() for each in image_encoders),
        tuple(vae.components()) if vae else (),
        vae.config if vae else {},
        {name: sha256_of(files[name]) for name in sorted(files)},
        prompts,
    )


def random_pipeline(
    architecture: str,
    network: Network,
    seed: int,
    vae: Mapping[str, Any] | None = None,
    text: Mapping[str, EncoderConfig] | None = None,
    *,
    image: ClipVisionConfig | None = None,
) -> Pipeline:
    """A pipeline with weights drawn from a seed, at any size: for trying and timing, not for looking at."""
    sampling, sight = architectures.named(architecture).sampling(), network.sight()
    image_encoders = random_image_encoders(seed, sight, image) if sight and image else []
    return Pipeline(
        architecture,
        network,
        sampling,
        tuple(random_encoders(seed, text or {}).components()),
        tuple(each.component() for each in image_encoders),
        () if vae is None else tuple(random_vae(vae, seed).components()),
        vae or {},
        {"random weights": f"seed {seed}"},
        random_prompts(seed, network.card("fp32", sampling)),
    )


def full_size_pipeline(
    seed: int,
    choices: Choices = NO_CHOICES,
    *,
    name: str = architectures.DEFAULT,
    text_encoders: bool = False,
) -> Pipeline:
    """The published network, weights drawn from a seed; text encoders, twice its size, only on request."""
    architecture = architectures.named(name)
    network = architecture.random(architecture.published(choices), seed)
    return random_pipeline(name, network, seed, SD35_VAE, SD35_TEXT if text_encoders else None, image=CLIP_L)
