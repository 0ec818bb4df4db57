"""Steps with an optimisation taken back compute what the simplified network computes."""

from __future__ import annotations

import pytest
import torch
from support.networks import seeded_transformer, tiny_config

from dit4sr.export.architectures.dit4sr import ARCHITECTURE
from dit4sr.export.architectures.dit4sr.ablations import ABLATED, SeparateProjections
from dit4sr.export.architectures.dit4sr.config import Flavour
from dit4sr.export.architectures.dit4sr.deployed.prepare import modulation_widths
from dit4sr.export.architectures.dit4sr.simplify import simplify


def conditions(config) -> tuple[torch.Tensor, ...]:
    noise = torch.Generator().manual_seed(1)
    modulations = [(2, width) for width in modulation_widths(config).values()]
    shapes = ((2, 16, 8, 12), (2, 24, 128), (2, 5, 128), (24, 128), *modulations)
    return tuple(0.5 * torch.randn(shape, generator=noise, dtype=torch.float64) for shape in shapes)


@pytest.mark.parametrize("name", ["inject", "attention"])
def test_operators_taken_back_answer_the_same(flavour, name):
    config = tiny_config(flavour)
    _, denoiser = simplify(seeded_transformer(config))
    other = ABLATED[name](config).double().eval()
    other.load_state_dict(denoiser.state_dict())
    with torch.no_grad():
        ours, theirs = denoiser(*conditions(config)), other(*conditions(config))
    assert type(other.blocks[0].attn) is not type(denoiser.blocks[0].attn) or name == "inject"
    assert torch.allclose(ours, theirs, rtol=0, atol=1e-10 * ours.abs().max())


def test_unfolded_projections_are_products_apart(flavour):
    config = tiny_config(flavour)
    unfolded = ABLATED["folds"](config).double().eval()
    with torch.no_grad():
        assert unfolded(*conditions(config)).isfinite().all()
    projections = [m for m in unfolded.modules() if isinstance(m, SeparateProjections)]
    # Two for the image in each of four joint and two dual attentions, and the text's but for the last block.
    assert len(projections) == 2 * (4 + 2) + 3
    assert {len(m.each) for m in projections} == ({2, 3} if flavour is Flavour.COPIED else {3})


def test_what_the_architecture_offers_is_what_can_be_taken_back():
    assert ARCHITECTURE.ablations.keys() == ABLATED.keys()
