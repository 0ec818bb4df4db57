"""The extras in environments of their own: one engine each, and one line where there is none."""

from __future__ import annotations

import json
import subprocess
import sys
import venv
from pathlib import Path

import pytest
from PIL import Image
from support.photos import make_photo

PIP = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
CONSTRAINTS = Path(__file__).parents[2] / "constraints.txt"
FOUND = """
import importlib.metadata, json, onnxruntime
provided_by = importlib.metadata.packages_distributions()["onnxruntime"]
print(json.dumps([sorted(set(provided_by)), onnxruntime.get_available_providers()]))
"""


def pip(place: Path, *arguments: object) -> None:
    """Run pip on another environment, which needs none of its own."""
    subprocess.run([*PIP, "--python", place / "bin" / "python", *map(str, arguments)], check=True)


def upscale(place: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [place / "bin" / "dit4sr-upscale", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def engine_of(place: Path) -> tuple[list[str], list[str]]:
    """Which distributions provide ONNX Runtime in an environment, and what it can run on."""
    done = subprocess.run([place / "bin" / "python", "-c", FOUND], capture_output=True, text=True, check=True)
    distributions, providers = json.loads(done.stdout)
    return distributions, providers


@pytest.fixture
def place(tmp_path) -> Path:
    venv.create(tmp_path / "environment", with_pip=False)
    return tmp_path / "environment"


@pytest.fixture
def photo(tmp_path) -> Path:
    Image.fromarray(make_photo(32, 32)).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


def test_cpu_brings_one_engine_and_without_it_one_line_says_what_does(wheel, place, photo, tmp_path):
    pip(place, "install", "-c", CONSTRAINTS, f"{wheel}[cpu]")
    distributions, providers = engine_of(place)
    assert distributions == ["onnxruntime"]
    assert "CPUExecutionProvider" in providers
    assert "CUDAExecutionProvider" not in providers
    assert upscale(place, photo, "-o", tmp_path / "out.png").returncode == 0
    assert Image.open(tmp_path / "out.png").size == (128, 128)

    pip(place, "uninstall", "--yes", "onnxruntime")  # what is left is the base
    refused = upscale(place, photo, "-o", tmp_path / "other.png")
    assert refused.returncode == 3
    assert refused.stderr == (
        "error: backend onnxruntime: onnxruntime is not installed; "
        "pip install 'dit4sr[cpu]', or 'dit4sr[gpu]' for an NVIDIA GPU\n"
    )
    assert not (tmp_path / "other.png").exists()


@pytest.mark.slow
def test_gpu_brings_one_engine_that_reaches_cuda_and_runs_without_it(wheel, place, photo, tmp_path):
    """On a machine without a GPU as well: which providers there are is a property of the build."""
    pip(place, "install", "-c", CONSTRAINTS, f"{wheel}[gpu]")
    distributions, providers = engine_of(place)
    assert distributions == ["onnxruntime-gpu"]
    assert {"CUDAExecutionProvider", "CPUExecutionProvider"} <= set(providers)
    assert upscale(place, photo, "-o", tmp_path / "out.png", "--device", "cpu").returncode == 0
    assert Image.open(tmp_path / "out.png").size == (128, 128)
