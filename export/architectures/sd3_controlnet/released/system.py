"""Backbone and control net as one network, called as the released pipeline calls them."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dit4sr.export.architectures.sd3_controlnet.config import ControlPooled, SystemConfig
from dit4sr.export.architectures.sd3_controlnet.released.backbone import Backbone
from dit4sr.export.architectures.sd3_controlnet.released.control_net import ControlNet, condition_of


class ControlledTransformer(nn.Module):
    """SD3 with a control net beside it.

    This is the truth of the network, and the baseline of every timing: it does all the work the released
    code does, in the released order. `simplify` turns it into the model we deploy.
    """

    def __init__(self, config: SystemConfig) -> None:
        super().__init__()
        self.config = config
        self.transformer = Backbone(config)
        self.controlnet = ControlNet(config)

    def forward(
        self,
        latent: Tensor,
        condition: Tensor,
        text: Tensor,
        pooled: Tensor,
        timestep: Tensor,
        *,
        scale: float | None = None,
    ) -> Tensor:
        """Velocity at a noisy latent, given the LR photo's latent, text rows, pooled text and time.

        ``scale`` weighs the control net; it is the config's unless a step has another.
        """
        config = self.config
        scale = config.control_scale if scale is None else scale
        seen = pooled if config.control_pooled is ControlPooled.TEXT else torch.zeros_like(pooled)
        residuals = self.controlnet(
            latent, condition_of(condition, config), text, seen, timestep, scale=scale
        )
        velocity: Tensor = self.transformer(latent, text, pooled, timestep, residuals)
        return velocity
