"""Whatever comes from outside is read in one place, within bounds; who reads otherwise says why."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("bench", "calibrate", "export", "kernels", "runtime")

OURS = "it was written by this process, or by its child, a moment ago"
MACHINE = "the kernel's own account of the machine"
CHECKED = "by its name, after `require_ordinary`, or after its digest was checked"
TRAINING = "the training of dit4sr-tiny, which goes on from what it left"

ALLOWED = {
    ("runtime/files/reading.py", "os.open"): "the place",
    ("runtime/files/reading.py", "os.fdopen"): "the place",
    ("runtime/files/arrays.py", "np.load"): "from a stream that was opened within bounds",
    ("runtime/files/whole.py", "os.open"): "to sync what was written",
    ("runtime/files/drafts.py", "os.open"): "to write, and to hold a lock",
    ("runtime/files/drafts.py", "os.fdopen"): "to write",
    (
        "runtime/bundles/checked_files.py",
        "os.open",
    ): "a bundle's files, of sizes that are known",
    ("runtime/bundles/checked_files.py", "os.fdopen"): "the same",
    ("runtime/console/signals.py", "os.fdopen"): "a pipe of this process",
    ("runtime/html/document.py", "read_text"): "what lies beside it in the package",
    ("runtime/html/comparison.py", "read_text"): "what lies beside it in the package",
    ("runtime/page/layout.py", "read_text"): "what lies beside it in the package",
    ("runtime/page/recipe.py", "read_text"): "what lies beside it in the package",
    ("runtime/page/stage.py", "read_text"): "what lies beside it in the package",
    ("runtime/image/depth.py", "Image.open"): "from bytes that were read within bounds",
    ("runtime/machine/host.py", "read_text"): MACHINE,
    ("runtime/console/command.py", "os.open"): "the device that swallows all",
    ("runtime/batch/ledger.py", ".open"): "to append",
    ("runtime/backends/choice.py", ".open"): "no file: a backend",
    ("runtime/backends/inductor/tensors.py", "np.memmap"): CHECKED,
    ("runtime/backends/inductor/compatibility.py", "read_text"): MACHINE,
    ("runtime/sampling/tile_conditions.py", "np.memmap"): OURS,
    ("export/weights/checkpoint.py", "safe_open"): CHECKED,
    ("export/engines/tensorrt/verify.py", "onnx.load"): CHECKED,
    ("export/engines/plans/graph.py", "onnx.load"): CHECKED,
    ("export/engines/plans/convolutions.py", "fromfile"): CHECKED,
    ("calibrate/graph/bundle_rewriting.py", "ir.load"): CHECKED,
    ("bench/graph/cost.py", "ir.load"): CHECKED,
    ("kernels/aot.py", "read_text"): "kernels know no runtime; the file is what their own compiler wrote",
    ("export/tiny/system.py", "load_file"): TRAINING,
    ("export/tiny/training/state.py", "safe_open"): CHECKED,
    ("export/tiny/data/photographs.py", "Image.open"): "photographs of a package that is installed",
    ("export/tiny/data/degradation.py", "Image.open"): OURS,
    ("bench/graph/layer_times.py", "read_text"): OURS,
    ("bench/baselines/released.py", "Image.open"): OURS,
    ("bench/baselines/torch_start.py", "Image.open"): OURS,
    ("bench/showcase.py", "Image.open"): "what `make demo` has just written",
    ("bench/showcase.py", "read_text"): "what `make demo` has just written",
    ("bench/cluster/command.py", ".open"): "what its child says",
    ("bench/cluster/command.py", "read_bytes"): OURS,
    ("bench/cluster/processes.py", "read_text"): MACHINE,
    ("bench/measure/limits.py", "read_text"): MACHINE,
    ("bench/measure/cold_start.py", "read_text"): MACHINE,
    ("bench/measure/background_load.py", "read_text"): MACHINE,
}
"""Every other way of reading a file that there is in the code, and why it may be there."""

METHODS = {"read_bytes", "read_text", "from_file", "fromfile", "loadtxt"}
"""Names that read a file whatever they belong to; of ours, `read_text` is called by its bare name."""
FUNCTIONS = {
    *("open", "io.open", "os.open", "os.fdopen", "json.load", "safe_open", "load_file", "torch.load"),
    *("np.load", "np.memmap", "numpy.load", "onnx.load", "onnx_ir.load", "ir.load", "Image.open"),
}


def readings(source: str) -> set[str]:
    """Everything in a module that reads a file, or might."""
    calls = (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call))
    return {found for call in calls if (found := reading(call))}


def reading(call: ast.Call) -> str:
    """What a call reads a file with; nothing if it reads none."""
    name = ast.unparse(call.func)
    if name in FUNCTIONS:
        return "" if name == "open" and writes(call, place=1) else name
    if not isinstance(call.func, ast.Attribute):
        return ""
    if call.func.attr in METHODS:
        return call.func.attr
    # A path's `open` takes nothing or a mode; a bundle's or a backend's takes what is to be opened.
    is_path = all(isinstance(argument, ast.Constant) for argument in call.args)
    return ".open" if call.func.attr == "open" and is_path and not writes(call, place=0) else ""


def writes(call: ast.Call, *, place: int) -> bool:
    modes = [word.value for word in call.keywords if word.arg == "mode"] + call.args[place : place + 1]
    text = "".join(str(mode.value) for mode in modes if isinstance(mode, ast.Constant))
    return bool(text) and not set(text) & set("r+")


def found() -> set[tuple[str, str]]:
    modules = [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))]
    return {
        (path.relative_to(ROOT).as_posix(), way)
        for path in modules
        for way in readings(path.read_text(encoding="utf-8"))
    }


def test_nothing_is_read_but_in_its_place():
    assert found() - ALLOWED.keys() == set()


def test_what_is_allowed_is_still_done():
    assert ALLOWED.keys() - found() == set()


@pytest.mark.parametrize(
    ("source", "way"),
    [
        ("path.read_bytes()", "read_bytes"),
        ("Path(name).read_text(encoding='utf-8')", "read_text"),
        ("open(name)", "open"),
        ("open(name, 'rb')", "open"),
        ("path.open()", ".open"),
        ("path.open('rb')", ".open"),
        ("path.open(mode='a+b')", ".open"),
        ("os.open(path, os.O_RDONLY)", "os.open"),
        ("json.load(file)", "json.load"),
        ("np.load(path)", "np.load"),
        ("with safe_open(file, framework='pt'): pass", "safe_open"),
        ("Tokenizer.from_file(path)", "from_file"),
    ],
)
def test_every_way_of_reading_is_noticed(source, way):
    assert readings(source) == {way}


@pytest.mark.parametrize(
    "source",
    [
        *("read_text(path)", "read_file(path, most=9)", "open(name, 'w')", "path.open('xb')"),
        *("Bundle.open(path)", "self._backend.open(bundle, name)", "json.loads(text)"),
    ],
)
def test_what_reads_no_file_is_left_alone(source):
    assert readings(source) == set()
