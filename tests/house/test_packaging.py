"""The package as installed: complete, typed, and lean where it promises to be."""

from __future__ import annotations

import subprocess
import sys
import venv
from pathlib import Path

import pytest

from dit4sr.export.cli import command
from dit4sr.runtime.console.command import run_command

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[2]
FOLDERS = ["bench", "calibrate", "export", "kernels", "runtime"]


def project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def test_every_package_in_the_tree_is_declared():
    """Subpackages are not discovered: one that is forgotten here would be missing from the wheel."""
    found = {
        "dit4sr." + ".".join(init.parent.relative_to(ROOT).parts)
        for folder in FOLDERS
        for init in (ROOT / folder).rglob("__init__.py")
    }
    assert found == set(project()["tool"]["setuptools"]["packages"])


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_part_is_typed_and_seen_by_analysers(folder):
    assert (ROOT / folder / "py.typed").is_file()
    assert (ROOT / ".types" / "dit4sr" / folder).resolve() == ROOT / folder


def test_every_dependency_has_its_reason():
    reasons = (ROOT / "docs" / "dependencies.md").read_text().lower()
    extras = project()["project"]["optional-dependencies"]
    for requirement in [
        *project()["project"]["dependencies"],
        *(r for extra in extras.values() for r in extra),
    ]:
        name = requirement.split(">")[0].split("=")[0].split(";")[0].strip().lower()
        assert f"`{name}`" in reasons, name


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


def test_a_missing_extra_is_named(monkeypatch, capsys):
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    assert run_command(command, ["--describe"]) == 3
    assert "pip install 'dit4sr[export]'" in capsys.readouterr().err


def test_the_wheel_holds_every_module(tmp_path):
    """Build and install the wheel where nothing else is, and import from there."""
    source = tmp_path / "source"
    subprocess.run(
        ["git", "clone", "--quiet", "--depth", "1", f"file://{ROOT}", source], check=True, capture_output=True
    )
    for folder in FOLDERS:  # what is being worked on, not only what is committed
        subprocess.run(["cp", "-r", ROOT / folder, source], check=True)
    subprocess.run(["cp", ROOT / "pyproject.toml", source], check=True)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    subprocess.run([*pip, "wheel", "--no-deps", "-w", tmp_path, source], check=True)
    [wheel] = tmp_path.glob("*.whl")

    venv.create(tmp_path / "elsewhere", with_pip=False)
    [site] = (tmp_path / "elsewhere").glob("lib/python*/site-packages")
    subprocess.run([*pip, "install", "--no-deps", "--target", site, wheel], check=True)
    for folder in FOLDERS:
        in_tree = {p.relative_to(ROOT / folder) for p in (ROOT / folder).rglob("*.py")}
        in_wheel = {p.relative_to(site / "dit4sr" / folder) for p in (site / "dit4sr" / folder).rglob("*.py")}
        assert in_wheel == in_tree
        assert (site / "dit4sr" / folder / "py.typed").is_file()
