"""The torch architecture behind a bundle, read off its graphs: what the baselines are built from.

A bundle knows nothing of PyTorch, but the names and shapes of its weights tell all that a baseline of the
same size needs. The weights themselves do not matter to a timing, and are random.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from dit4sr.bench.graph.cost import read_graph
from dit4sr.runtime.bundle import Bundle
from dit4sr.runtime.errors import BadInputError, MissingDependencyError

if TYPE_CHECKING:
    from dit4sr.export.architectures.dit4sr.config import TransformerConfig

# torch takes seconds to import, and is needed only by those who ask for a baseline.
# ruff: noqa: PLC0415

Shapes = Mapping[str, tuple[int, ...]]


def transformer_config(bundle: Bundle) -> TransformerConfig:
    """The configuration of the network that a bundle's step was made of."""
    require_torch()
    from dit4sr.export.architectures.dit4sr.config import Flavour, TransformerConfig, Variant

    card, shapes = bundle.card, _shapes(bundle, "step")
    blocks = {
        int(match[1]) for name in shapes if (match := re.match(r"network\.blocks\.(\d+)\.attn\.", name))
    }
    dual = {int(match[1]) for name in shapes if (match := re.match(r"network\.blocks\.(\d+)\.attn2\.", name))}
    if not blocks or card.positions is None:
        raise BadInputError(
            f"{bundle.path} holds no DiT4SR step", fix="leave out --baseline and --ablate for this bundle"
        )
    [head_dim] = shapes["network.blocks.0.attn.norm_q"]
    return TransformerConfig(
        num_layers=max(blocks) + 1,
        num_attention_heads=card.positions.width // head_dim,
        attention_head_dim=head_dim,
        in_channels=card.latent_channels,
        out_channels=card.latent_channels,
        patch_size=card.patch_size,
        joint_attention_dim=card.text_channels,
        pooled_projection_dim=card.pooled_channels,
        pos_embed_max_size=card.positions.table_size,
        sample_size=card.positions.base_size * card.patch_size,
        dual_attention_layers=tuple(sorted(dual)),
        flavour=Flavour(card.flavour),
        variant=Variant(card.variant),
    )


def vae_config(bundle: Bundle) -> dict[str, Any]:
    """What diffusers' AutoencoderKL is to be built with."""
    shapes = _shapes(bundle, "vae_encoder")
    first = [
        name for name in shapes if re.fullmatch(r"encoder\.down_blocks\.\d+\.resnets\.0\.conv1\.weight", name)
    ]
    channels = tuple(shapes[name][0] for name in sorted(first))
    layers = sum(bool(re.match(r"encoder\.down_blocks\.0\.resnets\.\d+\.conv1\.weight", n)) for n in shapes)
    return {
        "block_out_channels": channels,
        "down_block_types": ("DownEncoderBlock2D",) * len(channels),
        "up_block_types": ("UpDecoderBlock2D",) * len(channels),
        "latent_channels": bundle.card.latent_channels,
        "layers_per_block": layers,
        "norm_num_groups": _norm_groups(bundle),
        "use_quant_conv": False,
        "use_post_quant_conv": False,
        "scaling_factor": bundle.card.scaling,
        "shift_factor": bundle.card.shift,
    }


def require_torch() -> None:
    """Refuse in one line where the baselines' libraries are missing."""
    from importlib.util import find_spec

    if missing := [name for name in ("torch", "diffusers", "safetensors") if find_spec(name) is None]:
        raise MissingDependencyError(
            f"not installed: {', '.join(missing)}, which baselines and ablations run on",
            fix="pip install 'dit4sr[export]', or take --baseline none",
        )


def _shapes(bundle: Bundle, component: str) -> dict[str, tuple[int, ...]]:
    graph = read_graph(bundle.component_file(component)).graph
    return {
        name: value.shape.numpy() if value.shape is not None else ()
        for name, value in graph.initializers.items()
    }


def _norm_groups(bundle: Bundle) -> int:
    for node in read_graph(bundle.component_file("vae_encoder")).graph:
        if node.op_type == "GroupNormalization":
            return node.attributes["num_groups"].as_int()
    raise BadInputError(f"{bundle.path} holds no VAE of diffusers' kind", fix="take --cold 0")
