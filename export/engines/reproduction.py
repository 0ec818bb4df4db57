"""An engine that failed its verification, left for Polygraphy: inputs, golden outputs, and what to type.

The folder appears whole or not at all. It lies beside the bundle: in a bundle are engines that passed.
"""

from __future__ import annotations

import itertools
import math
import shlex
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from polygraphy.comparator import RunResults
from polygraphy.json import save_json
from polygraphy.logger import G_LOGGER

from dit4sr.export.engines.comparison import Comparison
from dit4sr.runtime.files.whole import atomic_directory

INPUTS, GOLDEN, COMMANDS = "inputs.json", "outputs.json", "polygraphy.txt"


@dataclass(frozen=True)
class Graph:
    """The graph that an engine was built from, in standard operators alone: any TensorRT reads it."""

    name: str
    content: bytes
    data: Sequence[Path]
    """Files that the content refers to by name."""


def leave_reproduction(comparison: Comparison, graph: Graph, *, engine: Path, beside: Path) -> Path:
    """Move an engine's file into a folder of its own, with all that shows its failure again."""
    folder = free_place(beside.with_name(f"{beside.name}.{engine.stem}.failed"))
    with atomic_directory(folder, replace=True) as scratch, G_LOGGER.verbosity(G_LOGGER.CRITICAL):
        save_json([comparison.inputs], str(scratch / INPUTS))
        golden = RunResults()
        golden.add([comparison.golden], runner_name="graph")
        golden.save(str(scratch / GOLDEN))
        (scratch / graph.name).write_bytes(graph.content)
        for file in graph.data:
            # Not a link: onnx reads no weights from files that have two names.
            shutil.copyfile(file, scratch / file.name)
        shutil.move(engine, scratch / engine.name)
        lines = commands(thresholds(comparison), engine.name, graph.name)
        (scratch / COMMANDS).write_text(lines, encoding="utf-8")
    return folder


def free_place(wanted: Path) -> Path:
    """The folder itself if it is free or an older failure, else the first of its name and a number."""
    numbered = (wanted.with_name(f"{wanted.name}-{number}") for number in itertools.count(2))
    places = itertools.chain([wanted], numbered)
    return next(place for place in places if not place.exists() or (place / COMMANDS).is_file())


def commands(bounds: Mapping[str, float], engine: str, graph: str) -> str:
    """The command lines for a terminal in the folder. Names are quoted: bundles may come from strangers."""
    plan, onnx = shlex.quote(engine), shlex.quote(graph)
    given, judged = f"--load-inputs {INPUTS}", "--compare snr --snr-threshold"
    by_output = " ".join(shlex.quote(f"{name}:{bound}") for name, bound in bounds.items())
    golden = f"{given} --load-outputs {GOLDEN} {judged} {by_output}"
    return f"""\
# A plan that strays from its graph. The bounds are signal-to-noise ratios in dB: -20 log10 of the relative
# errors that dit4sr-export allows. Polygraphy computes in single precision, and takes what it runs for the
# signal: a result within a hundredth of a dB may fall on either side.

# The plan again, on the machine that built it: fails.
polygraphy run {plan} --trt {golden}

# Its graph in ONNX Runtime: passes.
polygraphy run {onnx} --onnxrt {golden}

# Its graph as TensorRT builds it without our settings and kernels: passes where one of those is the cause.
polygraphy run {onnx} --trt --strongly-typed {golden}

# The fewest nodes of the graph that still fail (needs onnx-graphsurgeon).
polygraphy debug reduce {onnx} --mode bisect --no-reduce-inputs {given} -o reduced.onnx \\
  --check polygraphy run polygraphy_debug.onnx --onnxrt --trt --strongly-typed {given} \\
  {judged} {max(bounds.values())}
"""


def thresholds(comparison: Comparison) -> dict[str, float]:
    """By output, the bound as Polygraphy takes it: the least signal-to-noise ratio in dB, rounded down."""
    return {
        name: math.floor(-2000 * math.log10(allowed)) / 100 if allowed > 0 else math.inf
        for name, allowed in comparison.allowed.items()
    }
