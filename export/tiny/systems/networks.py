"""The networks that are trained side by side: how each begins, and what its checkpoint consists of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
from torch import nn

from dit4sr.export.tiny.system import Parts, tiny_parts
from dit4sr.export.tiny.systems import dpir, sd3_controlnet
from dit4sr.export.tiny.training.flow import Restorer, new_restorer


class Kind(NamedTuple):
    """One of the systems."""

    new: Callable[[], nn.Module]
    """Makes its network before training."""
    parts: Callable[[Restorer], Parts]
    """Names its networks by their folders in a checkpoint."""


OTHERS: Mapping[str, Kind] = {
    "sd3-controlnet": Kind(sd3_controlnet.new_network, sd3_controlnet.parts),
    "dpir": Kind(dpir.new_network, dpir.parts),
}
"""All but DiT4SR, which is trained as it always was."""


def new_system(name: str, seed: int) -> Restorer:
    """Make one of the systems before training; all begin with the same prompts."""
    first = new_restorer(seed)
    if name not in OTHERS:
        return first
    with torch.no_grad():
        restorer = Restorer(OTHERS[name].new())
        restorer.text.copy_(first.text)
        restorer.pooled.copy_(first.pooled)
    return restorer


def parts_of(name: str, restorer: Restorer) -> Parts:
    """A system's networks by the folders of its checkpoint."""
    return OTHERS[name].parts(restorer) if name in OTHERS else tiny_parts(restorer)


def parameters(restorer: Restorer) -> int:
    """Number of parameters of a system's network."""
    return sum(parameter.numel() for parameter in restorer.transformer.parameters())
