"""A lean process: what importing costs, and what is never imported."""

from __future__ import annotations

import ast
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image
from support.photos import make_photo

import dit4sr.runtime


def costs(*scripts: str) -> list[float]:
    """Processor time of fresh processes, start of Python taken off: in turns, each one's best of seven.

    The clock on the wall would count the tests that run beside this one.
    """

    def once(script: str) -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-c", script], check=True, stdout=subprocess.DEVNULL)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    rounds = [[once(script) for script in ("pass", *scripts)] for _ in range(7)]
    start, *best = (min(times) for times in zip(*rounds, strict=True))
    return [seconds - start for seconds in best]


def test_importing_costs_less_than_what_it_stands_on():
    """In proportion to NumPy and Pillow, which makes it hold on machines of any speed."""
    foundation, library, command_help = costs(
        "import numpy, PIL.Image",
        "from dit4sr.runtime import Upscaler",
        "import sys; from dit4sr.runtime.cli import command\n"
        "from dit4sr.runtime.console.command import run_command\n"
        "assert run_command(command, ['--help']) == 0; assert 'numpy' not in sys.modules",
    )
    assert library < 2.5 * foundation
    assert command_help < 1.5 * foundation


def test_the_runtime_loads_no_framework(toy_bundle, tmp_path):
    """Neither when it is imported, nor when it has restored a picture."""
    Image.fromarray(make_photo(8, 8)).save(tmp_path / "a.png")
    script = (
        "import sys; from dit4sr.runtime.cli import command\n"
        "from dit4sr.runtime.console.command import run_command\n"
        "assert run_command(command, sys.argv[1:]) == 0\n"
        "heavy = ('torch', 'onnx', 'diffusers', 'transformers', 'tensorrt', 'tensorrt_rtx')\n"
        "print([name for name in heavy if name in sys.modules])"
    )
    arguments = [
        str(tmp_path / "a.png"),
        "-o",
        str(tmp_path / "out.png"),
        "-m",
        str(toy_bundle),
        "--steps",
        "1",
    ]
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
    assert np.asarray(Image.open(tmp_path / "out.png")).shape == (32, 32, 3)


RUNTIME = Path(dit4sr.runtime.__file__).parent
MEASURED_WITH = {"metrics.py"}
"""What judges pictures and restores none."""
PRODUCTS = {"dot", "einsum", "inner", "matmul", "tensordot", "vdot"}


def products(source: str) -> list[int]:
    """Lines of what NumPy may hand to BLAS."""
    nodes = [node for node in ast.walk(ast.parse(source)) if isinstance(node, (ast.BinOp, ast.Attribute))]
    return [
        node.lineno
        for node in nodes
        if (isinstance(node, ast.BinOp) and isinstance(node.op, ast.MatMult))
        or (isinstance(node, ast.Attribute) and node.attr in PRODUCTS)
    ]


def test_no_picture_goes_through_blas():
    """Its threads wait busily when they are done, and an engine beside them takes half as long again."""
    files = [path for path in RUNTIME.rglob("*.py") if path.name not in MEASURED_WITH]
    assert products((RUNTIME / "metrics.py").read_text())
    assert {path.name: lines for path in files if (lines := products(path.read_text()))} == {}
