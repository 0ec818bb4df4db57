"""What comes in the box: whole, small, made from the checkpoint beside it, and better than bicubic."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dit4sr.export.pipeline import checkpoint_pipeline
from dit4sr.export.tiny import CHECKPOINT
from dit4sr.export.tiny.data.held_out import spoil
from dit4sr.export.tiny.data.photographs import held_out_photograph
from dit4sr.export.tiny.evaluation import gradient_energy
from dit4sr.runtime import Upscaler
from dit4sr.runtime.bundles import built_in
from dit4sr.runtime.bundles.bundle import Bundle
from dit4sr.runtime.errors import BadInputError
from dit4sr.runtime.files.reading import sha256_of
from dit4sr.runtime.metrics import psnr_rgb, psnr_y, ssim


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return Bundle.open(built_in.tiny_bundle())


def test_the_bundle_is_whole_and_made_from_the_checkpoint(bundle):
    bundle.verify()
    assert bundle.card.name == "dit4sr-tiny"
    assert bundle.manifest.verification
    hashes = bundle.manifest.provenance.checkpoint
    assert hashes == {
        "diffusion_pytorch_model.safetensors": sha256_of(
            CHECKPOINT / "transformer" / "diffusion_pytorch_model.safetensors"
        ),
        "vae/diffusion_pytorch_model.safetensors": sha256_of(
            CHECKPOINT / "vae" / "diffusion_pytorch_model.safetensors"
        ),
    }


def test_presets_are_those_that_the_checkpoint_states(bundle):
    assert [preset.name for preset in bundle.card.presets] == ["exact", "balanced", "fast"]
    assert bundle.card.presets == checkpoint_pipeline(CHECKPOINT).card("fp16").presets
    exact, balanced, fast = (preset.rows for preset in bundle.card.presets)
    assert balanced <= exact / 2
    assert fast <= exact / 5


@pytest.mark.slow
@pytest.mark.parametrize(("preset", "least"), [("balanced", 47), ("fast", 44)])
def test_presets_come_as_near_to_exact_as_they_promise(preset, least):
    """On photographs that the presets were not chosen by."""
    for sample in built_in.sample_photographs():
        with Upscaler(threads=1) as upscaler, Image.open(sample.photo) as photo:
            middle = photo.crop((20, 20, 84, 84))
            pictures = [upscaler(middle, preset=name).picture for name in ("exact", preset)]
        assert psnr_rgb(*pictures) >= least


def test_the_box_is_small():
    files = [file for folder in (CHECKPOINT, built_in.tiny_bundle()) for file in folder.rglob("*")]
    assert sum(file.stat().st_size for file in files) < 30e6


def test_the_photographs_are_those_of_the_training_s_tests():
    """Three of them, degraded as a phone and a messenger would."""
    sizes = {"astronaut": (512, 512), "chelsea": (300, 448), "coffee": (400, 600)}
    samples = {sample.name: sample for sample in built_in.sample_photographs()}
    assert samples.keys() == sizes.keys()
    for place, (name, (height, width)) in enumerate(sizes.items()):
        truth = held_out_photograph(name)[:height, :width]
        photo = spoil(truth, blur=1.2, noise=6.0, quality=75, seed=100 + place)
        np.testing.assert_array_equal(np.asarray(Image.open(samples[name].photo)), photo)
        np.testing.assert_array_equal(np.asarray(Image.open(samples[name].truth)), truth)


def test_it_restores_better_than_bicubic(bundle):
    """Crisper every photograph; truer two of three, and all together: the cat's fur is lost."""
    gains, crispness = [], []
    with Upscaler(bundle, threads=1, use_cache=False) as upscaler:
        for sample in built_in.sample_photographs():
            photo, truth = Image.open(sample.photo), np.asarray(Image.open(sample.truth))
            restored = upscaler.upscale(np.asarray(photo), seed=0).picture
            bicubic = np.asarray(photo.resize(truth.shape[1::-1], Image.Resampling.BICUBIC))
            gains.append([metric(restored, truth) - metric(bicubic, truth) for metric in (psnr_y, ssim)])
            crispness.append(gradient_energy(restored) / gradient_energy(bicubic))
    assert min(crispness) > 1.3
    assert (np.array(gains) > 0).all(axis=1).sum() >= 2
    assert (np.mean(gains, axis=0) > 0).all()


def test_a_photo_is_restored_at_once_and_without_much(tmp_path):
    """The command alone, with no bundle named: under half a gigabyte, and no PyTorch."""
    program = (
        "import sys; from dit4sr.runtime.cli import main; sys.argv[0] = 'dit4sr-upscale'\n"
        "try: main()\n"
        "except SystemExit as end: assert not end.code, end.code\n"
        "assert not {'torch', 'onnx', 'diffusers', 'transformers'} & set(sys.modules)\n"
        # The peak that resource reports may be that of the process which forked this one.
        "status = open('/proc/self/status').read()\n"
        "print(int(status.split('VmHWM:')[1].split()[0]) * 1024)"
    )
    photo = next(s.photo for s in built_in.sample_photographs() if s.name == "astronaut")
    output = tmp_path / "out.png"
    done = subprocess.run(
        [sys.executable, "-c", program, str(photo), "-o", str(output)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert Image.open(output).size == (512, 512)
    assert int(done.stdout) < 500e6


def test_an_installation_without_the_model_says_so(monkeypatch):
    monkeypatch.setattr(built_in, "HOME", Path("/nowhere"))
    with pytest.raises(BadInputError, match="name a bundle with --model"):
        built_in.tiny_bundle()
