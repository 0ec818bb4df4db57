"""The package as installed: complete, typed, and lean where it promises to be."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from dit4sr.export.cli import command
from dit4sr.runtime.console.command import run_command

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[2]
DOOR = "dit4sr"
"""The folder that imports as the package itself; every other one imports as a part of it."""
PARTS = ["bench", "calibrate", "export", "kernels", "runtime"]
PIP = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
MACHINES = [
    {"platform_system": system, "platform_machine": machine}
    for system, machine in [
        ("Linux", "x86_64"),
        ("Linux", "aarch64"),
        ("Windows", "AMD64"),
        ("Darwin", "arm64"),
        ("Darwin", "x86_64"),
    ]
]


def project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def test_every_package_in_the_tree_is_declared():
    """Subpackages are not discovered: one that is forgotten here would be missing from the wheel."""
    found = {
        "dit4sr." + ".".join(init.parent.relative_to(ROOT).parts)
        for folder in PARTS
        for init in (ROOT / folder).rglob("__init__.py")
    }
    assert found | {DOOR} == set(project()["tool"]["setuptools"]["packages"])


@pytest.mark.parametrize("folder", PARTS)
def test_every_part_is_typed_and_behind_the_front_door_for_analysers(folder):
    assert (ROOT / folder / "py.typed").is_file()
    assert (ROOT / DOOR / folder).resolve() == ROOT / folder


def test_every_dependency_has_its_reason():
    reasons = (ROOT / "docs" / "dependencies.md").read_text().lower()
    extras = project()["project"]["optional-dependencies"]
    for requirement in [
        *project()["project"]["dependencies"],
        *(r for extra in extras.values() for r in extra),
    ]:
        name = requirement.split(">")[0].split("=")[0].split(";")[0].strip().lower()
        assert f"`{name}`" in reasons, name


def onnxruntimes(requirements: list[str], machine: dict[str, str]) -> list[str]:
    """Distributions of ONNX Runtime among requirements, on one kind of machine."""
    parsed = [Requirement(text) for text in requirements]
    here = [each.name for each in parsed if each.marker is None or each.marker.evaluate(machine)]
    return [name for name in here if name.startswith("onnxruntime")]


@pytest.mark.parametrize("machine", MACHINES, ids=lambda machine: "-".join(machine.values()))
def test_onnxruntime_comes_once_with_either_of_two_extras_and_with_nothing_else(machine):
    """Its distributions provide one module: of two that are installed, the one without CUDA can win."""
    extras = dict(project()["project"]["optional-dependencies"])
    assert onnxruntimes(extras.pop("cpu"), machine) == ["onnxruntime"]
    has_cuda = machine["platform_machine"] in {"x86_64", "AMD64"} and machine["platform_system"] != "Darwin"
    assert onnxruntimes(extras.pop("gpu"), machine) == ["onnxruntime-gpu" if has_cuda else "onnxruntime"]
    others = [requirement for extra in extras.values() for requirement in extra]
    assert onnxruntimes([*project()["project"]["dependencies"], *others], machine) == []


def test_the_runtime_imports_no_framework():
    script = (
        "import sys, dit4sr.runtime.console.command, dit4sr.runtime.sampling.positions\n"
        "print([name for name in ('torch', 'onnx', 'diffusers', 'transformers', 'safetensors') "
        "if name in sys.modules])"
    )
    printed = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert printed.stdout.strip() == "[]"


def test_help_needs_no_torch():
    """--help answers at once, and on machines where the exporter could not run."""
    script = (
        "import sys\nfrom dit4sr.export.cli import command\n"
        "from dit4sr.runtime.console.command import run_command\n"
        "assert run_command(command, ['--help']) == 0\nassert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)


@pytest.mark.parametrize("kind", ["*.css", "*.js"])
def test_the_wheel_holds_what_pages_are_made_of(wheel, kind):
    in_tree = {f"dit4sr/{path.relative_to(ROOT)}" for path in (ROOT / "runtime").rglob(kind)}
    with zipfile.ZipFile(wheel) as archive:
        assert {name for name in archive.namelist() if name.endswith(kind[1:])} == in_tree != set()


def test_the_wheel_is_pure_and_holds_what_is_compiled_elsewhere(wheel):
    native = ROOT / "runtime" / "native"
    kinds = {".c", ".h", ".hpp", ".cmake"}
    in_tree = {f"dit4sr/{path.relative_to(ROOT)}" for path in native.rglob("*") if path.suffix in kinds}
    with zipfile.ZipFile(wheel) as archive:
        assert {name for name in archive.namelist() if Path(name).suffix in kinds} == in_tree != set()
    assert wheel.name.endswith("-py3-none-any.whl")


def test_a_missing_extra_is_named(monkeypatch, capsys):
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    assert run_command(command, ["--describe"]) == 3
    assert "pip install 'dit4sr[export]'" in capsys.readouterr().err


def test_the_wheel_holds_every_module(wheel, tmp_path):
    """Install the wheel where nothing else is, and look there."""
    subprocess.run([*PIP, "install", "--no-deps", "--target", tmp_path, wheel], check=True)
    installed = tmp_path / "dit4sr"
    assert {p.name for p in installed.glob("*.py")} == {p.name for p in (ROOT / DOOR).glob("*.py")}
    assert (installed / "py.typed").is_file()
    script = "import dit4sr; print(dit4sr.__version__, dit4sr.__file__, dit4sr.errors.__file__)"
    printed = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert printed.split() == [
        project()["project"]["version"],
        str(installed / "__init__.py"),
        str(installed / "runtime" / "errors.py"),
    ]
    for folder in PARTS:
        in_tree = {p.relative_to(ROOT / folder) for p in (ROOT / folder).rglob("*.py")}
        part = installed / folder
        assert {p.relative_to(part) for p in part.rglob("*.py")} == in_tree
        assert (part / "py.typed").is_file()
