"""What an SD3-ControlNet is made of: two stacks of joint blocks on shared sizes, and what no tensor tells."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from enum import Enum
from typing import Any

from dit4sr.export.architectures.mmdit.sizes import SIZES
from dit4sr.export.architectures.mmdit.stack import Stack
from dit4sr.export.architectures.sizes import LARGEST_LATENT, MOST_LAYERS, check_sizes, shown
from dit4sr.runtime.errors import BadInputError
from dit4sr.runtime.sampling.guidance import MOST_GUIDANCE


class ResidualRule(str, Enum):
    """Which residual a block of the backbone gets: that of its layer, divided by blocks per residual."""

    FLOAT = "float"
    """diffusers since 0.32: the quotient is a fraction, and every residual count fits."""
    INTEGER = "integer"
    """diffusers before 0.32: the quotient is a whole number, so 23 residuals go to 24 blocks one by one."""


class ControlPooled(str, Enum):
    """The pooled text that the control net sees."""

    ZERO = "zero"
    TEXT = "text"
    """The backbone's own."""


class ControlShift(str, Enum):
    """What was subtracted from the condition's latent before it was scaled."""

    ZERO = "zero"
    VAE = "vae"
    """The VAE's shift, as from the latent that is restored."""


@dataclass(frozen=True)
class SystemConfig:
    """Backbone and control net, with diffusers' names for sizes and SD3.5-Medium's defaults."""

    num_attention_heads: int = 24
    attention_head_dim: int = 64
    in_channels: int = 16
    patch_size: int = 2
    joint_attention_dim: int = 4096
    pooled_projection_dim: int = 2048
    pos_embed_max_size: int = 384
    sample_size: int = 128
    backbone: Stack = Stack(24, tuple(range(13)))
    control: Stack = Stack(12, tuple(range(12)))
    extra_conditioning_channels: int = 0
    residual_rule: ResidualRule = ResidualRule.FLOAT
    control_pooled: ControlPooled = ControlPooled.ZERO
    control_shift: ControlShift = ControlShift.ZERO
    condition_offset: float = 0.0609 * 1.5305
    """What the condition's latent, shifted and scaled, lacks of one that was only scaled."""
    control_scale: float = 1.0
    control_start: float = 0.0
    control_end: float = 1.0
    """Steps before ``control_start`` or after ``control_end``, as shares of all, are the backbone's alone."""

    def __post_init__(self) -> None:
        check_sizes(self.sizes)
        check_sizes({"sample_size": self.sample_size}, LARGEST_LATENT)
        if not 0 <= self.extra_conditioning_channels <= MOST_LAYERS:
            raise ValueError(f"extra_conditioning_channels is {shown(self.extra_conditioning_channels)}")
        for name, least, most in (
            ("condition_offset", -1e6, 1e6),
            ("control_scale", 1e-3, MOST_GUIDANCE),
            ("control_start", 0, 1),
            ("control_end", 0, 1),
        ):
            number = getattr(self, name)
            if type(number) not in {int, float} or not least <= number <= most:
                raise ValueError(f"{name} is {shown(number)}, no number from {least:g} to {most:g}")
        if self.control_start >= self.control_end:
            raise ValueError(f"control_start {self.control_start:g} is not before {self.control_end:g}")
        if self.residual_rule is ResidualRule.INTEGER:
            blocks, residuals = self.backbone.num_layers, self.control.num_layers
            if residuals > blocks or (blocks - 2) // (blocks // residuals) >= residuals:
                raise ValueError(
                    f"residual rule integer leaves blocks without one of the {residuals} residuals"
                )

    @property
    def sizes(self) -> dict[str, int]:
        """The sizes that both networks share and shapes tell."""
        return {name: getattr(self, name) for name in SIZES}

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
    def condition_channels(self) -> int:
        """Number of channels of the condition that the control net embeds."""
        return self.in_channels + self.extra_conditioning_channels

    @property
    def residual_of(self) -> tuple[int, ...]:
        """Which residual each block of the backbone gets; the last block gets none."""
        blocks, residuals = self.backbone.num_layers, self.control.num_layers
        if self.residual_rule is ResidualRule.INTEGER:
            return tuple(layer // (blocks // residuals) for layer in range(blocks - 1))
        return tuple(int(layer / (blocks / residuals)) for layer in range(blocks - 1))

    @property
    def live_control_layers(self) -> int:
        """How many blocks of the control net come before the last residual that is read."""
        return max(self.residual_of, default=-1) + 1

    @property
    def is_always_controlled(self) -> bool:
        """True if no step is the backbone's alone."""
        return self.control_start == 0 and self.control_end == 1

    def with_choices(self, **choices: Any) -> SystemConfig:
        """Return this config with some of its fields changed."""
        return checked(lambda: replace(self, **choices), "the options of sd3-controlnet")

    @classmethod
    def from_json(cls, values: Mapping[str, Any], *, source: str) -> SystemConfig:
        """Read what ``to_json`` wrote."""
        known = {field.name: values[field.name] for field in fields(cls) if field.name in values}
        kinds: dict[str, Callable[[Any], Any]] = {
            "backbone": Stack.from_json,
            "control": Stack.from_json,
            "residual_rule": ResidualRule,
            "control_pooled": ControlPooled,
            "control_shift": ControlShift,
        }
        return checked(lambda: cls(**{k: kinds.get(k, _same)(v) for k, v in known.items()}), source)

    def to_json(self) -> dict[str, Any]:
        """Return the config as JSON that ``from_json`` reads."""
        values = asdict(self)
        for name in ("backbone", "control"):
            values[name] = getattr(self, name).to_json()
        return values | {
            name: getattr(self, name).value for name in ("residual_rule", "control_pooled", "control_shift")
        }


def checked(make: Callable[[], SystemConfig], source: str) -> SystemConfig:
    """Make a config, or say in one line what is wrong with what it was to be made of."""
    try:
        return make()
    except (TypeError, ValueError) as error:
        raise BadInputError(
            f"{source}: no SD3-ControlNet has this ({error})",
            expected="sizes and choices of two networks that fit together",
        ) from None


def _same(value: Any) -> Any:
    return value


SMALLEST = SystemConfig(
    num_attention_heads=2,  # of one the compiler leaves an attention without text queries in pieces
    attention_head_dim=32,
    joint_attention_dim=24,
    pooled_projection_dim=20,
    pos_embed_max_size=24,
    sample_size=8,
    backbone=Stack(4, (0,)),
    control=Stack(2, (0,)),
)
"""Every kind of tensor in a few megabytes of weights: to try code with, and for tests."""
