"""The network that runs once per image and prompt: all that does not depend on the noisy latent."""

from __future__ import annotations

from torch import Tensor, nn

from dit4sr.export.architectures.dit4sr.config import TransformerConfig
from dit4sr.export.architectures.mmdit.deployed.modulation import modulations
from dit4sr.export.architectures.mmdit.patches import patch_tokens
from dit4sr.export.architectures.mmdit.steering import TimeTextEmbedding


class Prepare(nn.Module):
    """The network of all that does not depend on the noisy latent, run once per image and prompt."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.widths = list(modulation_widths(config).values())
        self.patch = patch_convolution(config)
        self.context = nn.Linear(config.joint_attention_dim, config.width)
        self.steering = TimeTextEmbedding(config)
        self.modulation = nn.Linear(config.width, sum(self.widths))

    def forward(
        self, condition: Tensor, text: Tensor, pooled: Tensor, timesteps: Tensor
    ) -> tuple[Tensor, ...]:
        """Make LR tokens ``[R, N, D]``, text tokens ``[R, M, D]``, and the blocks' modulations ``[T, R, S]``.

        The AdaLN matrices, 28 % of all parameters, are multiplied once with all steps instead of once a step.
        """
        steering = self.steering(timesteps[:, None], pooled[None])
        return (
            patch_tokens(self.patch, condition),
            self.context(text),
            *modulations(self.modulation, steering, self.widths),
        )


def patch_convolution(config: TransformerConfig) -> nn.Conv2d:
    """The convolution that embeds patches; the noise and the LR latent share its weights."""
    patch = config.patch_size
    return nn.Conv2d(config.in_channels, config.width, kernel_size=patch, stride=patch)


def modulation_widths(config: TransformerConfig) -> dict[str, int]:
    """Number of modulation values for one step and row, S in shapes, by the tensor that holds them.

    Every block's are a tensor of their own, and so are the closing norm's.
    """
    chunks = {}
    for layer in range(config.num_layers):
        image, text = 9 if config.is_dual(layer) else 6, 2 if config.is_final(layer) else 6
        chunks[f"modulation.{layer}"] = image + text
    chunks["modulation.closing"] = 2
    return {name: count * config.width for name, count in chunks.items()}
