"""What the exporter writes, the runtime restores with: from a checkpoint to the picture that torch makes."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL
from safetensors.torch import save_file
from support.encoders import TINY, TINY_VAE, write_encoder
from support.networks import seeded_transformer, smallest_config, write_checkpoint
from support.photos import make_photo
from support.runtime_loop import restore_with_torch
from tokenizers import Tokenizer
from torch import Tensor

from dit4sr.export.architectures.dit4sr.config import Flavour
from dit4sr.export.architectures.dit4sr.released.transformer import Transformer
from dit4sr.export.architectures.text_encoders.encoders import layout, network
from dit4sr.export.exporter import ExportConfig, export_bundle
from dit4sr.export.pipeline import checkpoint_pipeline
from dit4sr.export.weights.sources import RandomWeights
from dit4sr.runtime import Settings, Upscaler
from dit4sr.runtime.bundles.bundle import Bundle
from dit4sr.runtime.bundles.manifest import ModelCard

JOINT, POOLED = (
    TINY["text_t5"].d_model,
    TINY["text_clip_l"].projection_dim + TINY["text_clip_g"].projection_dim,
)
SIDE_BY_SIDE = TINY["text_clip_l"].hidden_size + TINY["text_clip_g"].hidden_size


@dataclass(frozen=True)
class ReleasedSystem:
    """The released formulation, nothing simplified, in torch's own precision."""

    transformer: Transformer
    vae: AutoencoderKL
    card: ModelCard

    def encode(self, image: Tensor) -> Tensor:
        return self.vae.encoder(image)

    def decode(self, latent: Tensor) -> Tensor:
        return self.vae.decoder(latent)

    def velocity(
        self, latent: Tensor, condition: Tensor, text: Tensor, pooled: Tensor, time: Tensor
    ) -> Tensor:
        return self.transformer(latent, condition, text, pooled, time)


@dataclass(frozen=True)
class Exported:
    system: ReleasedSystem
    bundle: Bundle


@pytest.fixture(scope="module", params=Flavour, ids=lambda flavour: flavour.value)
def exported(request, tmp_path_factory) -> Exported:
    """A system with everything in it, in FP32; small tiles, so that small photos need several."""
    folder = tmp_path_factory.mktemp("exported")
    config = replace(smallest_config(request.param), joint_attention_dim=JOINT, pooled_projection_dim=POOLED)
    checkpoint = write_checkpoint(folder / "checkpoint", config)
    torch.manual_seed(3)
    vae = AutoencoderKL(**TINY_VAE).eval().requires_grad_(False)
    # An untrained decoder paints pale pictures, and the colour fix would blow up their last digits.
    vae.decoder.conv_out.weight *= 6
    (checkpoint / "vae").mkdir()
    save_file(vae.state_dict(), checkpoint / "vae" / "diffusion_pytorch_model.safetensors")
    (checkpoint / "vae" / "config.json").write_text(json.dumps(TINY_VAE))
    for name in TINY:
        write_encoder(checkpoint, name)
    system = checkpoint_pipeline(checkpoint, {"flavour": request.param.value})
    options = ExportConfig(folder / "bundle", precision="fp32")
    export_bundle(system, options)
    bundle = Bundle.open(folder / "bundle")
    return Exported(ReleasedSystem(seeded_transformer(config, torch.float32), vae, bundle.card), bundle)


@pytest.mark.parametrize("size", [(8, 8), (12, 18)], ids=["one tile", "tiled"])
@pytest.mark.parametrize(("steps", "guidance"), [(1, 1.0), (4, 3.0), (40, 3.0)])
def test_an_exported_bundle_restores_what_torch_restores(exported, size, steps, guidance):
    photo = make_photo(*size)
    with Upscaler(exported.bundle, threads=1, use_cache=False) as upscaler:
        settings = Settings(steps=steps, guidance=guidance, cuts_off=True)
        ours = upscaler.upscale(photo, prompt="a cat", negative="!", seed=7, settings=settings).picture
        prompts = {"positive": settings.wording.positive("a cat"), "negative": "!"}
        encoded = {side: upscaler._text.encode(words) for side, words in prompts.items()}
    arrays = {side: (embedding["text"], embedding["pooled"]) for side, embedding in encoded.items()}
    theirs = restore_with_torch(photo, exported.system, arrays, steps=steps, guidance=guidance, seed=7)
    assert ours.shape == theirs.shape
    assert np.abs(ours.astype(int) - theirs).max() <= 1
    assert (ours != theirs).mean() < 0.01
    assert ours.std() > 10


def test_words_reach_the_network_as_the_released_pipeline_lays_them_out(exported):
    """CLIPs side by side, padded to the network's width, then T5's rows; the CLIPs' pooled vectors joined."""
    answers = {}
    for name, config in TINY.items():
        encoder = network(config).to_empty(device="cpu").eval().requires_grad_(False)
        source = RandomWeights(layout(config), 9)
        encoder.load_state_dict({key: source.read(key) for key in layout(config)})
        file = exported.bundle.path / "tokenizers" / name.removeprefix("text_") / "tokenizer.json"
        answers[name] = encoder(torch.tensor([Tokenizer.from_file(str(file)).encode("a cat").ids]))
    with Upscaler(exported.bundle, threads=1, use_cache=False) as upscaler:
        embedding = upscaler._text.encode("a cat")
    (clip_l, pooled_l), (clip_g, pooled_g) = answers["text_clip_l"], answers["text_clip_g"]
    rows = len(clip_l[0])
    np.testing.assert_allclose(embedding["text"][:rows, : clip_l.shape[2]], clip_l[0], atol=1e-5)
    np.testing.assert_allclose(embedding["text"][:rows, clip_l.shape[2] : SIDE_BY_SIDE], clip_g[0], atol=1e-5)
    assert not embedding["text"][:rows, SIDE_BY_SIDE:].any()
    [t5] = answers["text_t5"] if isinstance(answers["text_t5"], tuple) else [answers["text_t5"]]
    np.testing.assert_allclose(embedding["text"][rows:], t5[0], atol=1e-4)
    np.testing.assert_allclose(embedding["pooled"], torch.cat([pooled_l[0], pooled_g[0]]), atol=1e-5)
    assert embedding["text"].std() > 0.01
