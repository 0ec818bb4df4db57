"""One step of sampling around any velocity network: guidance and the solver's update, in FP32."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from dit4sr.export.architectures.layer_names import STEP_PREFIX
from dit4sr.export.weights.folds import Recipe


class Step(nn.Module):
    """Latents of all images in, the next ones out; the network sees a row for each image and branch.

    Rows are branch-major: all negatives, then all positives. ``guidance`` weighs the branches, ``[1 - g, g]``
    with guidance and ``[1]`` without, so an unguided step is the same graph on half the rows.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(
        self,
        latent: Tensor,
        previous_velocity: Tensor,
        guidance: Tensor,
        coefficients: Tensor,
        *conditions: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """Make ``next = a·latent + b·velocity + c·previous_velocity``, the form of every solver we have."""
        branches, images = guidance.shape[0], latent.shape[0]
        rows = latent.unsqueeze(0).expand(branches, -1, -1, -1, -1).flatten(0, 1)
        answers = self.network(rows, *conditions).to(latent.dtype).unflatten(0, (branches, images))
        velocity = (guidance.view(-1, 1, 1, 1, 1) * answers).sum(0)
        a, b, c = coefficients.unbind(0)
        return a * latent + b * velocity + c * previous_velocity, velocity


def step_recipes(network: Mapping[str, Recipe]) -> dict[str, Recipe]:
    """A network's recipes by the names that its weights have within a step."""
    return {f"{STEP_PREFIX}{name}": recipe for name, recipe in network.items()}
