"""How a pipeline is meant to be sampled: its latents' scale, its schedule, its defaults, its stored prompts.

A diffusers folder says the first two in the configs of its VAE and scheduler. Two files of our own may stand
beside them: ``dit4sr.json`` with a name, defaults and presets, and ``prompts.safetensors`` for a system that
was trained with two stored prompts instead of text encoders.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dit4sr.export.architectures.sizes import LARGEST_LATENT, check_sizes, shown
from dit4sr.export.weights.checkpoint import open_checkpoint, read_json
from dit4sr.runtime.bundles.manifest import ModelCard
from dit4sr.runtime.bundles.presets import MOST_STEPS, Preset
from dit4sr.runtime.bundles.schema import SchemaError, from_json
from dit4sr.runtime.errors import BadInputError
from dit4sr.runtime.sampling.guidance import MOST_GUIDANCE

Prompt = Mapping[str, NDArray[np.float32]]
"""What a prompt is to the network, by name: for SD3.5's kind ``text`` ``[M, C]`` and ``pooled`` ``[P]``."""

DEFAULTS, PROMPTS = "dit4sr.json", "prompts.safetensors"
LONGEST_NAME = 200
RANGES = {
    "scaling": (1e-6, 1e6),
    "shift": (-1e6, 1e6),
    "schedule_shift": (1e-3, 1e3),
    "guidance": (1, MOST_GUIDANCE),
}
SIDES = ("positive", "negative")


@dataclass(frozen=True)
class Sampling:
    """How a network is sampled; the latents are those of SD3.5's VAE unless a checkpoint says otherwise."""

    name: str
    steps: int
    guidance: float
    text_tokens: int
    tile: int | None = None
    """Side of the latents that the network was trained on, where its own config does not tell."""
    scaling: float = 1.5305
    shift: float = 0.0609
    schedule_shift: float = 3.0
    vae_factor: int = 8
    """How many pixels of the picture make one of the latent, along each axis."""
    presets: tuple[Preset, ...] = ()
    """Schedules that were measured on these very weights."""


def checkpoint_sampling(folder: Path, prompts: Mapping[str, Prompt], default: Sampling) -> Sampling:
    """What a checkpoint's folder says of its sampling, over the architecture's defaults."""
    found = {
        **_stated(folder / "vae" / "config.json", scaling="scaling_factor", shift="shift_factor"),
        **_stated(folder / "scheduler" / "scheduler_config.json", schedule_shift="shift"),
        **_stated(folder / DEFAULTS, steps="steps", guidance="guidance", name="name", tile="tile"),
    }
    if presets := _stated(folder / DEFAULTS, presets="presets"):
        found["presets"] = _presets(folder, presets["presets"])
    if prompts:
        found["text_tokens"] = len(prompts["positive"]["text"])
    sampling = replace(default, **found)
    try:
        _check_defaults(sampling)
        _check_numbers(sampling)
    except ValueError as error:
        raise BadInputError(
            f"{folder}: {error}", fix="mend its configs, or copy the checkpoint again"
        ) from None
    return sampling


def checkpoint_prompts(folder: Path, card: ModelCard) -> dict[str, Prompt]:
    """The prompts that a checkpoint stores, if any, held against the widths that the network reads."""
    file = folder / PROMPTS
    if not file.exists():
        return {}
    stored = open_checkpoint(file)
    # Of networks that read no pooled text, a prompt has none.
    parts = ("text", "pooled") if card.pooled_channels else ("text",)
    wanted = {f"{side}.{part}" for side in SIDES for part in parts}
    if stored.tensors.keys() != wanted:
        raise BadInputError(f"{file} holds {', '.join(stored.tensors)}", expected=", ".join(sorted(wanted)))
    rows = {stored.tensors[f"{side}.text"].shape for side in SIDES}
    [(tokens, *width)] = rows if len(rows) == 1 else [(0,)]
    if tokens < 1 or width != [card.text_channels]:
        raise BadInputError(
            f"{file}: the prompts' rows do not fit the network or one another",
            expected=f"[tokens, {card.text_channels}] for both",
        )
    pooled = {stored.tensors[f"{side}.pooled"].shape for side in SIDES if "pooled" in parts}
    if pooled - {(card.pooled_channels,)}:
        raise BadInputError(
            f"{file}: a pooled vector does not fit the network", expected=f"[{card.pooled_channels}]"
        )
    return {side: {part: stored.read(f"{side}.{part}").float().numpy() for part in parts} for side in SIDES}


def random_prompts(seed: int, card: ModelCard, tokens: int = 8) -> dict[str, Prompt]:
    """Context rows for a positive and a negative prompt, where there is no text encoder to make them."""
    noise = np.random.default_rng(seed)

    def prompt() -> Prompt:
        text = {"text": noise.standard_normal((tokens, card.text_channels), dtype=np.float32)}
        if not card.pooled_channels:
            return text
        return text | {"pooled": noise.standard_normal(card.pooled_channels, dtype=np.float32)}

    return {"positive": prompt(), "negative": prompt()}


def _presets(folder: Path, values: Any) -> tuple[Preset, ...]:
    """The presets that a checkpoint states."""
    try:
        return from_json(Presets, {"presets": values}).presets
    except SchemaError as error:
        raise BadInputError(
            f"{folder / DEFAULTS}: {error}", fix="mend it, or leave its presets out"
        ) from None


@dataclass(frozen=True)
class Presets:
    """A list of presets, for whoever reads one."""

    presets: tuple[Preset, ...]


def _check_defaults(sampling: Sampling) -> None:
    """Refuse, with a ``ValueError``, a name, steps or a tile that no run could have."""
    try:
        if not isinstance(sampling.name, str) or not 1 <= len(sampling.name) <= LONGEST_NAME:
            raise ValueError(f"name is {shown(sampling.name)}, not 1 to {LONGEST_NAME} characters")
        check_sizes({"steps": sampling.steps}, MOST_STEPS)
        if sampling.tile is not None:
            check_sizes({"tile": sampling.tile}, LARGEST_LATENT)
    except ValueError as error:
        raise ValueError(f"name, steps or tile is of the wrong kind ({error})") from None


def _check_numbers(sampling: Sampling) -> None:
    """Refuse, with a ``ValueError``, a scale, shift or guidance out of its range."""
    for name, (least, most) in RANGES.items():
        number = getattr(sampling, name)
        if type(number) not in {int, float} or not least <= number <= most:
            raise ValueError(f"{name} is {shown(number)}, no finite number from {least:g} to {most:g}")


def _stated(file: Path, **keys: str) -> dict[str, Any]:
    """The fields that a config file states; a missing file states none."""
    values = read_json(file) if file.exists() else {}
    return {name: values[key] for name, key in keys.items() if values.get(key) is not None}
