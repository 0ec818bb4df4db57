"""What the layers of a DPIR are called."""

from __future__ import annotations

from dit4sr.export.architectures.layer_names import LayerNames

LAYERS = LayerNames(
    by_weight={
        "image queries, keys, values": r"blocks\.\d+\.attn2?\.image_qkv",
        "prompt queries, keys, values": r"blocks\.\d+\.attn\.text_(qkv|kv)",
        "image output": r"blocks\.\d+\.attn2?\.image_out",
        "prompt output": r"blocks\.\d+\.attn\.text_out",
        "image MLP": r"blocks\.\d+\.ff\.",
        "prompt MLP": r"blocks\.\d+\.text_ff\.",
        "patches, velocity": r"(^|\.)(patch|output)\.",
    },
    by_operator={"attention": r"Softmax|scaled_dot_product"},
    # Embedders, adapters, the LQ branch, modulation, the first and the last projection.
    wide=r"(^|\.)(patch|output|proj_out|norm_out|context|\w*modulation|steering|\w*embed\w*|\w*adapter"
    r"|\w*prompt|lq_branch)(\.|$)",
    rest="scores, norms, modulation, alignment, sums",
)
