"""The import contracts: whoever adds a module or an architecture adds it to them."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import pytest

from dit4sr.export import architectures

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[2]
SPECIFIC = {"dit4sr.export.tiny"}
"""What is about one network on purpose: the model in the box."""


@pytest.fixture(scope="module")
def contract() -> dict[str, Any]:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    contracts = settings["tool"]["importlinter"]["contracts"]
    [found] = [each for each in contracts if each["name"] == "Generic code names no architecture"]
    return found


def modules_in(folder: str) -> set[str]:
    """Modules and packages directly inside a folder of the repository."""
    place = ROOT / folder
    names = {path.stem for path in place.glob("*.py")} | {path.parent.name for path in place.glob("*/*.py")}
    return {f"dit4sr.{folder.replace('/', '.')}.{name}" for name in names if not name.startswith("__")}


def test_every_architecture_is_kept_from_generic_code(contract):
    folders = [name.replace("-", "_") for name in architectures.known()]
    known = {f"dit4sr.export.architectures.{folder}" for folder in folders}
    assert set(contract["forbidden_modules"]) == known


def test_the_runtime_names_no_other_network():
    """The package bears DiT4SR's name; what the runtime does is no network's own."""
    others = {name for name in architectures.known() if name != architectures.DEFAULT}
    assert others
    names = re.compile("|".join(re.sub(r"[-_]", "[-_ ]?", name) for name in others), re.IGNORECASE)
    named = [path for path in (ROOT / "runtime").rglob("*.py") if names.search(path.read_text())]
    assert named == []


def test_all_code_of_the_exporter_and_downstream_is_generic_unless_it_is_an_architectures(contract):
    export = modules_in("export") - {"dit4sr.export.architectures"} - SPECIFIC
    beside = modules_in("export/architectures") - set(contract["forbidden_modules"])
    generic = {"dit4sr.bench", "dit4sr.calibrate"} | export | beside
    assert set(contract["source_modules"]) == generic
