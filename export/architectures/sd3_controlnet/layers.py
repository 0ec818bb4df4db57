"""What the layers of an SD3-ControlNet are called, those of the control net apart from the backbone's."""

from __future__ import annotations

from dit4sr.export.architectures.layer_names import LayerNames

_NETWORKS = {"control net": r"control_blocks\.", "backbone": r"blocks\."}
_LAYERS = {
    "image queries, keys, values": r"\.attn2?\.image_qkv",
    "text queries, keys, values": r"\.attn\.text_(qkv|kv)",
    "image output": r"\.attn2?\.image_out",
    "text output": r"\.attn\.text_out",
    "image MLP": r"\.ff\.",
    "text MLP": r"\.text_ff\.",
}

LAYERS = LayerNames(
    by_weight={
        **{
            f"{network}: {group}": rf"{blocks}\d+{layer}"
            for network, blocks in _NETWORKS.items()
            for group, layer in _LAYERS.items()
        },
        "residuals": r"(^|\.)residuals\.",
        "patches, velocity": r"(^|\.)(patch|output)\.",
    },
    by_operator={"attention": r"Softmax|scaled_dot_product"},
    # Embedders, modulation, the first and the last projection.
    wide=r"(^|\.)(patch|output|proj_out|norm_out|context|\w*modulation|\w*steering|\w*embed\w*)(\.|$)",
    # All that reads no weights: of an attention's three nodes, the first has no name of its own.
    rest="scores, norms, modulation, sums",
)
