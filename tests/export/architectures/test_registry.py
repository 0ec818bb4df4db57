"""An architecture is one folder: one that nobody knew is found, exported and restores pictures."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKL
from safetensors.torch import save_file
from support import toy_architectures
from support.encoders import TINY_VAE
from support.networks import smallest_config, write_checkpoint
from support.photos import make_photo

from dit4sr.export import architectures
from dit4sr.export.cli import command
from dit4sr.export.weights.checkpoint import open_checkpoint
from dit4sr.runtime import Upscaler
from dit4sr.runtime.bundles.bundle import Bundle
from dit4sr.runtime.console.command import run_command
from dit4sr.runtime.errors import BadInputError


@pytest.fixture
def toy(monkeypatch) -> None:
    """The folder of toys beside the folders of the house; nothing else is told of it."""
    places = [*architectures.__path__, *toy_architectures.__path__]
    monkeypatch.setattr(architectures, "__path__", places)


def write_toy(folder: Path) -> Path:
    """A checkpoint as whoever trained the toy would publish it, with a VAE."""
    torch.manual_seed(0)
    tensors = {f"{name}.weight": 0.05 * torch.randn(16, 16, 3, 3) for name in ("look", "move")}
    tensors |= {f"{name}.bias": 0.05 * torch.randn(16) for name in ("look", "move")}
    vae = AutoencoderKL(**TINY_VAE).state_dict()
    for part, weights, config in (("transformer", tensors, {}), ("vae", vae, TINY_VAE)):
        (folder / part).mkdir(parents=True)
        save_file(weights, folder / part / "diffusion_pytorch_model.safetensors")
        (folder / part / "config.json").write_text(json.dumps(config))
    return folder


@pytest.mark.usefixtures("toy")
def test_a_toy_in_its_own_folder_is_exported_and_restores_a_picture(tmp_path, capsys):
    checkpoint = write_toy(tmp_path / "checkpoint")
    assert run_command(command, [str(checkpoint), "-o", str(tmp_path / "bundle")]) == 0
    manifest = Bundle.open(tmp_path / "bundle").manifest
    assert manifest.architecture is not None
    assert (manifest.architecture.name, manifest.model.name) == ("toy", "a toy")
    assert architectures.network_config(manifest) == {"channels": 16}
    assert {check.component for check in manifest.verification} >= {"prepare", "step", "loop"}
    with Upscaler(tmp_path / "bundle", threads=1) as upscaler:
        for size in ((16, 16), (20, 28)):  # one tile, and several
            picture = upscaler.upscale(make_photo(*size), seed=1).picture
            assert picture.shape == (4 * size[0], 4 * size[1], 3)
            assert picture.std() > 5
    assert "a toy" in Bundle.open(tmp_path / "bundle").card.name
    assert run_command(command, ["--describe", str(checkpoint)]) == 0
    assert "two convolutions" in capsys.readouterr().out


@pytest.mark.usefixtures("toy")
def test_a_checkpoint_finds_its_architecture(tmp_path):
    toy = open_checkpoint(write_toy(tmp_path / "toy"))
    ours = open_checkpoint(write_checkpoint(tmp_path / "ours", smallest_config()))
    assert architectures.detect(toy).name == "toy"
    assert architectures.detect(ours).name == "dit4sr"
    assert list(architectures.known()) == ["dit4sr", "dpir", "sd3-controlnet", "toy"]


def test_without_its_folder_a_toy_is_nobodys(tmp_path, capsys):
    checkpoint = write_toy(tmp_path / "checkpoint")
    assert run_command(command, [str(checkpoint), "-o", str(tmp_path / "bundle")]) == 2
    assert "holds no transformer in diffusers layout" in capsys.readouterr().err
    with pytest.raises(BadInputError, match="no architecture 'toy' here; expected one of dit4sr"):
        architectures.named("toy")


def test_the_register_needs_no_torch():
    """Calibration and benchmark ask it for names of layers where there may be no torch."""
    script = (
        "import sys\nfrom dit4sr.export import architectures\nassert architectures.known()['dit4sr'].layers\n"
        "assert not {'torch', 'onnx', 'diffusers'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
