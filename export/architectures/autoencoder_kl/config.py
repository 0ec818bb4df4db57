"""The config that diffusers' AutoencoderKL is built with."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dit4sr.export.weights.checkpoint import read_json
from dit4sr.runtime.errors import BadInputError

SD35_VAE: Mapping[str, Any] = {
    "block_out_channels": (128, 256, 512, 512),
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "latent_channels": 16,
    "layers_per_block": 2,
    "norm_num_groups": 32,
    "use_quant_conv": False,
    "use_post_quant_conv": False,
}


OPTIONAL = ("mid_block_add_attention",)
"""Options that older configs of a VAE leave out, and diffusers knows the default of."""


def read_config(file: Path, factor: int) -> dict[str, Any]:
    """Read the config of a VAE of the given factor, as diffusers wrote it beside the weights."""
    values = read_json(file)
    config = {key: values[key] for key in (*SD35_VAE, *OPTIONAL) if key in values}
    if missing := SD35_VAE.keys() - config.keys():
        raise BadInputError(f"{file} lacks {min(missing)}", expected="the VAE config of SD3.5")
    if config["use_quant_conv"] or config["use_post_quant_conv"]:
        raise BadInputError(f"{file} asks for quant convolutions", expected="SD3.5's VAE, which has none")
    if (found := 2 ** (len(config["block_out_channels"]) - 1)) != factor:
        raise BadInputError(f"{file} describes a VAE of factor {found}", expected=f"{factor}")
    return config
