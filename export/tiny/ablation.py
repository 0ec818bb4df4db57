"""What the LR stream brings: the trained network with one of its three ways switched off.

Nothing is trained anew, so this says what the network relies on, not what it could do without.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from dit4sr.export.architectures.dit4sr.config import Variant
from dit4sr.export.architectures.dit4sr.released.transformer import Transformer
from dit4sr.export.tiny.data.held_out import Pair
from dit4sr.export.tiny.evaluation import Score, restoring, score
from dit4sr.export.tiny.recipe import TRANSFORMER
from dit4sr.export.tiny.system import TinySystem
from dit4sr.export.tiny.training.flow import Restorer

SWITCHED_OFF = {
    "everything on": Variant.FULL,
    "no LR integration (a)": Variant.A,
    "no LR residual (b)": Variant.B,
    "no LR injection (c)": Variant.C,
}


def ablate(system: TinySystem, pairs: Sequence[Pair], *, steps: int, guidance: float) -> list[Score]:
    """Score the network as trained, and with each of the LR stream's ways switched off."""
    return [
        score(name, restoring(as_variant(system, variant), steps, guidance), pairs)
        for name, variant in SWITCHED_OFF.items()
    ]


def as_variant(system: TinySystem, variant: Variant) -> TinySystem:
    """The same weights in another variant's network, which has no more tensors than the full one."""
    restorer = Restorer(Transformer(replace(TRANSFORMER, variant=variant))).eval().requires_grad_(False)
    wanted = restorer.state_dict().keys()
    trained = system.restorer.state_dict()
    restorer.load_state_dict({key: trained[key] for key in wanted})
    return replace(system, restorer=restorer)
