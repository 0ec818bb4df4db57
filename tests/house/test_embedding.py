"""The C interface as its user meets it: a wheel, a fresh environment, CMake, and Python's own picture."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
from pathlib import Path

import numpy as np
import pytest
from support.native import COMPILERS, STRICT, read_ppm, run, sample, tool, write_ppm

from dit4sr.runtime import Upscaler

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def environment(wheel, tmp_path_factory) -> Path:
    """A new environment with the wheel; what that depends on is this one's."""
    folder = tmp_path_factory.mktemp("fresh") / "environment"
    run(sys.executable, "-m", "venv", "--without-pip", folder)
    packages = next(folder.glob("lib/python*/site-packages"))
    (packages / "borrowed.pth").write_text(sysconfig.get_paths()["purelib"])
    pip = [sys.executable, "-m", "pip", "--quiet", "install", "--no-deps", "--target", packages, wheel]
    subprocess.run(pip, check=True, capture_output=True)
    return folder


def build(environment: Path, example: str, folder: Path, compiler: str) -> Path:
    flags = " ".join(STRICT)
    place = run(environment / "bin" / "python", "-m", "dit4sr.native", "--cmake-dir").strip()
    assert place.startswith(str(environment))
    run(
        *(tool("cmake"), "-S", ROOT / "examples" / example, "-B", folder, f"-Ddit4sr_DIR={place}"),
        *(f"-DCMAKE_C_FLAGS={flags}", f"-DCMAKE_CXX_FLAGS={flags}"),
        CC=tool(compiler),
        CXX=tool(COMPILERS[compiler]),
    )
    run(tool("cmake"), "--build", folder)
    return folder


@pytest.mark.parametrize("compiler", COMPILERS)
def test_the_examples_make_pythons_pictures_byte_for_byte(environment, tmp_path, compiler):
    tool(COMPILERS[compiler])
    photos = {name: sample(name, 40, 36) for name in ("astronaut", "coffee")}
    (tmp_path / "in").mkdir()
    for name, photo in photos.items():
        write_ppm(tmp_path / "in" / f"{name}.ppm", photo)
    with Upscaler(use_cache=False) as upscaler:
        expected = {name: upscaler(photo).picture for name, photo in photos.items()}

    restore = build(environment, "c", tmp_path / "c", compiler) / "restore"
    run(restore, tmp_path / "in" / "coffee.ppm", tmp_path / "out.ppm")
    np.testing.assert_array_equal(read_ppm(tmp_path / "out.ppm"), expected["coffee"])

    service = build(environment, "cpp", tmp_path / "cpp", compiler) / "service"
    printed = run(service, tmp_path / "in", tmp_path / "out")
    assert "2 pictures" in printed
    for name, picture in expected.items():
        np.testing.assert_array_equal(read_ppm(tmp_path / "out" / f"{name}.ppm"), picture)


def test_what_fails_has_a_line_and_the_commands_exit_code(environment, tmp_path):
    restore = build(environment, "c", tmp_path / "c", "gcc") / "restore"
    photo = write_ppm(tmp_path / "photo.ppm", sample("coffee", 20, 20))
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "manifest.json").write_text("{")
    run(restore, photo, tmp_path / "out.ppm", tmp_path / "nowhere", expect=2)
    run(restore, photo, tmp_path / "out.ppm", broken, expect=5)
    run(restore, photo, tmp_path / "out.ppm", DIT4SR_ENVIRONMENT=str(tmp_path), expect=3)
    assert not (tmp_path / "out.ppm").exists()
