"""What a DiT4SR transformer is made of: sizes, flavour and variant, in one frozen config."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from enum import Enum
from typing import Any

from dit4sr.export.architectures.sizes import LARGEST_LATENT, check_sizes, shown
from dit4sr.runtime.errors import BadInputError


class Flavour(str, Enum):
    """The LR-key rule that a checkpoint was trained with."""

    COPIED = "copied"
    """dit4sr_q, dit4sr_f: the LR keys are the normalised noise keys, normalised once more."""
    OWN = "own"
    """dit4sr_r1: the LR stream projects keys of its own, as the paper says."""


class Variant(str, Enum):
    """The published architecture, or one of the paper's ablations."""

    FULL = "full"
    A = "a"
    """No LR integration: the LR stream attends to itself only."""
    B = "b"
    """No LR residual around the attention."""
    C = "c"
    """No LR injection between the MLPs."""
    D = "d"
    """Injection by a dense linear layer instead of the convolution (the literal reading)."""
    D_CHANNEL = "d-channel"
    """Injection by one factor per channel (the frugal reading of D)."""


class Injection(Enum):
    """How the LR stream's MLP reaches into the noise stream's."""

    CONVOLUTION = "convolution"
    LINEAR = "linear"
    CHANNEL = "channel"
    NONE = "none"


_INJECTION_OF = {
    Variant.C: Injection.NONE,
    Variant.D: Injection.LINEAR,
    Variant.D_CHANNEL: Injection.CHANNEL,
}


@dataclass(frozen=True)
class TransformerConfig:
    """A transformer's config, with the names of diffusers' ``config.json`` and SD3.5-Medium's defaults."""

    num_layers: int = 24
    num_attention_heads: int = 24
    attention_head_dim: int = 64
    in_channels: int = 16
    out_channels: int = 16
    patch_size: int = 2
    joint_attention_dim: int = 4096
    pooled_projection_dim: int = 2048
    pos_embed_max_size: int = 384
    sample_size: int = 128
    dual_attention_layers: tuple[int, ...] = tuple(range(13))
    flavour: Flavour = Flavour.COPIED
    variant: Variant = Variant.FULL

    def __post_init__(self) -> None:
        if self.variant is Variant.A and self.flavour is Flavour.COPIED:
            raise BadInputError(
                "variant a with flavour copied",
                expected="flavour own: alone in its softmax, the LR stream needs keys of its own",
            )
        outside = [layer for layer in self.dual_attention_layers if not 0 <= layer < self.num_layers]
        if outside:
            raise BadInputError(
                f"dual_attention_layers names {shown(outside)}, the model has {self.num_layers} layers"
            )

    @property
    def width(self) -> int:
        """Number of channels of a token, D in shapes."""
        return self.num_attention_heads * self.attention_head_dim

    @property
    def hidden_width(self) -> int:
        """Number of channels between the two linear layers of a feed-forward."""
        return 4 * self.width

    @property
    def base_grid(self) -> int:
        """The token grid that the positions were trained on."""
        return self.sample_size // self.patch_size

    @property
    def lr_joins_attention(self) -> bool:
        """True if LR tokens share a softmax with the others (LR integration)."""
        return self.variant is not Variant.A

    @property
    def lr_residual(self) -> bool:
        """True if the LR stream's attention output gets its input added before the projection."""
        return self.variant is not Variant.B

    @property
    def injection(self) -> Injection:
        """The kind of injection that leads from the LR stream's MLP into the noise stream's."""
        return _INJECTION_OF.get(self.variant, Injection.CONVOLUTION)

    def is_dual(self, layer: int) -> bool:
        """True if this layer has a second attention, over the image streams only."""
        return layer in self.dual_attention_layers

    def is_final(self, layer: int) -> bool:
        """True if this is the last layer, after which the text and LR streams are dropped."""
        return layer == self.num_layers - 1

    def with_flavour(self, flavour: Flavour) -> TransformerConfig:
        """Return this config with another LR-key rule."""
        return replace(self, flavour=flavour)

    @classmethod
    def from_json(cls, values: Mapping[str, Any], *, source: str = "config.json") -> TransformerConfig:
        """Read a diffusers transformer config; unknown entries are other classes' business."""
        known = {
            field.name: values[field.name] for field in fields(cls) if values.get(field.name) is not None
        }
        try:
            if "dual_attention_layers" in known:
                known["dual_attention_layers"] = tuple(
                    sorted(_whole(v) for v in known["dual_attention_layers"])
                )
            if "flavour" in known:
                known["flavour"] = Flavour(known["flavour"])
            if "variant" in known:
                known["variant"] = Variant(known["variant"])
            for name, value in known.items():
                if name not in {"dual_attention_layers", "flavour", "variant"} and _whole(value) < 1:
                    raise ValueError(f"{name} is {shown(value)}")
            config = cls(**known)
            check_sizes({"sample_size": config.sample_size}, LARGEST_LATENT)
            _refuse_other_architectures(values, config)
        except (TypeError, ValueError) as error:
            raise BadInputError(
                f"{source} does not describe a DiT4SR transformer: {error}",
                expected="the config.json that diffusers wrote beside the weights",
            ) from None
        return config

    def to_json(self) -> dict[str, Any]:
        """Return the config as JSON that ``from_json`` reads."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        values["dual_attention_layers"] = list(self.dual_attention_layers)
        values["flavour"], values["variant"] = self.flavour.value, self.variant.value
        return {
            "_class_name": "SD3Transformer2DModel",
            "caption_projection_dim": self.width,
            "qk_norm": "rms_norm",
        } | values


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"{shown(value)} is not a whole number")
    return value


def _refuse_other_architectures(values: Mapping[str, Any], config: TransformerConfig) -> None:
    """Refuse SD3 and SD3.5-Large, which share the class name but not the mathematics."""
    if values.get("qk_norm", "rms_norm") != "rms_norm":
        raise ValueError(f"qk_norm is {shown(values['qk_norm'])}, SD3.5 has 'rms_norm'")
    if values.get("caption_projection_dim", config.width) != config.width:
        width = shown(values["caption_projection_dim"])
        raise ValueError(f"caption_projection_dim is {width}, the heads make {config.width}")
    if config.in_channels != config.out_channels:
        raise ValueError(f"{config.in_channels} channels in, {config.out_channels} out")


SMALLEST = TransformerConfig(
    num_layers=2,
    num_attention_heads=1,
    joint_attention_dim=24,
    pooled_projection_dim=20,
    pos_embed_max_size=6,
    sample_size=8,
    dual_attention_layers=(0,),
)
"""Every kind of tensor in a megabyte of weights: to try code with, and for tests."""
