"""Every number of the training, in one place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dit4sr.export.architectures.dit4sr.config import Flavour, TransformerConfig

SCALE = 4
"""How much larger the restored picture is."""
CHANNELS = 16

VAE: Mapping[str, Any] = {
    "block_out_channels": (16, 48, 96, 96),
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "latent_channels": CHANNELS,
    "layers_per_block": 1,
    "norm_num_groups": 8,
    "use_quant_conv": False,
    "use_post_quant_conv": False,
    # Convolutions alone see no further than their reach, so a picture can be coded in tiles.
    "mid_block_add_attention": False,
}

TRANSFORMER = TransformerConfig(
    num_layers=6,
    num_attention_heads=2,
    in_channels=CHANNELS,
    out_channels=CHANNELS,
    joint_attention_dim=64,
    pooled_projection_dim=64,
    pos_embed_max_size=16,
    sample_size=32,
    dual_attention_layers=(0, 1),
    flavour=Flavour.OWN,
)
TILE = TRANSFORMER.sample_size
"""The latent side that the model is trained for."""
PROMPT_TOKENS = 8
SPREAD = 3.0
"""Standard deviation of the latents that the transformer sees. The photo tells most of them; what it leaves
open is a quarter as large, and noise of one would drown it until the last steps if the latents were one,
too."""


@dataclass(frozen=True)
class Phase:
    """A number of iterations at one size of crop."""

    iterations: int
    batch: int
    pixels: int


@dataclass(frozen=True)
class Schedule:
    """How the rate of learning rises and falls, and how the average follows."""

    rates: tuple[float, ...]
    """The highest rate of each cycle; in every one it rises, and falls like half a cosine."""
    warm_up: int
    decay: float = 0.01
    """Weight decay."""
    last_rate: float = 0.02
    """Share of the rate that is left at the end."""
    average: float = 0.999
    clip: float = 1.0


@dataclass(frozen=True)
class Recipe:
    """The settings of a training: what is trained on what, and for how long."""

    vae: tuple[Phase, ...] = (
        Phase(iterations=4000, batch=16, pixels=64),
        Phase(iterations=1500, batch=4, pixels=128),
    )
    """The VAE's cycles, one for each size: norms look at all of a picture, so it ends with larger ones."""
    vae_schedule: Schedule = Schedule(rates=(1.2e-3, 6e-4), warm_up=100, decay=1e-3)
    pairs: tuple[Phase, ...] = (
        Phase(iterations=600, batch=32, pixels=128),
        Phase(iterations=48, batch=24, pixels=256),
    )
    """Crops and their degraded versions that are encoded once, before the transformer is trained."""
    flow: tuple[tuple[Phase, ...], ...] = (
        (Phase(iterations=3600, batch=32, pixels=128), Phase(iterations=800, batch=8, pixels=256)),
        (Phase(iterations=1400, batch=8, pixels=256),),
    )
    """The transformer's two cycles: half the tile costs a little less, but what is learnt there has to be
    learnt again at the whole one, where attention reads four times as many tokens."""
    flow_schedule: Schedule = Schedule(rates=(1.5e-3, 1e-3), warm_up=200)
    finish: tuple[Phase, ...] = (
        Phase(iterations=1400, batch=16, pixels=128),
        Phase(iterations=1150, batch=4, pixels=256),
    )
    """Cycles of everything together, on pictures. The result hangs on the second, on whole tiles."""
    finish_schedule: Schedule = Schedule(rates=(6e-4, 3e-4), warm_up=100, average=0.996)
    degraded_share: float = 0.12
    """Share of samples that ask for the degraded picture, so that guidance can keep away from it."""
    first_step_share: float = 0.4
    """Share of samples at pure noise: the step that decides how true a picture of few steps is."""
    boldness: float = 0.6
    """Share of what the photo leaves open that many steps may invent. With all of it pictures are as sharp
    as photographs, and further from the truth by up to three decibels than the mean of all that is likely."""
    report_every: int = 100
    save_every: int = 500


CPU = Recipe()
"""The default recipe: about two hours and a half on two cores."""

GPU = Recipe(
    vae=(Phase(iterations=30_000, batch=64, pixels=64), Phase(iterations=10_000, batch=32, pixels=128)),
    pairs=(Phase(iterations=2000, batch=64, pixels=128), Phase(iterations=800, batch=32, pixels=256)),
    flow=((Phase(iterations=10_000, batch=128, pixels=128), Phase(iterations=16_000, batch=48, pixels=256)),),
    flow_schedule=Schedule(rates=(1e-3,), warm_up=1000, average=0.9995),
    finish=(Phase(iterations=10_000, batch=64, pixels=128), Phase(iterations=5_000, batch=16, pixels=256)),
)
"""A recipe with more of everything, for one GPU; not tried on one yet."""

SIDE_BY_SIDE = Recipe(
    pairs=(Phase(iterations=200, batch=32, pixels=128), Phase(iterations=24, batch=24, pixels=256)),
    flow=(
        (Phase(iterations=800, batch=32, pixels=128), Phase(iterations=150, batch=8, pixels=256)),
        (Phase(iterations=250, batch=8, pixels=256),),
    ),
    report_every=50,
    save_every=50,
)
"""The default recipe's transformer stage, shortened: what `systems` are trained by, side by side."""

TRIAL = Recipe(
    vae=(Phase(iterations=4, batch=2, pixels=64), Phase(iterations=1, batch=1, pixels=128)),
    vae_schedule=Schedule(rates=(1e-3, 1e-3), warm_up=2),
    pairs=(Phase(iterations=2, batch=2, pixels=128), Phase(iterations=1, batch=2, pixels=256)),
    flow=((Phase(iterations=3, batch=2, pixels=128), Phase(iterations=2, batch=1, pixels=256)),),
    flow_schedule=Schedule(rates=(1e-3,), warm_up=2),
    finish=(Phase(iterations=3, batch=2, pixels=128), Phase(iterations=1, batch=1, pixels=256)),
    finish_schedule=Schedule(rates=(1e-3, 1e-3), warm_up=2),
    report_every=1,
    save_every=3,
)
"""A recipe of a few iterations, to see that everything fits together."""

RECIPES = {"cpu": CPU, "gpu": GPU, "side-by-side": SIDE_BY_SIDE, "trial": TRIAL}
