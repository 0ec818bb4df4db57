"""The wheel, built once for all who install it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def wheel(tmp_path_factory) -> Path:
    """What is being worked on, not only what is committed."""
    place = tmp_path_factory.mktemp("wheel")
    source = place / "source"
    clone = ["git", "clone", "--quiet", "--depth", "1", f"file://{ROOT}", source]
    subprocess.run(clone, check=True, capture_output=True)
    for folder in ("bench", "calibrate", "dit4sr", "export", "kernels", "runtime"):
        shutil.rmtree(source / folder, ignore_errors=True)
        subprocess.run(["cp", "-a", ROOT / folder, source], check=True)
    subprocess.run(["cp", ROOT / "pyproject.toml", source], check=True)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    subprocess.run([*pip, "wheel", "--no-deps", "-w", place, source], check=True)
    [built] = place.glob("*.whl")
    return built
