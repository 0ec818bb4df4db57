"""A plan that strays is left for Polygraphy: its files load there, and its verdicts are ours."""

from __future__ import annotations

import re
import shlex
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from polygraphy.comparator import Comparator, RunResults, SnrCompareFunc
from polygraphy.json import load_json
from polygraphy.logger import G_LOGGER
from support.fake_tensorrt import FakeCompiler, FakeGpu, other, tools
from support.polygraphy_command import POLYGRAPHY, command_lines, polygraphy
from support.runtime_system import SPECS, write_toy_bundle
from support.tensorrt_bundle import FIXED

from dit4sr.export.engines.comparison import Comparison
from dit4sr.export.engines.reproduction import COMMANDS, GOLDEN, INPUTS, commands, thresholds
from dit4sr.export.engines.tensorrt.builder import add_to
from dit4sr.export.engines.tensorrt.config import TensorRtConfig
from dit4sr.export.engines.tensorrt.preflight import preflight
from dit4sr.runtime.bundles.bundle import Bundle
from dit4sr.runtime.bundles.manifest import MANIFEST, Check
from dit4sr.runtime.errors import AccuracyError, MissingDependencyError

PLAN = "vae_decoder.plan"
LEFT = "toy.vae_decoder.failed"


@pytest.fixture
def toy(tmp_path) -> Bundle:
    """A bundle whose graphs were allowed an error of 2e-4 when they were exported."""
    path = write_toy_bundle(tmp_path / "toy")
    checks = [
        Check(name, line.split(":")[0], 1e-4, 2e-4)
        for name, (_, outputs) in SPECS.items()
        for line in outputs
    ]
    manifest = replace(Bundle.open(path).manifest, verification=tuple(checks))
    (path / MANIFEST).write_text(manifest.to_text())
    return Bundle.open(path)


def build(bundle: Bundle, gain: float):
    """The decoder by a compiler that multiplies every answer."""
    timing = bundle.path.parent / "timing"
    config = TensorRtConfig(components=("vae_decoder",), sizes=FIXED, branches=(1,), timing_cache=timing)
    add_to(bundle, config, tools=tools(FakeGpu(), FakeCompiler(gain=gain)))


def fail(bundle: Bundle, gain: float = 1.001) -> Path:
    """The folder that a failing build leaves."""
    with pytest.raises(AccuracyError) as failure:
        build(bundle, gain)
    found = re.search(rf"; (\S+)/{COMMANDS} says how to look into it$", str(failure.value))
    assert found, failure.value
    return Path(found[1])


def test_a_plan_that_strays_is_left_beside_the_bundle(toy):
    folder = fail(toy)
    assert folder == toy.path.parent / LEFT
    assert {path.name for path in folder.iterdir()} == {INPUTS, GOLDEN, COMMANDS, PLAN, "vae_decoder.onnx"}
    assert not (toy.path / "engines").exists()
    [inputs] = load_json(str(folder / INPUTS))
    assert inputs["latent"].shape == (1, 4, 8, 8)
    [(runner, [golden])] = RunResults.load(str(folder / GOLDEN))
    assert runner == "graph"
    assert golden["image"].shape == (1, 3, 32, 32)
    assert b"tensorrt" in (folder / PLAN).read_bytes().partition(b"\n")[0]


def test_polygraphy_passes_the_graph_and_fails_what_the_plan_computes(toy):
    folder = fail(toy)
    engine, graph, *_ = command_lines(folder)
    assert polygraphy(graph, folder) == 0
    # The fake's plan is a graph behind a line of facts; Polygraphy can run it where there is no TensorRT.
    (folder / "plan.onnx").write_bytes((folder / PLAN).read_bytes().partition(b"\n")[2])
    assert engine.startswith(f"polygraphy run {PLAN} --trt ")
    as_graph = engine.replace(f"{PLAN} --trt", "plan.onnx --onnxrt")
    assert polygraphy(as_graph, folder) == 1
    right = onnx.load(folder / "plan.onnx")
    [gain] = [tensor for tensor in right.graph.initializer if tensor.name == "gain"]
    gain.CopyFrom(onnx.numpy_helper.from_array(np.float32(1.0001), "gain"))
    onnx.save(right, folder / "plan.onnx")
    assert polygraphy(as_graph, folder) == 0


def test_every_run_is_one_that_polygraphy_understands(toy):
    """Those that need TensorRT are turned into scripts, which takes their words apart and runs nothing."""
    folder = fail(toy)
    runs = [re.sub(r".* --check ", "", line) for line in command_lines(folder)]
    assert len(runs) == 4
    for run in runs:
        script = subprocess.run(
            [*POLYGRAPHY, *shlex.split(run)[1:], "--gen", "-"],
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
        )
        assert script.returncode == 0, script.stderr
        assert "SnrCompareFunc(snr_threshold=" in script.stdout


@pytest.mark.parametrize("allowed", [1e-6, 2e-4, 0.013, 0.3])
@pytest.mark.parametrize(("share", "passes"), [(0.99, True), (1.01, False)])
def test_polygraphys_bound_is_ours(allowed, share, passes):
    noise = np.random.default_rng(0)
    golden = noise.standard_normal(20_000)
    error = noise.standard_normal(golden.shape)
    error *= share * allowed * np.linalg.norm(golden) / np.linalg.norm(error)
    comparison = Comparison("step", {}, {"x": golden}, {"x": golden + error}, {"x": allowed})
    assert [bool(verdict) for verdict in comparison.verdicts()] == [passes]
    results = RunResults()
    for name, outputs in (("graph", comparison.golden), ("engine", comparison.found)):
        results.add([outputs], runner_name=name)
    with G_LOGGER.verbosity(G_LOGGER.CRITICAL):
        judged = Comparator.compare_accuracy(
            results, compare_func=SnrCompareFunc(snr_threshold=thresholds(comparison))
        )
    assert bool(judged) == passes


def test_names_from_a_strangers_bundle_stay_words():
    lines = commands({"x; touch here": 40.0, "y\nid": 1.0}, "a b.plan", "$(id).onnx")
    run, *_ = [line for line in lines.splitlines() if line.startswith("polygraphy")]
    assert shlex.split(lines, comments=True)[:4] == ["polygraphy", "run", "a b.plan", "--trt"]
    assert "x; touch here:40.0" in shlex.split(lines, comments=True)
    assert "y\nid:1.0" in shlex.split(lines, comments=True)
    assert "'$(id).onnx'" in lines
    assert run.startswith("polygraphy run 'a b.plan' --trt --load-inputs inputs.json")


def test_an_error_that_is_no_number_fails(toy):
    assert fail(toy, gain=float("nan")).is_dir()
    golden = {"x": np.ones(3, np.float32)}
    comparison = Comparison("step", {}, golden, {"x": np.float32([1, 1, np.nan])}, {"x": 0.5})
    assert [bool(verdict) for verdict in comparison.verdicts()] == [False]


def test_an_older_failure_is_replaced_and_what_is_not_ours_is_not(toy):
    folder = fail(toy)
    (folder / "reduced.onnx").write_bytes(b"of the older failure")
    assert fail(toy) == folder
    assert not (folder / "reduced.onnx").exists()
    (folder / COMMANDS).unlink()
    (folder / "notes.txt").write_text("mine")
    assert fail(toy) == folder.with_name(f"{LEFT}-2")
    assert (folder / "notes.txt").read_text() == "mine"


def test_a_full_disk_takes_the_folder_and_not_the_verdict(toy, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("dit4sr.export.engines.reproduction.save_json", full)
    with pytest.raises(AccuracyError, match="image of the plan is off by") as failure:
        build(toy, 1.001)
    assert COMMANDS not in str(failure.value)
    assert {path.name for path in toy.path.parent.iterdir()} == {"toy", "timing"}


def test_a_plan_that_holds_leaves_nothing(toy):
    build(toy, 1.0001)
    assert {path.name for path in toy.path.parent.iterdir()} == {"toy", "timing"}


def test_without_polygraphy_plans_are_built_only_unverified(toy, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "polygraphy" else object())
    with pytest.raises(MissingDependencyError, match=r"Polygraphy.*not installed.*or build with --no-verify"):
        preflight(toy, TensorRtConfig(), other())
    preflight(toy, TensorRtConfig(verify=False), other())
