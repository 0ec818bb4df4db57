"""``dit4sr-export`` as typed: what it writes and prints, and how it fails."""

from __future__ import annotations

import io
import json
import shutil

import pytest
import torch
from diffusers import AutoencoderKL
from safetensors.torch import load_file, save_file
from support.manifests import write_bundle
from support.networks import released_tensors, smallest_config, write_checkpoint

from dit4sr.export.architectures.autoencoder_kl.components import SD35_VAE
from dit4sr.export.cli import command
from dit4sr.runtime.bundles.built_in import tiny_bundle
from dit4sr.runtime.bundles.bundle import Bundle
from dit4sr.runtime.bundles.presets import Loss, Preset
from dit4sr.runtime.console.command import run_command


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Run the command in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object) -> int:
        words = [str(argument) for argument in arguments]
        monkeypatch.setattr("sys.argv", ["dit4sr-export", *words])
        return run_command(command, words)

    return run


def test_a_checkpoint_becomes_a_bundle(run, tmp_path, capsys):
    write_checkpoint(tmp_path / "photos-q", smallest_config())
    assert run("photos-q", "--components", "prepare") == 0
    assert capsys.readouterr().out.startswith("photos-q-fp16: prepare in fp16")
    bundle = Bundle.open(tmp_path / "photos-q-fp16")
    assert bundle.card.weights == "trained"
    assert bundle.card.flavour == "own"
    assert bundle.manifest.provenance.command == "dit4sr-export photos-q --components prepare"
    assert list(bundle.manifest.provenance.checkpoint) == ["diffusion_pytorch_model.safetensors"]

    assert run("photos-q", "--components", "prepare") == 2
    assert "--force" in capsys.readouterr().err
    assert run("photos-q", "--components", "prepare", "--force", "--json", "--no-verify") == 0
    assert json.loads(capsys.readouterr().out)["model"]["precision"] == "fp16"

    assert run("--verify", "photos-q-fp16") == 0
    assert "all as the manifest says" in capsys.readouterr().out
    assert run("--inspect", "photos-q-fp16") == 0
    printed = capsys.readouterr().out
    for expected in ("flavour own", "condition [rows, 16, height, width] float32", "1 Gemm", "not verified"):
        assert expected in printed
    assert run("--inspect", "photos-q-fp16", "--json") == 0
    assert json.loads(capsys.readouterr().out)["graphs"]["prepare"]["nodes"]["Gemm"] == 1


@pytest.mark.parametrize("flag", ["--inspect", "--verify"])
def test_looking_needs_none_of_what_exporting_takes(run, monkeypatch, flag):
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    assert run(flag, tiny_bundle()) == 0


def test_looking_into_a_bundle_reads_no_weights(run, tmp_path, capsys):
    """So it takes no longer for one of gigabytes; whether it is whole, --verify says."""
    shutil.copytree(tiny_bundle(), tmp_path / "b")
    for weights in (tmp_path / "b" / "onnx").glob("*.data"):
        weights.unlink()
    assert run("--inspect", "b") == 0
    assert "6 DepthwiseInject, 5 JointAttention, 2 JointAttentionDual" in capsys.readouterr().out
    assert run("--verify", "b") == 5


def test_verifying_shows_on_a_terminal_how_far_it_is(run, monkeypatch):
    terminal = io.StringIO()
    monkeypatch.setattr(terminal, "isatty", lambda: True, raising=False)
    monkeypatch.setattr("sys.stderr", terminal)
    assert run("--verify", tiny_bundle()) == 0
    shown = [part.strip() for part in terminal.getvalue().split("\r") if part.strip()]
    assert shown[0] == "onnx/prepare.onnx  0% of 14.1 MB verified"
    assert "onnx/vae_encoder.onnx.data  87% of 14.1 MB verified" in shown


def test_the_vae_comes_along_and_is_checked(run, tmp_path, capsys):
    config = {**SD35_VAE, "block_out_channels": (8, 16, 16, 16), "norm_num_groups": 4, "layers_per_block": 1}
    vae = AutoencoderKL(**config)
    folder = write_checkpoint(tmp_path / "whole", smallest_config())
    vae.save_pretrained(folder / "vae")
    assert run("whole", "--components", "vae_encoder,vae_decoder", "-o", "b") == 0
    bundle = Bundle.open(tmp_path / "b")
    assert {check.component for check in bundle.manifest.verification} == {"vae_encoder", "vae_decoder"}
    assert len(bundle.manifest.provenance.checkpoint) == 2

    weights = folder / "vae" / "diffusion_pytorch_model.safetensors"
    tensors = load_file(weights)
    del tensors["decoder.conv_in.bias"]
    save_file(tensors, weights)
    assert run("whole", "-o", "c") == 2
    assert "lacks decoder.conv_in.bias" in capsys.readouterr().err
    assert not (tmp_path / "c").exists()


def test_sd35_is_exported_untrained_only_on_purpose(run, tmp_path, capsys):
    config = smallest_config()
    stock = {k: v for k, v in released_tensors(config).items() if "control" not in k and "attn2.add" not in k}
    stock = {k: v for k, v in stock.items() if not ("attn2" in k and ("to_add" in k or "norm_added" in k))}
    write_checkpoint(tmp_path / "sd35", config, stock)
    assert run("sd35", "--components", "prepare") == 2
    assert "--untrained" in capsys.readouterr().err
    assert run("sd35", "--components", "prepare", "--untrained", "-o", "b", "--no-verify") == 0
    assert Bundle.open(tmp_path / "b").card.weights == "untrained LR stream"


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("nowhere", "-o", "b"), 2, "no checkpoint at nowhere"),
        (("--precision", "fp8"), 2, "give that to dit4sr-calibrate"),
        ((str(tiny_bundle()), "--engine", "tensorrt", "--precision", "fp8"), 2, "is in fp16; expected fp8"),
        (("--components", "stride", "-o", "b"), 2, "no component 'stride'"),
        (("nowhere", "--random-weights", "0"), 2, "--random-weights"),
        (("--inspect", "nowhere"), 2, "no bundle at nowhere"),
        (("--verify", "nowhere"), 2, "no bundle at nowhere"),
        (("--verify", "a", "--inspect", "b"), 2, "exclude one another"),
    ],
)
def test_bad_usage_leaves_nothing_behind(run, tmp_path, capsys, arguments, code, said):
    assert run(*arguments) == code
    printed = capsys.readouterr()
    assert said in printed.err
    assert "Traceback" not in printed.err
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_bundle_is_exit_5(run, tmp_path, capsys):
    write_bundle(tmp_path / "b")
    (tmp_path / "b" / "onnx" / "step.onnx.data").write_bytes(b"short")
    assert run("--verify", "b") == 5
    assert "expected 171" in capsys.readouterr().err


def write_tiny(folder, **changes):
    """A checkpoint that brings its own sampling and prompts, as the model in the box does."""
    config = smallest_config()
    write_checkpoint(folder, config)
    prompts = {
        f"{side}.{part}": torch.full(shape, value)
        for side, value in (("positive", 1.0), ("negative", -1.0))
        for part, shape in (
            ("text", (5, config.joint_attention_dim)),
            ("pooled", (config.pooled_projection_dim,)),
        )
    }
    prompts |= changes.pop("prompts", {})
    save_file(
        {key: tensor for key, tensor in prompts.items() if tensor is not None}, folder / "prompts.safetensors"
    )
    for file, values in {
        "dit4sr.json": {"name": "mine", "steps": 4, "guidance": 1.5, "tile": 6},
        "scheduler/scheduler_config.json": {"shift": 2.0},
        "vae/config.json": None,
        **changes,
    }.items():
        if values is not None:
            (folder / file).parent.mkdir(exist_ok=True)
            (folder / file).write_text(json.dumps(values))
    return folder


def test_a_checkpoint_may_say_how_it_is_sampled(run, tmp_path):
    write_tiny(tmp_path / "tiny")
    assert run("tiny", "--components", "prepare", "--no-verify", "-o", "b") == 0
    bundle = Bundle.open(tmp_path / "b")
    card = bundle.card
    assert (card.name, card.default_steps, card.default_guidance, card.text_tokens) == ("mine", 4, 1.5, 5)
    assert (card.schedule_shift, card.scaling, card.training_tile) == (2.0, 1.5305, 6)
    text, pooled = (bundle.embedding("negative")[tensor] for tensor in ("text", "pooled"))
    assert text.shape == (5, 24)
    assert (text == -1).all()
    assert pooled.shape == (20,)


def test_presets_that_a_checkpoint_states_are_the_bundles(run, tmp_path, capsys):
    loss = {"photos": 2, "psnr": 45.5, "worst_psnr": 44.0, "drop": None}
    fast = {"name": "fast", "steps": 3, "solver": "ab2", "guidance": 1.5, "velocities": "guh", "loss": loss}
    write_tiny(tmp_path / "tiny", **{"dit4sr.json": {"tile": 6, "presets": [fast]}})
    assert run("tiny", "--components", "prepare", "--no-verify", "-o", "b") == 0
    assert run("--inspect", "b") == 0
    assert (
        "preset fast: 3 rows of the network, ab2 guh; 45.5 dB to exact over 2 photos"
        in capsys.readouterr().out
    )
    [preset] = Bundle.open(tmp_path / "b").card.presets
    assert preset == Preset("fast", 3, "ab2", 1.5, "guh", Loss(2, 45.5, 44.0, None))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"dit4sr.json": {"presets": [{"name": "fast"}]}}, "presets[0] lacks"),
        ({"dit4sr.json": {"presets": "fast"}}, "presets is 'fast'"),
        ({"dit4sr.json": {"steps": "many"}}, "of the wrong kind"),
        ({"dit4sr.json": {"tile": -4}}, "of the wrong kind"),
        ({"dit4sr.json": {"guidance": "much"}}, "no finite number"),
        ({"scheduler/scheduler_config.json": {"shift": float("nan")}}, "no finite number"),
        ({"dit4sr.json": []}, "not a JSON object"),
        ({"prompts": {"positive.text": None}}, "expected negative.pooled"),
        ({"prompts": {"positive.text": torch.zeros(4, 24)}}, "do not fit"),
        ({"prompts": {"positive.text": torch.zeros(5, 25)}}, "do not fit"),
        ({"prompts": {"positive.text": torch.zeros(24)}}, "do not fit"),
        ({"prompts": {"negative.pooled": torch.zeros(19)}}, "pooled vector does not fit"),
        ({"prompts": {"negative.pooled": torch.full((20,), torch.nan)}}, "negative.pooled"),
    ],
)
def test_sampling_that_makes_no_sense_is_refused(run, tmp_path, capsys, changes, said):
    write_tiny(tmp_path / "tiny", **changes)
    assert run("tiny", "-o", "b") in {2, 5}
    error = capsys.readouterr().err
    assert said in error
    assert "Traceback" not in error
    assert not (tmp_path / "b").exists()
