"""What DiT4SR's layers are called, in the groups of the fact sheet's table."""

from __future__ import annotations

from dit4sr.export.architectures.layer_names import LayerNames

LAYERS = LayerNames(
    by_weight={
        "noise queries, keys, values": r"\.attn2?\.noise_qkv",
        "LR queries, keys, values": r"\.attn2?\.lr_qkv",
        "text queries, keys, values": r"\.attn\.(text_qkv|text_kv)",
        "joint attention": r"\.attn\.(text_)?norm_[qk]",
        "dual attention": r"\.attn2\.norm_[qk]",
        "noise output": r"\.attn2?\.noise_out",
        "LR output": r"\.attn2?\.lr_out",
        "text output": r"\.attn\.text_out",
        "image MLP": r"\.ff\.(expand|contract)",
        "LR injection": r"\.ff\.(taps|tap_bias|injected|factor)",
        "text MLP": r"\.text_(expand|contract)",
        "patches, velocity": r"(^|\.)(patch|output)\.",
    },
    by_operator={
        "dual attention": r"JointAttentionDual",
        "joint attention": r"JointAttention",
        "LR injection": r"DepthwiseInject",
    },
    # Embedders, modulation, the first and the last projection.
    wide=(
        r"(^|\.)(patch|output|proj_out|norm_out|context|context_embedder|modulation|steering|\w*embed\w*)(\.|$)"
    ),
    # Everything that multiplies no matrices: bound by memory, not by arithmetic.
    rest="norms, modulation, sums",
)
