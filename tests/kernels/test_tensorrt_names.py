"""Every name that the project takes from TensorRT exists there: in 11.4, and in 10.16 for the tens."""

import ast
import json
from pathlib import Path

import pytest
from support import tensorrt_stubs

ROOT = Path(__file__).parents[2]
FOLDERS = ("bench", "calibrate", "export", "kernels", "runtime")

CHECK = """
import functools, importlib, json, sys
import tensorrt.plugin
def exists(name):
    try:
        functools.reduce(getattr, name.split(".")[1:], importlib.import_module("tensorrt"))
    except AttributeError:
        return False
    return True
print(json.dumps([name for name in json.load(sys.stdin) if not exists(name)]))
"""


def names_in(tree):
    """Dotted names in full, `tensorrt.plugin.cdiv`, of what a module reaches from `tensorrt`."""
    aliases = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.split(".")[0] == "tensorrt":
                    aliases[alias.asname or "tensorrt"] = alias.name if alias.asname else "tensorrt"
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "tensorrt":
            for alias in node.names:
                aliases[alias.asname or alias.name] = f"{node.module}.{alias.name}"
    yield from aliases.values()
    for node in ast.walk(tree):
        path, inner = [], node
        while isinstance(inner, ast.Attribute):
            path.insert(0, inner.attr)
            inner = inner.value
        if path and isinstance(inner, ast.Name) and inner.id in aliases:
            yield ".".join([aliases[inner.id], *path])


@pytest.fixture(scope="module")
def names():
    files = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")]
    return sorted({name for path in files for name in names_in(ast.parse(path.read_text(encoding="utf-8")))})


def test_the_walk_finds_names_however_they_are_reached():
    code = "import tensorrt as t, tensorrt.plugin as p\nfrom tensorrt import Logger as L\n"
    code += (
        "def f():\n  import tensorrt\n  return t.DataType.HALF, p.cdiv(1, 2), L.INFO, tensorrt.Builder(L).x"
    )
    assert set(names_in(ast.parse(code))) == {
        "tensorrt",
        "tensorrt.plugin",
        "tensorrt.Logger",
        "tensorrt.DataType",
        "tensorrt.DataType.HALF",
        "tensorrt.plugin.cdiv",
        "tensorrt.Logger.INFO",
        "tensorrt.Builder",
    }


@pytest.mark.parametrize("version", tensorrt_stubs.VERSIONS)
def test_every_name_exists(version, names):
    assert "tensorrt.plugin.register" in names
    printed = tensorrt_stubs.run(version, "-c", CHECK, text=json.dumps([*names, "tensorrt.NoSuchName"]))
    assert json.loads(printed.splitlines()[-1]) == ["tensorrt.NoSuchName"]
