"""From checkpoint to photo and to plans, by what is there for any network."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL
from safetensors.torch import save_file
from support.dual_prompted import write_dual_prompted
from support.encoders import TINY, TINY_VAE, write_encoder
from support.photos import make_photo
from support.small_system import small_dual_prompted_system

from dit4sr.export import architectures
from dit4sr.export.architectures.dpir.config import READING, SMALLEST
from dit4sr.export.cli import command
from dit4sr.export.engines.inductor.builder import add_to as add_packages
from dit4sr.export.engines.inductor.config import InductorConfig
from dit4sr.export.engines.tensorrt_rtx.builder import add_to
from dit4sr.export.engines.tensorrt_rtx.config import RtxConfig
from dit4sr.export.exporter import ExportConfig, export_bundle
from dit4sr.export.sampling import PROMPTS, SIDES
from dit4sr.runtime import Settings, Upscaler
from dit4sr.runtime.bundles.bundle import Bundle
from dit4sr.runtime.bundles.manifest import View
from dit4sr.runtime.console.command import run_command
from dit4sr.runtime.doctor.inspection import format_inspection


@pytest.fixture(scope="module")
def exported(tmp_path_factory) -> Bundle:
    """A checkpoint with image tower, T5 and VAE, by the command line, with a choice that no tensor tells."""
    folder = tmp_path_factory.mktemp("dual-prompted")
    t5 = TINY["text_t5"]
    config = replace(SMALLEST, joint_attention_dim=t5.d_model)
    checkpoint = write_dual_prompted(folder / "checkpoint", config)
    AutoencoderKL(**TINY_VAE).save_pretrained(checkpoint / "vae")
    write_encoder(checkpoint, "text_t5")
    arguments = (checkpoint, "-o", folder / "bundle", "--global-reach", 3, "--precision", "fp32")
    assert run_command(command, list(map(str, arguments))) == 0
    return Bundle.open(folder / "bundle")


def test_the_manifest_says_whose_reading_it_is_and_what_encoders_are_shown(exported):
    manifest = exported.manifest
    assert manifest.architecture.name == "dpir"
    assert exported.card.weights == f"trained; {READING}"
    assert READING in format_inspection(exported)
    assert (manifest.text_encoders, manifest.image_encoders) == (("text_t5",), ("image_clip",))
    assert manifest.views == (View(1.0, "local_image", "pooled_image"), View(3.0, "global_image"))
    assert (exported.card.text_tokens, exported.card.pooled_channels) == (SMALLEST.t5_tokens, 0)
    assert architectures.network_config(manifest)["global_reach"] == 3
    folders = {name.partition("/")[0] for name in manifest.provenance.checkpoint if "/" in name}
    assert folders == {"image_encoder", "text_encoder_3", "vae"}
    assert {check.component for check in manifest.verification} >= {"image_clip", "prepare", "step", "loop"}


def test_it_restores_pictures_of_one_tile_and_of_several(exported):
    with Upscaler(exported, threads=1) as upscaler:
        for size in ((8, 8), (20, 28)):
            restored = upscaler.upscale(make_photo(*size), seed=1, prompt="a cat", settings=Settings(steps=2))
            assert restored.picture.shape == (4 * size[0], 4 * size[1], 3)
            assert restored.picture.std() > 5
            assert "image_clip" in restored.seconds


def test_every_tile_is_prompted_by_itself(exported):
    """A batch of tiles is what each is alone, and that is not what one prompt for all would be."""
    photo = make_photo(20, 28)
    with Upscaler(exported, threads=1) as upscaler:
        alone, together = (
            upscaler.upscale(photo, seed=1, settings=Settings(steps=2, tile_batch=batch)).picture
            for batch in (1, 4)
        )
        assert np.abs(alone.astype(int) - together).max() <= 1
        sight = upscaler._sight.prompts
        upscaler._sight.prompts = lambda *given: dict.fromkeys(
            prompts := sight(*given), next(iter(prompts.values()))
        )
        shared = upscaler.upscale(photo, seed=1, settings=Settings(steps=2)).picture
    assert np.abs(alone.astype(int) - shared).max() > 1


@pytest.fixture(scope="module")
def half(tmp_path_factory) -> Bundle:
    path = tmp_path_factory.mktemp("half") / "bundle"
    export_bundle(small_dual_prompted_system(), ExportConfig(path))
    return Bundle.open(path)


def test_a_stored_prompt_is_text_alone(tmp_path):
    checkpoint = write_dual_prompted(tmp_path / "checkpoint")
    sides = {f"{side}.text": torch.randn(5, SMALLEST.joint_attention_dim) for side in SIDES}
    save_file(sides, checkpoint / PROMPTS)
    arguments = (checkpoint, "-o", tmp_path / "bundle", "--components", "prepare", "--no-verify")
    assert run_command(command, list(map(str, arguments))) == 0
    manifest = Bundle.open(tmp_path / "bundle").manifest
    assert [len(files) for files in manifest.embeddings.values()] == [1, 1]
    assert (manifest.image_encoders, manifest.views) == ((), ())


def test_in_half_every_output_errs_as_half_does(half):
    checks = {check.component: check for check in half.manifest.verification}
    assert checks.keys() >= {"image_clip", "prepare", "step", "loop"}


def test_nvidias_compiler_fuses_every_attention(half):
    pytest.importorskip("tensorrt_rtx", reason="not run: TensorRT for RTX is for Linux and Windows on x86-64")
    add_to(half, RtxConfig(components=("step", "prepare", "image_clip"), architectures=(89,)))
    accounts = {engine.component: engine.plan.account for engine in Bundle.open(half.path).manifest.engines}
    assert accounts["step"].fused_attentions == accounts["step"].attentions == 4
    assert accounts["image_clip"].fused_attentions == accounts["image_clip"].attentions == 2
    assert set(accounts["step"].products) == {"fp16"}
    groups = {group.group for group in accounts["step"].groups}
    assert {"image MLP", "prompt MLP", "attention"} <= groups


@pytest.mark.slow
def test_torchs_compiler_packs_the_network_and_the_image_tower(half):
    """Held against torch while it is built, relative to what half precision errs."""
    config = InductorConfig(device="cpu", branches=(2,), components=("image_clip", "prepare", "step"))
    add_packages(half, small_dual_prompted_system(), config)
    engines = [each for each in Bundle.open(half.path).manifest.engines if each.backend == "inductor"]
    assert [engine.component for engine in engines] == ["image_clip", "prepare", "step"]
    for engine in engines:
        assert engine.verification
        assert all(0 < check.error <= check.allowed for check in engine.verification)


def test_json_of_the_manifest_is_read_back(half):
    views = json.loads((half.path / "manifest.json").read_text())["views"]
    assert [view["tokens"] for view in views] == ["local_image", "global_image"]


def test_it_is_not_written_as_one_graph(exported, tmp_path, capsys):
    assert run_command(command, [str(exported.path), "--whole", str(tmp_path / "whole.onnx")]) == 2
    assert "shows its pictures to image_clip" in capsys.readouterr().err
