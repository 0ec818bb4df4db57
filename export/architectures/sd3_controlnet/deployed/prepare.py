"""The network that runs once per image and prompt: all that does not depend on the noisy latent."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dit4sr.export.architectures.mmdit.deployed.modulation import modulation_widths, modulations
from dit4sr.export.architectures.mmdit.deployed.time_waves import exact_time_waves
from dit4sr.export.architectures.mmdit.patches import patch_tokens
from dit4sr.export.architectures.sd3_controlnet.config import ControlPooled, SystemConfig
from dit4sr.export.architectures.sd3_controlnet.deployed.steering import Steering


class Prepare(nn.Module):
    """The network of all that does not depend on the noisy latent, run once per image and prompt."""

    def __init__(self, config: SystemConfig) -> None:
        super().__init__()
        self.config, width, patch = config, config.width, config.patch_size
        self.widths = list(backbone_widths(config).values())
        self.control_widths = list(control_widths(config).values())
        self.patch = nn.Conv2d(config.in_channels, width, kernel_size=patch, stride=patch)
        self.context = nn.Linear(config.joint_attention_dim, 2 * width)
        self.steering = Steering(config, with_text=True)
        self.control_steering = Steering(config, with_text=config.control_pooled is ControlPooled.TEXT)
        self.modulation = nn.Linear(width, sum(self.widths))
        self.control_modulation = nn.Linear(width, sum(self.control_widths))

    def forward(
        self, condition: Tensor, text: Tensor, pooled: Tensor, timesteps: Tensor
    ) -> tuple[Tensor, ...]:
        """Make what the steps read.

        Tokens of the condition ``[R, N, D]``, of the text for both networks ``[R, M, 2D]``; for all steps the
        residuals' scale ``[T, R, 1]`` and every block's modulations ``[T, R, S]``.
        """
        waves = exact_time_waves(timesteps)
        steering, control_steering = (each(waves, pooled) for each in (self.steering, self.control_steering))
        return (
            patch_tokens(self.patch, condition),
            self.context(text),
            self.scale(timesteps)[:, None, None].expand(-1, pooled.shape[0], 1),
            *modulations(self.modulation, steering, self.widths),
            *modulations(self.control_modulation, control_steering, self.control_widths),
        )

    def scale(self, timesteps: Tensor) -> Tensor:
        """How much of the control net's residuals each step adds: nothing outside of start and end."""
        config, always = self.config, torch.ones_like(timesteps)
        if config.is_always_controlled:
            return config.control_scale * always
        after, count = torch.cumsum(always, dim=0), always.sum()
        # A step is heard that lies within; a thousandth of a step is for rounding.
        heard = after - 1 > config.control_start * count - 1e-3
        heard &= after < config.control_end * count + 1e-3
        return config.control_scale * heard.to(timesteps.dtype)


def backbone_widths(config: SystemConfig) -> dict[str, int]:
    """Number of modulation values of each of the backbone's blocks, and of its closing norm."""
    return modulation_widths("modulation", config.backbone, config.backbone.num_layers, config.width) | {
        "modulation.closing": 2 * config.width
    }


def control_widths(config: SystemConfig) -> dict[str, int]:
    """Number of modulation values of each of the control net's blocks."""
    return modulation_widths("control_modulation", config.control, config.live_control_layers, config.width)
