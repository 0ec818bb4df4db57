"""The config that diffusers' AutoencoderKL is built with."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dit4sr.export.architectures.sizes import MOST_LAYERS, check_sizes, shown
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


BLOCKS = {"down_block_types": "DownEncoderBlock2D", "up_block_types": "UpDecoderBlock2D"}
MOST_BLOCKS, MOST_CHANNELS = 8, 1 << 14

OPTIONAL = ("mid_block_add_attention",)
"""Options that older configs of a VAE leave out, and diffusers knows the default of."""


def read_config(file: Path, factor: int) -> dict[str, Any]:
    """Read the config of a VAE of the given factor, as diffusers wrote it beside the weights."""
    values = read_json(file)
    config = {key: values[key] for key in (*SD35_VAE, *OPTIONAL) if key in values}
    if missing := SD35_VAE.keys() - config.keys():
        raise BadInputError(f"{file} lacks {min(missing)}", expected="the VAE config of SD3.5")
    try:
        _check(config)
    except ValueError as error:
        raise BadInputError(f"{file}: {error}", expected="the VAE config of SD3.5") from None
    if config["use_quant_conv"] or config["use_post_quant_conv"]:
        raise BadInputError(f"{file} asks for quant convolutions", expected="SD3.5's VAE, which has none")
    if (found := 2 ** (len(config["block_out_channels"]) - 1)) != factor:
        raise BadInputError(f"{file} describes a VAE of factor {found}", expected=f"{factor}")
    return config


def _check(config: Mapping[str, Any]) -> None:
    """Refuse, with a ``ValueError``, what diffusers would stumble over or build without end."""
    widths, groups = config["block_out_channels"], config["norm_num_groups"]
    if not isinstance(widths, list | tuple) or not 1 <= len(widths) <= MOST_BLOCKS:
        raise ValueError(f"block_out_channels is {shown(widths)}, not a list of 1 to {MOST_BLOCKS} widths")
    check_sizes({"norm_num_groups": groups, "latent_channels": config["latent_channels"]}, MOST_CHANNELS)
    check_sizes({f"block_out_channels[{place}]": width for place, width in enumerate(widths)}, MOST_CHANNELS)
    check_sizes({"layers_per_block": config["layers_per_block"]}, MOST_LAYERS)
    if any(width % groups for width in widths):
        raise ValueError(f"the widths {list(widths)} are not all multiples of {groups} groups")
    for way, kind in BLOCKS.items():
        if not isinstance(config[way], list | tuple) or list(config[way]) != [kind] * len(widths):
            raise ValueError(f"{way} is {shown(config[way])}, not {kind} {len(widths)} times")
    for switch in ("use_quant_conv", "use_post_quant_conv", *OPTIONAL):
        if not isinstance(config.get(switch, False), bool):
            raise ValueError(f"{switch} is {shown(config[switch])}, neither true nor false")
