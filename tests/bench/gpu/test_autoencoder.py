"""What stands for diffusers' VAE on a machine without it: the same answers from the same weights."""

from __future__ import annotations

import pytest
import torch
from diffusers import AutoencoderKL

from dit4sr.bench.gpu import autoencoder
from dit4sr.export.architectures.autoencoder_kl.components import SD35_VAE

SIZES = {"channels": (8, 16, 16, 16), "layers": 2, "groups": 4}
SMALL = {**SD35_VAE, "block_out_channels": SIZES["channels"], "norm_num_groups": SIZES["groups"]}


@pytest.mark.parametrize("half", ["encoder", "decoder"])
def test_each_half_answers_as_diffusers(half):
    torch.manual_seed(0)
    theirs = getattr(AutoencoderKL(**SMALL), half).double()
    ours = getattr(autoencoder, half.title())(**SIZES).double()
    given = torch.randn(2, *((3, 32, 48) if half == "encoder" else (16, 4, 6)), dtype=torch.float64)
    ours.load_state_dict(dict(zip(ours.state_dict(), theirs.state_dict().values(), strict=True)))
    torch.testing.assert_close(ours(given), theirs(given))


@pytest.mark.parametrize("half", ["encoder", "decoder"])
def test_the_published_sizes_are_the_default(half):
    with torch.device("meta"):
        theirs, ours = getattr(AutoencoderKL(**SD35_VAE), half), getattr(autoencoder, half.title())()
    assert [t.shape for t in ours.state_dict().values()] == [t.shape for t in theirs.state_dict().values()]
