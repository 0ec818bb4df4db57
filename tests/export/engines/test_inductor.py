"""From weights to packages that torch alone runs, on the CPU: built, recorded, opened elsewhere, compared."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from support.networks import smallest_config, write_checkpoint
from support.runtime_system import write_toy_bundle
from support.small_system import small_system

from dit4sr.export import cli, verify
from dit4sr.export.component import static_sizes
from dit4sr.export.engines.inductor import builder as inductor
from dit4sr.export.engines.inductor.builder import add_to
from dit4sr.export.engines.inductor.config import InductorConfig
from dit4sr.export.engines.inductor.packaging import write_weights
from dit4sr.export.engines.inductor.preflight import preflight
from dit4sr.export.pipeline import checkpoint_pipeline
from dit4sr.runtime import Settings, Upscaler
from dit4sr.runtime.backends.inductor.compatibility import instruction_sets
from dit4sr.runtime.backends.inductor.tensors import read_weights
from dit4sr.runtime.bundles.bundle import Bundle
from dit4sr.runtime.bundles.manifest import Engine, record_of
from dit4sr.runtime.console.command import run_command
from dit4sr.runtime.errors import BadInputError, IncompatibleError, MissingDependencyError

COMPONENTS = {"vae_encoder", "prepare", "step", "vae_decoder"}


def photo(height, width):
    rows, columns = np.mgrid[0:height, 0:width] / max(height, width)
    return (np.stack([rows, columns, rows * columns], axis=-1) * 255).astype(np.uint8)


def restored(bundle, picture, backend):
    with Upscaler(bundle, backend=backend, threads=1, use_cache=False) as upscaler:
        assert upscaler.backend == f"{backend}/cpu"
        return upscaler.upscale(picture, seed=7, settings=Settings(guidance=3.0)).picture.astype(float)


@pytest.mark.parametrize("size", [(8, 8), (9, 14)], ids=["one tile", "tiled"])
def test_the_picture_is_onnxruntimes(compiled, unrounded, size):
    """Against the picture in FP32, the engines err no more than twice what the graphs in FP16 err."""
    picture = photo(*size)
    truth = restored(unrounded, picture, "onnxruntime")
    graphs, engines = (restored(compiled, picture, backend) for backend in ("onnxruntime", "inductor"))
    assert engines.shape == truth.shape
    assert truth.std() > 10
    assert 0 < np.square(engines - truth).mean() <= 2**2 * np.square(graphs - truth).mean()


def test_the_manifest_says_what_was_built(compiled):
    assert {engine.component for engine in compiled.engines} == COMPONENTS
    for engine in compiled.engines:
        assert (engine.backend, engine.precision, engine.gpu_architecture) == ("inductor", "fp16", "cpu")
        assert engine.versions == {
            "torch": torch.__version__,
            "instructions": " ".join(instruction_sets()),
        }
        package, weights = (record.path for record in engine.files)
        assert package.startswith(f"engines/inductor-cpu/{engine.component}")
        assert weights == f"engines/inductor-cpu/{engine.component}.safetensors"
        assert engine.verification
        assert all(0 < check.error <= check.allowed for check in engine.verification)
    compiled.verify()
    by_name = {engine.component: engine for engine in compiled.engines}
    fixed = {spec.name: spec.shape for spec in by_name["step"].inputs}
    assert fixed["guidance"] == (2,)
    assert fixed["latent"] == (1, 16, 4, 4)
    free = {spec.name: spec.shape for spec in by_name["vae_encoder"].inputs}
    assert free["image"] == (1, 3, "pixel_height", "pixel_width")


def test_weights_are_rounded_where_products_read_them(compiled):
    weights = load_file(compiled.path / "engines/inductor-cpu/step.safetensors")
    assert {tensor.dtype for tensor in weights.values()} == {torch.float16}
    assert len(weights) > 50


def test_a_package_opens_in_a_process_that_has_torch_and_nothing_of_ours(compiled, tmp_path):
    system = small_system()
    step = next(part for part in system.network.components() if part.name == "step")
    sizes = static_sizes(compiled.card, step)
    feeds = verify.seeded_inputs(step, sizes)
    np.savez(tmp_path / "inputs.npz", *[feeds[spec.name] for spec in step.inputs])
    engine = next(engine for engine in compiled.engines if engine.component == "step")
    package, weights = (compiled.path / record.path for record in engine.files)
    script = """
        import sys, json, numpy, torch
        package, weights, folder = sys.argv[1:]
        runner = torch._inductor.aoti_load_package(package)
        with open(weights, "rb") as file:
            index = json.loads(file.read(int.from_bytes(file.read(8), "little")))
            data = bytearray(file.read())
        tensors = {
            name: torch.frombuffer(data, dtype=torch.float16, offset=entry["data_offsets"][0],
                                   count=torch.Size(entry["shape"]).numel()).view(entry["shape"])
            for name, entry in index.items()
        }
        needed = {name: tensors[name] for name in runner.get_constant_fqns()}
        runner.load_constants(needed, check_full_update=True, user_managed=True)
        inputs = numpy.load(f"{folder}/inputs.npz")
        latent, velocity = runner(*[torch.from_numpy(inputs[name]) for name in inputs.files])
        numpy.savez(f"{folder}/outputs.npz", latent.numpy(), velocity.numpy())
        assert not [name for name in sys.modules if name.startswith("dit4sr")]
    """
    subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), str(package), str(weights), str(tmp_path)],
        check=True,
        cwd=tmp_path,
    )
    found = np.load(tmp_path / "outputs.npz")
    exact = verify.torch_runner(step, torch.float64)(feeds)
    plain = verify.torch_runner(step, torch.float16)(feeds)
    for truth, rounded, name in zip(exact, plain, found.files, strict=True):
        assert verify.relative_error(found[name], truth) <= 2 * verify.relative_error(rounded, truth)


@pytest.mark.parametrize("steps", [1, 3])
def test_steps_are_free(compiled, unrounded, steps):
    pictures = {}
    for backend, bundle in (("onnxruntime", unrounded), ("onnxruntime", compiled), ("inductor", compiled)):
        with Upscaler(bundle, backend=backend, threads=1, use_cache=False) as upscaler:
            settings = Settings(guidance=3.0, steps=steps)
            picture = upscaler.upscale(photo(8, 8), seed=7, settings=settings).picture
        pictures[backend, bundle.card.precision] = picture.astype(float)
    truth = pictures["onnxruntime", "fp32"]
    graphs, engines = pictures["onnxruntime", "fp16"], pictures["inductor", "fp16"]
    assert np.square(engines - truth).mean() <= 2**2 * np.square(graphs - truth).mean()


def test_other_sizes_are_refused_with_those_it_takes(compiled):
    refusal = pytest.raises(IncompatibleError, match=r"no inductor engine of prepare for .*height 4")
    with Upscaler(compiled, backend="inductor", threads=1, use_cache=False) as upscaler, refusal:
        upscaler.upscale(photo(8, 8), settings=Settings(tile=16, overlap=0, guidance=3.0))


def test_engines_are_built_from_the_bundles_own_weights(compiled):
    with pytest.raises(BadInputError, match="exported from other weights"):
        add_to(compiled, replace(small_system(), origin={"random weights": "seed 6"}), InductorConfig())


@pytest.mark.parametrize(
    ("config", "error", "words"),
    [
        (InductorConfig(device="cuda"), MissingDependencyError, "no CUDA device here"),
        (InductorConfig(architecture=90), MissingDependencyError, "no CUDA device here"),
        (
            InductorConfig(device="cpu", architecture=90),
            IncompatibleError,
            "for cpu; expected sm_90",
        ),
    ],
)
def test_what_cannot_be_compiled_here_is_refused_first(config, error, words, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(error, match=words):
        preflight("fp16", config)


def test_a_missing_compiler_is_named(monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(MissingDependencyError, match="no C\\+\\+ compiler 'no-such-compiler'"):
        preflight("fp16", InductorConfig(device="cpu"))
    with pytest.raises(BadInputError, match="a bundle in fp8; expected fp32, fp16, bf16"):
        preflight("fp8", InductorConfig(device="cpu"))


def command(*arguments):
    """The exporter's command in this process: its exit code."""
    return run_command(cli.command, [str(argument) for argument in arguments])


def test_the_command_refuses_before_it_writes(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    output = tmp_path / "bundle"
    checkpoint = write_checkpoint(tmp_path / "checkpoint", smallest_config())
    assert command(checkpoint, "-o", output, "--engine", "inductor", "--arch", "90") == 3
    monkeypatch.setenv("CXX", "no-such-compiler")
    assert command(checkpoint, "-o", output, "--engine", "inductor", "--device", "cpu") == 3
    assert not output.exists()
    errors = capsys.readouterr().err
    assert "no CUDA device here" in errors
    assert "no C++ compiler" in errors


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--arch", "90"], "--arch is for --engine tensorrt or tensorrt-rtx or inductor"),
        (["--profile", "512"], "--profile is for --engine tensorrt or tensorrt-rtx or inductor"),
        (["--engine", "tensorrt", "--max-autotune"], "--max-autotune is for --engine inductor"),
        (["--engine", "inductor", "--allow-unfused"], "--allow-unfused is for --engine tensorrt"),
        (["--engine", "inductor", "--profile", "large"], "profile 'large'"),
        (["--engine", "inductor", "--profile", "512", "--profile", "768"], "2 profiles; expected one"),
        (["--engine", "nvfuser"], "'nvfuser' is not one of"),
    ],
)
def test_bad_usage_is_refused_before_it_writes(arguments, words, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert command("-o", "bundle", *arguments) == 2
    assert words in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_bundle_that_is_there_keeps_its_place_and_precision(tmp_path, capsys):
    bundle = write_toy_bundle(tmp_path / "toy")
    assert command(bundle, "--engine", "tensorrt", "-o", tmp_path / "other") == 2
    assert "not at --output" in capsys.readouterr().err
    assert command(bundle) == 2
    assert "is a bundle; expected a checkpoint, or --engine" in capsys.readouterr().err
    weights = write_checkpoint(tmp_path / "checkpoint", smallest_config())
    arguments = [weights, "-o", bundle, "--engine", "inductor", "--device", "cpu"]
    assert command(*arguments, "--precision", "bf16") == 2
    assert "is in fp32; expected bf16" in capsys.readouterr().err


def test_the_command_adds_to_the_bundle_that_is_there(tmp_path, monkeypatch, capsys):
    """Compiling has its own tests: here one file stands for an engine."""
    bundle = write_toy_bundle(tmp_path / "toy")
    weights = write_checkpoint(tmp_path / "checkpoint", smallest_config())

    def build(_bundle, *, sources, config, folder, **_):
        assert config == InductorConfig(device="cpu", picture=(256, 512), max_autotune=True)
        assert {"prepare", "step"} <= {source.name for source in sources}
        path = folder / "step.pt2"
        path.write_bytes(b"code")
        return (Engine("inductor", "step", (record_of(path, folder),) * 2, "fp16", "cpu", {}, ()),)

    monkeypatch.setattr(inductor, "build", build)
    arguments = [weights, "-o", bundle, "--engine", "inductor", "--device", "cpu"]
    assert command(*arguments, "--profile", "256x512", "--max-autotune") == 2
    assert "was exported from other weights" in capsys.readouterr().err
    checkpoint = checkpoint_pipeline(weights).origin
    opened = Bundle.open(bundle).manifest
    provenance = replace(opened.provenance, checkpoint=checkpoint)
    (bundle / "manifest.json").write_text(replace(opened, provenance=provenance).to_text())
    assert command(*arguments, "--profile", "256x512", "--max-autotune") == 0
    assert "inductor for cpu" in capsys.readouterr().out
    assert [engine.component for engine in Bundle.open(bundle).engines] == ["step"]
    assert command(bundle, "--engine", "inductor", "--device", "cpu") == 2
    assert "is a bundle, and inductor engines are made from its checkpoint" in capsys.readouterr().err


def test_weights_survive_the_file(tmp_path):
    tensors = {
        "half": torch.randn(3, 5).half(),
        "brain": torch.randn(7).bfloat16(),
        "single": torch.randn(2, 2).mT,
        "whole": torch.arange(4),
        "scalar": torch.tensor(3.0),
        "none": torch.empty(0, 3),
    }
    write_weights(tmp_path / "weights", tensors)
    for found in (read_weights(tmp_path / "weights", torch, "cpu"), load_file(tmp_path / "weights")):
        assert found.keys() == tensors.keys()
        assert all(torch.equal(found[name], tensor) for name, tensor in tensors.items())
