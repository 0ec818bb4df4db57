"""``dit4sr doctor``: what it says of this machine and of bundles, and by which exit code."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import shutil
import subprocess
import sys
from importlib.machinery import ModuleSpec

import pytest

from dit4sr.__main__ import command
from dit4sr.runtime.backends.onnxruntime.compatibility import INSTALL
from dit4sr.runtime.bundles.built_in import tiny_bundle
from dit4sr.runtime.bundles.bundle import Bundle
from dit4sr.runtime.bundles.manifest import MANIFEST, Engine, record_of
from dit4sr.runtime.console.command import run_command
from dit4sr.runtime.doctor import checkup
from dit4sr.runtime.errors import IncompatibleError


@pytest.fixture
def doctor(capsys, tmp_path, monkeypatch):
    """Run the command, and return its exit code and what it printed."""
    monkeypatch.setenv("DIT4SR_CACHE", str(tmp_path / "cache"))

    def run(*words: object) -> tuple[int, str]:
        code = run_command(command, ["doctor", "--threads", "1", *map(str, words)])
        printed = capsys.readouterr()
        return code, printed.out + printed.err

    return run


@pytest.fixture
def without(monkeypatch):
    """Hide modules, as if they were not installed."""
    find = importlib.util.find_spec

    def hide(*names: str) -> None:
        def found(name: str, package: str | None = None) -> ModuleSpec | None:
            return None if name.partition(".")[0] in names else find(name, package)

        monkeypatch.setattr("importlib.util.find_spec", found)

    return hide


def test_without_a_bundle_it_speaks_of_the_machine(doctor, tmp_path):
    code, text = doctor()
    assert code == 0
    assert "onnxruntime: runs the graphs of any bundle, on cpu" in text
    assert f"free for {tmp_path / 'cache'}" in text
    assert "numpy " in text


def test_what_an_engine_lacks_is_said_whole_and_with_the_command_that_mends_it(doctor, without):
    without("tensorrt", "tensorrt_rtx", "tensorrt_rtx_bindings", "cuda", "torch")
    code, text = doctor()
    assert code == 0
    block = text[text.index("tensorrt: cannot run here") : text.index("onnxruntime: ")]
    assert "TensorRT is not installed here: pip install 'dit4sr[tensorrt]'" in block
    assert "cuda-bindings is not installed here: pip install 'dit4sr[tensorrt]'" in block
    assert "no CUDA device is here: check the driver with nvidia-smi" in block
    assert "TensorRT for RTX is not installed here: pip install 'dit4sr[tensorrt-rtx]'" in block
    assert "cuda-bindings is not installed here: pip install 'dit4sr[tensorrt-rtx]'" in block
    assert "torch is not installed here: pip install torch" in block


@pytest.mark.parametrize("bundle", [(), (tiny_bundle(),)])
def test_a_machine_that_can_run_nothing_is_3(doctor, without, bundle):
    without("tensorrt", "cuda", "torch", "onnxruntime")
    code, text = doctor(*bundle)
    assert code == 3
    assert f"onnxruntime is not installed: {INSTALL}" in text


def test_a_bundle_is_looked_into_and_tried_out(doctor):
    code, text = doctor(tiny_bundle())
    assert code == 0
    assert "679  6 DepthwiseInject, 5 JointAttention" in text
    assert "onnxruntime/cpu would run it" in text
    assert "tensorrt would not: the bundle holds no engines for it; build them with dit4sr-export" in text
    assert "a picture of 64×64, restored to 256×256 in 2 steps, would take" in text
    assert " s, measured: opening " in text


def test_json_holds_what_the_text_says_and_more(doctor):
    code, text = doctor(tiny_bundle(), "--steps", 7, "--json")
    record = json.loads(text)
    assert code == 0
    backends = [each["backend"] for each in record["machine"]["backends"]]
    assert backends == ["tensorrt", "tensorrt-rtx", "inductor", "onnxruntime"]
    assert record["machine"]["libraries"]["numpy"]
    found = record["bundle"]
    assert (found["backend"], found["problem"]) == ("onnxruntime/cpu", None)
    assert found["picture"] == {"from": [64, 64], "to": [256, 256], "steps": 7}
    assert found["estimate"]["basis"] == "measured"
    assert found["estimate"]["seconds"] == pytest.approx(sum(found["estimate"]["seconds_by_stage"].values()))
    assert found["estimate"]["memory_bytes"] > 10_000_000
    assert found["contents"]["manifest"]["model"]["name"] == "dit4sr-tiny"


def test_what_cannot_be_told_is_not_claimed(doctor, toy_bundle):
    """Its graphs neither state the shapes within nor name their axes as ours do."""
    code, text = doctor(toy_bundle)
    assert code == 0
    assert "(no time is predicted: the graphs do not state their shapes)" in text
    assert "  time  " not in text


def test_a_bundle_that_takes_more_memory_than_there_is_does_not_fit(doctor, toy_bundle, monkeypatch):
    monkeypatch.setattr(checkup, "available_memory", lambda: 1000)
    code, text = doctor(toy_bundle)
    assert code == IncompatibleError.exit_code
    assert "it does not fit: a picture takes " in text
    assert "expected no more than the 1,000 that are available; use a smaller --tile" in text


def test_a_graph_that_no_engine_loads_is_the_bundles_fault_and_one_line(doctor, toy_bundle, tmp_path):
    shutil.copytree(toy_bundle, tmp_path / "b")
    graph = tmp_path / "b" / "onnx" / "step.onnx"
    graph.write_bytes(graph.read_bytes()[::-1])
    code, text = doctor(tmp_path / "b")
    assert code == 5
    assert "Traceback" not in text
    assert "step.onnx" in text


def test_a_strangers_engines_are_not_run_to_look_at_them(doctor, tmp_path):
    """The doctor tries bundles out, so what holds for restoring a picture holds for it."""
    shutil.copytree(tiny_bundle(), tmp_path / "b")
    package = tmp_path / "b" / "engines" / "step.pt2"
    package.parent.mkdir()
    package.write_bytes(b"code")
    bundle = Bundle.open(tmp_path / "b")
    record = record_of(package, tmp_path / "b")
    engine = Engine("inductor", "step", (record,), "fp32", "cpu", {}, ())
    manifest = dataclasses.replace(bundle.manifest, engines=(engine,))
    (tmp_path / "b" / MANIFEST).write_text(manifest.to_text())
    withheld = "inductor would not: the bundle brings compiled code that was not built here"
    code, text = doctor(tmp_path / "b")
    assert code == 0
    assert withheld in text
    assert withheld not in doctor(tmp_path / "b", "--trust-engines")[1]


def test_files_are_held_against_their_sizes_and_against_their_digests_where_asked(doctor, tmp_path):
    shutil.copytree(tiny_bundle(), tmp_path / "b")
    weights = tmp_path / "b" / "embeddings" / next(iter((tmp_path / "b" / "embeddings").iterdir())).name
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    assert doctor(tmp_path / "b")[0] == 0
    assert doctor(tmp_path / "b", "--verify")[0] == 5
    weights.write_bytes(content[:-1])
    assert doctor(tmp_path / "b")[0] == 5


def test_what_is_no_bundle_is_one_line(doctor, tmp_path):
    code, text = doctor(tmp_path / "absent")
    assert code == 2
    assert text == f"error: no bundle at {tmp_path / 'absent'}; expected a folder that dit4sr-export wrote\n"


def test_looking_at_the_machine_imports_no_framework(tmp_path):
    """Torch takes seconds and a gigabyte; its record says which it is."""
    script = (
        "import sys; from dit4sr.__main__ import command\n"
        "from dit4sr.runtime.console.command import run_command\n"
        "assert run_command(command, ['doctor']) == 0\n"
        "print([n for n in ('torch', 'onnx', 'onnx_ir', 'tensorrt', 'tensorrt_rtx') if n in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert done.stdout.splitlines()[-1] == "[]"
