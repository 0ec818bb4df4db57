"""The encoders by which a network sees the picture, CLIP's image towers, as components."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dit4sr.export.architectures.image_encoders.clip_vision import ClipVision, ClipVisionConfig
from dit4sr.export.architectures.protocol import Sight
from dit4sr.export.architectures.sizes import shown
from dit4sr.export.component import ComponentSource
from dit4sr.export.weights.checkpoint import Checkpoint, check_layout, open_checkpoint, read_json
from dit4sr.export.weights.folds import Fold, Recipes
from dit4sr.export.weights.sources import RandomWeights, WeightSource
from dit4sr.runtime.bundles.manifest import TensorSpec
from dit4sr.runtime.bundles.schema import SchemaError, from_json
from dit4sr.runtime.errors import BadInputError

CLIP_L = ClipVisionConfig(1024, 4096, 24, 16, 224, 14, 768)
"""The image tower of CLIP-L, 14-pixel patches at 224."""

FOLDERS = {"image_clip": "image_encoder", "image_clip_2": "image_encoder_2"}
"""Where a checkpoint keeps an encoder, by component, in the order in which outputs are joined."""
PREPROCESSOR = Path("feature_extractor") / "preprocessor_config.json"
"""Where diffusers' layout says what pictures are normalised by."""
REDUNDANT = "vision_model.embeddings.position_ids"
"""A tensor that some files also hold: the numbers from 0 on."""
PATCHES = "vision_model.embeddings.patch_embedding"


@dataclass(frozen=True)
class Normalisation:
    """What CLIP takes from a picture's colours, and divides them by; the defaults are OpenAI's."""

    mean: tuple[float, float, float] = (0.48145466, 0.4578275, 0.40821073)
    spread: tuple[float, float, float] = (0.26862954, 0.26130258, 0.27577711)


@dataclass(frozen=True)
class ImageEncoder:
    """One encoder: a CLIP image tower with projection, and what a network wants of it."""

    name: str
    config: ClipVisionConfig
    weights: WeightSource
    sight: Sight
    normalisation: Normalisation = Normalisation()

    def component(self) -> ComponentSource:
        """The encoder as a component to export."""
        side = self.config.image_size
        module = network(self.config, self.sight)
        return ComponentSource(
            self.name,
            module,
            (TensorSpec("image", "float32", ("images", 3, side, side)),),
            ("tokens", "pooled"),
            recipes(module, self.normalisation),
            self.weights,
        )


def checkpoint_image_encoders(path: Path, sight: Sight) -> list[ImageEncoder]:
    """The image encoders that a checkpoint's folder has, held against what the network reads."""
    normalisation = read_normalisation(path / PREPROCESSOR)
    encoders = []
    for name, folder in FOLDERS.items():
        if (path / folder).is_dir():
            config = read_config(path / folder / "config.json")
            encoders.append(ImageEncoder(name, config, _open(path / folder, config), sight, normalisation))
    if encoders:
        _check_fit(path, [encoder.config for encoder in encoders], sight)
    return encoders


def random_image_encoders(seed: int, sight: Sight, config: ClipVisionConfig) -> list[ImageEncoder]:
    """An encoder with weights drawn from a seed."""
    name = next(iter(FOLDERS))
    return [ImageEncoder(name, config, RandomWeights(layout(config), seed), sight)]


def network(config: ClipVisionConfig, sight: Sight) -> ClipVision:
    """An encoder on meta tensors."""
    with torch.device("meta"):
        module = ClipVision(config, layer=sight.layer, class_token=sight.class_token)
    return module.eval().requires_grad_(False)


def layout(config: ClipVisionConfig) -> dict[str, tuple[int, ...]]:
    """Tensor names and shapes of an encoder, as published."""
    with torch.device("meta"):
        state = ClipVision(config, layer=-1, class_token=True).state_dict()
    return {key: tuple(tensor.shape) for key, tensor in state.items() if key != f"{PATCHES}.bias"}


def recipes(module: ClipVision, normalisation: Normalisation) -> Recipes:
    """Recipes for the weights of an encoder; the patches' normalise the colours."""
    kept: Recipes = {key: key for key in module.state_dict()}
    return kept | {
        f"{PATCHES}.weight": Fold(partial(normalising_weight, by=normalisation), (f"{PATCHES}.weight",)),
        f"{PATCHES}.bias": Fold(partial(normalising_bias, by=normalisation), (f"{PATCHES}.weight",)),
    }


def normalising_weight(weight: Tensor, by: Normalisation) -> Tensor:
    """Fold into the patches' weight that colours from -1 to 1 span as much as half of CLIP's spread."""
    spread = torch.tensor(by.spread, dtype=torch.float64)[:, None, None]
    return (weight.double() * 0.5 / spread).to(weight.dtype)


def normalising_bias(weight: Tensor, by: Normalisation) -> Tensor:
    """Fold into a bias what of CLIP's mean is not the middle of colours from -1 to 1."""
    mean, spread = (torch.tensor(values, dtype=torch.float64) for values in (by.mean, by.spread))
    return (weight.double().sum((2, 3)) @ ((0.5 - mean) / spread)).to(weight.dtype)


def read_config(file: Path) -> ClipVisionConfig:
    """Read the ``config.json`` beside an encoder; entries that do not change its answers are passed over."""
    values = read_json(file)
    known = {field.name: values[field.name] for field in fields(ClipVisionConfig) if field.name in values}
    try:
        if values.get("num_channels", 3) != 3:
            raise SchemaError(f"num_channels is {shown(values['num_channels'])}")
        return from_json(ClipVisionConfig, known)
    except SchemaError as error:
        raise BadInputError(
            f"{file} does not describe a CLIP image encoder with projection: {error}",
            expected="the config.json that was published beside the weights",
        ) from None


def read_normalisation(file: Path) -> Normalisation:
    """Read what a ``preprocessor_config.json`` says that pictures are normalised by, if it is there."""
    values: Mapping[str, Any] = read_json(file) if file.exists() else {}
    default = Normalisation()
    found = {
        "mean": values.get("image_mean", default.mean),
        "spread": values.get("image_std", default.spread),
    }
    for name, numbers in found.items():
        if not isinstance(numbers, (list, tuple)) or len(numbers) != 3:
            raise BadInputError(f"{file}: {name} is {shown(numbers)}", expected="a number for each colour")
        if any(type(number) not in {int, float} or not 1e-3 <= number <= 1e3 for number in numbers):
            raise BadInputError(f"{file}: {name} is {shown(numbers)}", expected="numbers above nought")
    return Normalisation(**{name: tuple(numbers) for name, numbers in found.items()})


def _open(folder: Path, config: ClipVisionConfig) -> Checkpoint:
    checkpoint = open_checkpoint(folder)
    tensors = {key: stored for key, stored in checkpoint.tensors.items() if key != REDUNDANT}
    checkpoint = replace(checkpoint, tensors=tensors)
    check_layout(checkpoint, layout(config), "this CLIP image encoder")
    return checkpoint


def _check_fit(path: Path, configs: Sequence[ClipVisionConfig], sight: Sight) -> None:
    """Refuse encoders that make other tokens or vectors than the network reads."""
    if any(not -config.num_hidden_layers - 1 <= sight.layer for config in configs):
        raise BadInputError(
            f"the image encoder in {path} has fewer layers than {-sight.layer}",
            expected="the one that the network was trained with",
        )
    found = {
        "channels": sum(config.hidden_size for config in configs),
        "pooled channels": sum(config.projection_dim for config in configs),
    }
    wanted = {"channels": sight.channels, "pooled channels": sight.pooled_channels}
    for config in configs:
        found["tokens"], wanted["tokens"] = config.patches + sight.class_token, sight.tokens
        if found != wanted:
            name = next(name for name in found if found[name] != wanted[name])
            raise BadInputError(
                f"the image encoder in {path} makes {found[name]} {name}",
                expected=f"{wanted[name]}, as the network reads",
                fix="take the encoder that the network was trained with",
            )
