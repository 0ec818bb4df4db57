"""From checkpoint to photo and to plans, by what is there for any network."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import onnx
import pytest
import torch
from diffusers import AutoencoderKL
from safetensors.torch import save_file
from support.controlled import write_system
from support.encoders import TINY_VAE
from support.photos import make_photo
from support.small_system import small_controlled_system

from dit4sr.bench.cli import command as bench
from dit4sr.export import architectures
from dit4sr.export.architectures.sd3_controlnet import ARCHITECTURE
from dit4sr.export.architectures.sd3_controlnet.config import SMALLEST
from dit4sr.export.cli import command
from dit4sr.export.engines.inductor.builder import add_to as add_packages
from dit4sr.export.engines.inductor.config import InductorConfig
from dit4sr.export.engines.tensorrt_rtx.builder import add_to
from dit4sr.export.engines.tensorrt_rtx.config import RtxConfig
from dit4sr.export.exporter import ExportConfig, export_bundle
from dit4sr.export.sampling import PROMPTS, SIDES
from dit4sr.export.verify import seeded_inputs, torch_runner
from dit4sr.runtime import Settings, Upscaler
from dit4sr.runtime.axes import axis_sizes
from dit4sr.runtime.backends.card_fit import check_card
from dit4sr.runtime.backends.onnxruntime.backend import OnnxRuntime
from dit4sr.runtime.backends.tap import Recording, TappedBackend
from dit4sr.runtime.bundles.bundle import Bundle
from dit4sr.runtime.bundles.manifest import LighterStep, TensorSpec
from dit4sr.runtime.console.command import run_command
from dit4sr.runtime.doctor.inspection import format_inspection
from dit4sr.runtime.errors import IncompatibleError


@pytest.fixture(scope="module")
def exported(tmp_path_factory) -> Bundle:
    """A checkpoint of two networks and a VAE, by the command line, with what no tensor tells."""
    folder = tmp_path_factory.mktemp("controlled")
    checkpoint = write_system(folder / "checkpoint", SMALLEST)
    AutoencoderKL(**TINY_VAE).save_pretrained(checkpoint / "vae")
    prompts = {"text": (5, SMALLEST.joint_attention_dim), "pooled": (SMALLEST.pooled_projection_dim,)}
    sides = {f"{side}.{part}": torch.randn(shape) for side in SIDES for part, shape in prompts.items()}
    save_file(sides, checkpoint / PROMPTS)
    said = ("--control-shift", "vae", "--control-scale", 0.8, "--control-end", 0.7, "--precision", "fp32")
    arguments = map(str, (checkpoint, "-o", folder / "bundle", *said))
    assert run_command(command, list(arguments)) == 0
    return Bundle.open(folder / "bundle")


def test_the_manifest_says_what_network_it_is_and_what_was_chosen(exported):
    record = exported.manifest.architecture
    assert (record.name, exported.card.name) == ("sd3-controlnet", "SD3-ControlNet")
    config = architectures.network_config(exported.manifest)
    assert {
        "control_shift": "vae",
        "control_pooled": "zero",
        "residual_rule": "float",
    }.items() <= config.items()
    assert (config["control_scale"], config["control_end"]) == (0.8, 0.7)
    assert f"{exported.path}: SD3-ControlNet, fp32\n" in format_inspection(exported)
    folders = {name.partition("/")[0] for name in exported.manifest.provenance.checkpoint if "/" in name}
    assert folders == {"controlnet", "vae"}
    assert {check.component for check in exported.manifest.verification} >= {"prepare", "step", "loop"}


def test_stacked_matrices_are_written_without_holding_them_together(exported):
    """A MatMul would read them transposed, which takes the whole stack at once: 6 GB at full size."""
    graph = onnx.load(exported.component_file("prepare"), load_external_data=False).graph
    readers = {name: node.op_type for node in graph.node for name in node.input if "modulation" in name}
    assert readers.keys() >= {"modulation.weight", "control_modulation.weight"}
    assert {readers[f"{name}.weight"] for name in ("modulation", "control_modulation")} == {"Gemm"}


def test_it_restores_pictures_of_one_tile_and_of_several(exported):
    with Upscaler(exported, threads=1) as upscaler:
        for size in ((8, 8), (20, 28)):
            picture = upscaler.upscale(make_photo(*size), seed=1, settings=Settings(steps=3)).picture
            assert picture.shape == (4 * size[0], 4 * size[1], 3)
            assert picture.std() > 5


def test_start_end_and_scale_reach_the_steps_by_name(exported):
    """No step input is set by hand: `prepare` makes the weights of all steps from the schedule."""
    prepare, step = (exported.components[name] for name in ("prepare", "step"))
    assert ("steps", "rows", 1) in [spec.shape for spec in prepare.outputs if spec.name == "control_scale"]
    assert ("rows", 1) in [spec.shape for spec in step.inputs if spec.name == "control_scale"]
    network = ARCHITECTURE.random(architectures.network_config(exported.manifest), 3)
    source = network.components()[0]
    sizes = axis_sizes(exported.card, latent=(8, 8), text=5, steps=10)
    outputs = dict(
        zip(source.outputs, torch_runner(source, torch.float32)(seeded_inputs(source, sizes)), strict=True)
    )
    np.testing.assert_allclose(outputs["control_scale"][:, 0, 0], [0.8] * 7 + [0.0] * 3, rtol=1e-6)


def test_the_backbone_alone_answers_where_the_control_net_is_not_heard(exported):
    """The lighter step is the step at a scale of nothing, exactly, and reads no condition."""
    assert exported.manifest.lighter_step == LighterStep("step_uncontrolled", "control_scale")
    network = ARCHITECTURE.random(architectures.network_config(exported.manifest), 3)
    step, alone = network.components()[1:]
    feeds = seeded_inputs(step, axis_sizes(exported.card, latent=(8, 8), text=5))
    feeds["control_scale"][:] = 0
    expected, found = (
        torch_runner(source, torch.float64)({spec.name: feeds[spec.name] for spec in source.inputs})
        for source in (step, alone)
    )
    for values, wanted in zip(found, expected, strict=True):
        np.testing.assert_allclose(values, wanted, rtol=1e-12, atol=1e-12)
    assert not {"condition_tokens", "control_scale"} & {spec.name for spec in alone.inputs}


@pytest.mark.parametrize("size", [(8, 8), (20, 28)], ids=["one tile", "tiles"])
def test_steps_without_the_control_net_do_not_run_it(exported, size):
    """Of ten steps the last three are the backbone's alone; the picture is the one that all of both make."""
    runs = {name: Recording("velocity") for name in ("step", "step_uncontrolled")}
    always = Bundle(exported.path, replace(exported.manifest, lighter_step=None))
    pictures = []
    for bundle in (exported, always):
        backend = TappedBackend(OnnxRuntime("cpu", threads=1), runs)
        with Upscaler(bundle, backend=backend) as upscaler:
            picture = upscaler.upscale(make_photo(*size), seed=1, settings=Settings(steps=10)).picture
        counts = [len(runs[name].runs) for name in runs]
        assert counts == ([7 * counts[1] // 3, counts[1]] if bundle is exported else [counts[0], 0])
        assert counts[0] > 0
        pictures.append(picture.astype(int))
        for recording in runs.values():
            recording.runs.clear()
    assert np.abs(pictures[0] - pictures[1]).max() <= 1


def test_a_lighter_step_is_held_against_the_step_it_stands_for(exported):
    manifest = exported.manifest
    for stated, said in (
        (LighterStep("step_uncontrolled", "velocity"), "asks for 'velocity'"),
        (LighterStep("step_uncontrolled", "condition_tokens"), "asks for 'condition_tokens'"),
        (LighterStep("vae_decoder", "control_scale"), "vae_decoder has the tensors"),
    ):
        with pytest.raises(IncompatibleError, match=said):
            check_card(replace(manifest, lighter_step=stated))
    alone = manifest.components["step_uncontrolled"]
    greedy = replace(alone, inputs=(*alone.inputs, TensorSpec("more", "float32", ("rows", 3))))
    with pytest.raises(IncompatibleError, match="reads what step does not"):
        check_card(replace(manifest, components={**manifest.components, "step_uncontrolled": greedy}))
    with pytest.raises(ValueError, match="'nobody' is no component"):
        replace(manifest, lighter_step=LighterStep("nobody", "control_scale"))


@pytest.fixture(scope="module")
def half(tmp_path_factory) -> Bundle:
    path = tmp_path_factory.mktemp("half") / "bundle"
    export_bundle(small_controlled_system(), ExportConfig(path, verify=False))
    return Bundle.open(path)


def test_nvidias_compiler_fuses_every_attention_of_both_networks(half):
    pytest.importorskip("tensorrt_rtx", reason="not run: TensorRT for RTX is for Linux and Windows on x86-64")
    add_to(half, RtxConfig(components=("step", "prepare"), architectures=(80, 89)))
    engines = Bundle.open(half.path).manifest.engines
    steps = [engine.plan.account for engine in engines if engine.component == "step"]
    assert len(steps) == 2  # guided, and the positive branch alone
    for account in steps:
        assert account.fused_attentions == account.attentions == 8
        assert set(account.products) == {"fp16"}
        groups = {group.group for group in account.groups}
        assert {"control net: image MLP", "backbone: image MLP", "residuals", "attention"} <= groups


@pytest.mark.slow
def test_torchs_compiler_packs_both_networks(half):
    """Held against torch while it is built, relative to what half precision errs."""
    config = InductorConfig(device="cpu", branches=(2,), components=("prepare", "step"))
    add_packages(half, small_controlled_system(), config)
    engines = [each for each in Bundle.open(half.path).manifest.engines if each.backend == "inductor"]
    assert [engine.component for engine in engines] == ["prepare", "step"]
    for engine in engines:
        assert engine.verification
        assert all(0 < check.error <= check.allowed for check in engine.verification)


def test_the_bench_predicts_from_its_plans(half, tmp_path):
    pytest.importorskip("tensorrt_rtx", reason="not run: TensorRT for RTX is for Linux and Windows on x86-64")
    record = tmp_path / "plan.json"
    arguments = [str(half.path), "--plan", "--card", "H100", "--json", str(record)]
    assert run_command(bench, arguments) == 0
    found = json.loads(record.read_text())
    assert found["plain"]["fused_attentions"] == found["plain"]["attentions"] == 8
    [prediction] = found["predictions"]
    assert prediction["plain_step_seconds"] > prediction["step_seconds"] > 0
