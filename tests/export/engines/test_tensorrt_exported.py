"""The whole way of a real bundle on the fake: command line, plans with our operators, pictures."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace

import numpy as np
import onnx
import pytest
from support.fake_tensorrt import FakeCompiler, FakeGpu, install, other, tools
from support.polygraphy_command import command_lines, polygraphy

from dit4sr.export.cli import command
from dit4sr.runtime import Settings, Upscaler
from dit4sr.runtime.backends.tensorrt.compatibility import DIGESTS
from dit4sr.runtime.bundles.bundle import Bundle
from dit4sr.runtime.bundles.manifest import MANIFEST, Check
from dit4sr.runtime.console.command import run_command


@pytest.fixture
def gpu(monkeypatch, tmp_path) -> FakeGpu:
    """What both commands find; times are kept in a folder of this test's."""
    found = FakeGpu()
    install(monkeypatch, found)
    monkeypatch.setenv("DIT4SR_CACHE", str(tmp_path / "cache"))
    return found


@pytest.fixture
def compiler(monkeypatch, gpu) -> FakeCompiler:
    made = FakeCompiler(gpu.machine)
    monkeypatch.setattr("dit4sr.export.engines.tensorrt.builder.tools_here", lambda: tools(gpu, made))
    return made


@pytest.fixture
def exported(unrounded, tmp_path) -> Bundle:
    """A copy, with the checks that it was exported without."""
    path = tmp_path / "bundle"
    shutil.copytree(unrounded.path, path)
    checks = [
        Check(name, spec.name, 1e-6, 1e-4)
        for name, component in unrounded.components.items()
        for spec in component.outputs
    ]
    manifest = replace(unrounded.manifest, verification=tuple(checks))
    (path / MANIFEST).write_text(manifest.to_text(), encoding="utf-8")
    return Bundle.open(path)


def build(*words: object) -> int:
    return run_command(command, [str(word) for word in words])


def picture_of(bundle: Bundle, backend: str, photo: np.ndarray, **options) -> np.ndarray:
    with Upscaler(bundle, backend=backend, threads=1, use_cache=False) as upscaler:
        return upscaler.upscale(photo, seed=7, settings=Settings(**options)).picture


def photo(height: int, width: int) -> np.ndarray:
    rows, columns = np.mgrid[0:height, 0:width] / max(height, width)
    return (np.stack([rows, columns, rows * columns], axis=-1) * 255).astype(np.uint8)


PHOTOS = {
    "one tile": ((8, 8), {"guidance": 8.0, "steps": 3}),
    "without guidance": ((8, 8), {"guidance": 1.0, "steps": 3}),
    "tiles": ((9, 14), {"guidance": 8.0, "steps": 2}),
    "a strip": ((8, 29), {"guidance": 1.0, "steps": 2}),
}


@pytest.mark.parametrize("stripped", [False, True], ids=["whole", "stripped"])
def test_from_the_command_line_to_pictures(exported, gpu, compiler, capsys, stripped):
    words = [
        "--builder-level",
        5,
        "--workspace",
        512,
        *(["--weight-stripped", "--inject", "plugin"] if stripped else []),
    ]
    assert build(exported.path, "--engine", "tensorrt", *words) == 0
    assert capsys.readouterr().out == f"{exported.path}: tensorrt for sm_90\n"
    assert {(request.level, request.workspace) for request in compiler.requests} == {(5, 512 << 20)}

    bundle = Bundle.open(exported.path)
    bundle.verify()
    names = [engine.files[0].path.rpartition("/")[2] for engine in bundle.engines]
    assert {"step-32x32-2-rows.plan", "step-32x32-1-row.plan", "vae_decoder-32x64-64x128.plan"} < set(names)
    for engine in bundle.engines:
        assert engine.plan.is_stripped == stripped
        assert engine.verification
        assert all(check.error < check.allowed for check in engine.verification)
        if engine.component == "step":
            report = engine.plan.report
            assert (report.attentions, report.fused_attentions) == (3, 3)
            ours = (f"dit4sr::DepthwiseInject@{DIGESTS['DepthwiseInject']}",)
            assert engine.plugins == (ours if stripped else ())

    for size, options in PHOTOS.values():
        ours, theirs = (
            picture_of(bundle, backend, photo(*size), **options).astype(int)
            for backend in ("tensorrt", "onnxruntime")
        )
        assert np.abs(ours - theirs).max() <= 1  # what is fixed folds to other roundings
    assert gpu.launches > 0


def test_every_operator_of_ours_has_a_digest(unrounded):
    """One without would be built, and never be found to be outdated."""
    model = onnx.load(unrounded.path / "onnx" / "step.onnx", load_external_data=False)
    assert {node.op_type for node in model.graph.node if node.domain == "dit4sr"} == DIGESTS.keys()


@pytest.mark.usefixtures("gpu")
def test_attentions_without_a_kernel_are_exit_6(exported, compiler, capsys):
    compiler.unfused = 1
    before = (exported.path / MANIFEST).read_bytes()
    words = (exported.path, "--engine", "tensorrt", "--components", "step")
    assert build(*words) == 6
    said = capsys.readouterr().err
    assert "2 of 3 attentions are fused; expected all; build with --attention plugin" in said
    assert (exported.path / MANIFEST).read_bytes() == before
    assert not (exported.path / "engines").exists()
    assert build(*words, "--allow-unfused", "--json") == 0
    engines = json.loads(capsys.readouterr().out)["engines"]
    assert [engine["plan"]["report"]["fused_attentions"] for engine in engines] == [2, 2]
    assert [engine["plugins"] for engine in engines] == [[], []]
    assert build("--inspect", exported.path) == 0
    assert re.search(r"step-32x32-2-rows\.plan: \d+ layers, 2 of 3 attentions fused", capsys.readouterr().out)


@pytest.mark.usefixtures("gpu")
def test_a_plan_that_strays_is_left_with_its_graph_in_standard_operators(exported, compiler, capsys):
    compiler.gain = 1.01
    assert build(exported.path, "--engine", "tensorrt", "--components", "step") == 6
    folder = exported.path.with_name("bundle.step-32x32-2-rows.failed")
    assert f"{folder}/polygraphy.txt says how to look into it" in capsys.readouterr().err
    model = onnx.load(folder / "step.onnx")
    assert {node.op_type for node in model.graph.node if node.domain == "dit4sr"} == DIGESTS.keys()
    assert not any(one.name == "plugin_namespace" for node in model.graph.node for one in node.attribute)
    assert all(dim.dim_value for value in model.graph.input for dim in value.type.tensor_type.shape.dim)
    _, graph, *_ = command_lines(folder)
    assert polygraphy(graph, folder) == 0


REFUSALS = {
    "no device": ({"architecture": ""}, (), 3, "build on the machine with the GPU"),
    "another device": ({}, ("--arch", 80), 4, "this machine builds for sm_90; expected sm_80"),
    "an old library": ({"version": "10.12.0.36"}, (), 4, "expected 10.13 to 11"),
    "no profile": ({}, ("--profile", "axb"), 2, "profile 'axb'"),
}


@pytest.mark.parametrize("kind", REFUSALS)
def test_what_cannot_be_built_is_told_before_anything_is_exported(tmp_path, monkeypatch, capsys, kind):
    machine, words, code, message = REFUSALS[kind]
    monkeypatch.setattr("dit4sr.export.engines.tensorrt.preflight.this_machine", lambda: other(**machine))
    monkeypatch.chdir(tmp_path)
    assert build("--engine", "tensorrt", *words, "-o", "bundle") == code
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error
    assert list(tmp_path.iterdir()) == []
