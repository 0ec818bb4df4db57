"""The network that runs once per image and prompt: all that does not depend on the noisy latent."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dit4sr.export.architectures.dpir.alignment import standardised
from dit4sr.export.architectures.dpir.config import DpirConfig
from dit4sr.export.architectures.dpir.deployed.prompts import PromptEmbedding, Steering
from dit4sr.export.architectures.dpir.layout import reads_last_bias
from dit4sr.export.architectures.dpir.released.adapters import VisualPrompt
from dit4sr.export.architectures.dpir.released.lq_branch import LqBranch
from dit4sr.export.architectures.mmdit.deployed.modulation import modulation_widths, modulations


class Prepare(nn.Module):
    """The network of all that does not depend on the noisy latent, run once per image and prompt."""

    def __init__(self, config: DpirConfig) -> None:
        super().__init__()
        self.config, self.widths = config, list(widths_of(config).values())
        self.lq_branch = LqBranch(config, last_bias=reads_last_bias(config))
        self.context = nn.Linear(config.joint_attention_dim, config.width)
        self.local_prompt = PromptEmbedding(config)
        self.global_prompt = PromptEmbedding(config) if config.own_global_adapter else None
        self.steering = Steering(config)
        self.modulation = nn.Linear(config.width, sum(self.widths))

    def forward(
        self, condition: Tensor, text: Tensor, timesteps: Tensor, *seen: Tensor
    ) -> tuple[Tensor, ...]:
        """Make what the steps read, ``seen`` being the tensors of a `VisualPrompt`.

        Standardised features ``[R, N, D]`` of the LQ branch, tokens of T5's rows ``[R, M, D]`` and of both
        crops ``[R, 2V, D]``; for all steps every block's modulations ``[T, R, S]``.
        """
        config, (local_image, global_image, pooled) = self.config, VisualPrompt(*seen)
        of_global = self.local_prompt if self.global_prompt is None else self.global_prompt
        return (
            standardised(self.lq_branch(condition), config.statistics, config.statistics_epsilon),
            self.context(text),
            torch.cat([self.local_prompt(local_image), of_global(global_image)], dim=1),
            *modulations(self.modulation, self.steering(timesteps, pooled), self.widths),
        )


def widths_of(config: DpirConfig) -> dict[str, int]:
    """Number of modulation values of each block, and of the closing norm, by the tensor that holds them."""
    stack = config.backbone
    return modulation_widths("modulation", stack, stack.num_layers, config.width) | {
        "modulation.closing": 2 * config.width
    }
