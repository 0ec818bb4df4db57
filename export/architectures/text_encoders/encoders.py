"""The encoders by which SD3.5 reads prompts, two CLIPs and a T5, as components."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TypeVar

import torch
from torch import nn

from dit4sr.export.architectures.text_encoders.clip import ClipConfig, ClipText
from dit4sr.export.architectures.text_encoders.t5 import T5Config, T5Encoder
from dit4sr.export.architectures.text_encoders.tokenizer import Tokenizer
from dit4sr.export.component import ComponentSource
from dit4sr.export.weights.checkpoint import Checkpoint, check_layout, open_checkpoint, read_json
from dit4sr.export.weights.sources import RandomWeights, WeightSource
from dit4sr.runtime.bundles.manifest import TensorSpec
from dit4sr.runtime.bundles.schema import SchemaError, from_json
from dit4sr.runtime.errors import BadInputError

T5_TOKENS = 256
"""How many tokens the released pipeline gives to T5; with CLIP's 77 they are the network's 333."""

EncoderConfig = ClipConfig | T5Config
SomeConfig = TypeVar("SomeConfig", bound=EncoderConfig)

SD35_TEXT: Mapping[str, EncoderConfig] = {
    "text_clip_l": ClipConfig(49408, 768, 3072, 12, 12, 77, 768, "quick_gelu", 1e-5, 2),
    "text_clip_g": ClipConfig(49408, 1280, 5120, 32, 20, 77, 1280, "gelu", 1e-5, 2),
    "text_t5": T5Config(32128, 4096, 64, 10240, 24, 64, 32, 128, 1e-6, "gated-gelu"),
}
"""Configs of SD3.5's encoders by component, in the order in which the runtime joins their outputs."""

FOLDERS = {
    "text_clip_l": ("text_encoder", "tokenizer"),
    "text_clip_g": ("text_encoder_2", "tokenizer_2"),
    "text_t5": ("text_encoder_3", "tokenizer_3"),
}
"""Where a diffusers checkpoint keeps an encoder and its tokenizer."""

REDUNDANT = {"text_model.embeddings.position_ids", "encoder.embed_tokens.weight"}
"""Tensors that some files also hold: the numbers from 0 to 76, and a second copy of T5's word embedding."""


@dataclass(frozen=True)
class TextEncoder:
    """One encoder: a CLIP with projection or a T5 v1.1, and what turns words into its numbers."""

    name: str
    config: EncoderConfig
    weights: WeightSource
    tokenizer: Tokenizer | None = None
    t5_tokens: int = T5_TOKENS

    def component(self) -> ComponentSource:
        """The encoder as a component to export."""
        config, module = self.config, network(self.config)
        is_clip = isinstance(config, ClipConfig)
        return ComponentSource(
            self.name,
            module,
            (TensorSpec("token_ids", "int64", ("images", self.tokens if is_clip else "text")),),
            ("text", "pooled") if is_clip else ("text",),
            {key: key for key in module.state_dict()},
            self.weights,
            vocabulary=config.vocab_size,
            tokenizer=self.tokenizer,
            static_sizes={"text": self.tokens},
        )

    @property
    def tokens(self) -> int:
        """How many tokens the encoder is given."""
        return prompt_tokens(self.config, self.t5_tokens)


@dataclass(frozen=True)
class TextEncoders:
    """The text encoders of a pipeline, in the order in which the runtime joins their outputs."""

    encoders: tuple[TextEncoder, ...]

    def components(self) -> list[ComponentSource]:
        """The components `text_clip_l`, `text_clip_g` and `text_t5`, or those of them that are there."""
        return [encoder.component() for encoder in self.encoders]

    def checkpoints(self) -> list[Checkpoint]:
        """The checkpoints that the encoders' weights come from, as far as those are files."""
        found = [encoder.weights for encoder in self.encoders]
        return [weights for weights in found if isinstance(weights, Checkpoint)]


def checkpoint_encoders(path: Path, *, t5_tokens: int = T5_TOKENS) -> TextEncoders:
    """The encoders that a diffusers folder has, checked against their configs."""
    encoders = []
    for name, (folder, tokenizer) in FOLDERS.items():
        if (path / folder).is_dir():
            config = read_config(type(SD35_TEXT[name]), path / folder / "config.json")
            words = Tokenizer(path / tokenizer, prompt_tokens(config, t5_tokens))
            encoders.append(TextEncoder(name, config, _open(path / folder, config), words, t5_tokens))
    return TextEncoders(tuple(encoders))


def random_encoders(seed: int, configs: Mapping[str, EncoderConfig]) -> TextEncoders:
    """Encoders with weights drawn from a seed, without tokenizers."""
    return TextEncoders(
        tuple(
            TextEncoder(name, config, RandomWeights(layout(config), seed)) for name, config in configs.items()
        )
    )


def prompt_tokens(config: EncoderConfig, t5_tokens: int = T5_TOKENS) -> int:
    """How many tokens an encoder is given: always as many, since padding takes part in its output."""
    return config.max_position_embeddings if isinstance(config, ClipConfig) else t5_tokens


def network(config: EncoderConfig) -> nn.Module:
    """An encoder on meta tensors."""
    with torch.device("meta"):
        module = ClipText(config) if isinstance(config, ClipConfig) else T5Encoder(config)
    return module.eval().requires_grad_(False)


def layout(config: EncoderConfig) -> dict[str, tuple[int, ...]]:
    """Tensor names and shapes of an encoder."""
    return {key: tuple(tensor.shape) for key, tensor in network(config).state_dict().items()}


def read_config(kind: type[SomeConfig], file: Path) -> SomeConfig:
    """Read the ``config.json`` beside an encoder; entries that do not change its answers are passed over."""
    values = read_json(file)
    known = {field.name: values[field.name] for field in fields(kind) if field.name in values}
    try:
        return from_json(kind, known)
    except SchemaError as error:
        what = "CLIP text encoder with projection" if kind is ClipConfig else "T5 v1.1 encoder"
        raise BadInputError(
            f"{file} does not describe a {what}: {error}",
            expected="the config.json that was published beside the weights",
        ) from None


def _open(folder: Path, config: EncoderConfig) -> Checkpoint:
    checkpoint = open_checkpoint(folder)
    tensors = {key: stored for key, stored in checkpoint.tensors.items() if key not in REDUNDANT}
    checkpoint = replace(checkpoint, tensors=tensors)
    check_layout(checkpoint, layout(config), f"this {type(config).__name__.removesuffix('Config')} encoder")
    return checkpoint
