"""An independent witness: without its LR stream, DiT4SR is diffusers' own SD3.5-Medium."""

from __future__ import annotations

import pytest
import torch
from support.networks import inputs_for, seeded_transformer, tiny_config
from support.stock import give_norms_full_precision

from dit4sr.export.architectures.dit4sr.layout import lr_tensors

SD3Transformer2DModel = pytest.importorskip("diffusers").SD3Transformer2DModel


@pytest.mark.parametrize("latent", [(16, 16), (8, 20)])
@pytest.mark.parametrize("rows", [1, 3])
def test_without_the_lr_stream_it_is_stock_sd35(latent, rows):
    config = tiny_config()
    ours = seeded_transformer(config)
    stock = SD3Transformer2DModel(
        sample_size=config.sample_size,
        patch_size=config.patch_size,
        in_channels=config.in_channels,
        num_layers=config.num_layers,
        attention_head_dim=config.attention_head_dim,
        num_attention_heads=config.num_attention_heads,
        joint_attention_dim=config.joint_attention_dim,
        caption_projection_dim=config.width,
        pooled_projection_dim=config.pooled_projection_dim,
        out_channels=config.out_channels,
        pos_embed_max_size=config.pos_embed_max_size,
        dual_attention_layers=config.dual_attention_layers,
        qk_norm="rms_norm",
    )
    shared = {key: value for key, value in ours.state_dict().items() if key not in lr_tensors(config)}
    stock.double().eval().load_state_dict(shared, strict=True)
    give_norms_full_precision(stock)

    inputs = inputs_for(config, latent, rows)
    inputs["timestep"] = inputs["timestep"].float()  # diffusers embeds the time in FP32
    velocity = ours(**{**inputs, "condition": None})
    with torch.no_grad():
        expected = stock(
            hidden_states=inputs["latent"],
            encoder_hidden_states=inputs["text"],
            pooled_projections=inputs["pooled"],
            timestep=inputs["timestep"],
        ).sample
    assert (velocity - expected).abs().max() / expected.abs().max() < 1e-10
