"""How long each group of layers takes in a step, by ONNX Runtime's own profile.

The profile lists the nodes of the optimised graph, in which operators are inlined and fused, run after run in
the graph's own order. That graph is written beside it, and says by its names which group each node is of.
"""

from __future__ import annotations

import json
import tempfile
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dit4sr.bench.graph.cost import read_graph
from dit4sr.bench.graph.layers import Node, groups_of
from dit4sr.export.architectures.layer_names import LayerNames
from dit4sr.runtime.backends.onnxruntime.backend import DATA_FOLDER, for_cpus, session_options
from dit4sr.runtime.backends.onnxruntime.stopping import stoppable_opening, stoppable_run
from dit4sr.runtime.errors import IncompatibleError
from dit4sr.runtime.files.reading import read_file

RUNS, WARMUPS = 10, 2
LARGEST = 1 << 30
"""Bytes of a graph up to which its optimised form is written out."""


def layer_seconds(
    graph: Path,
    feeds: Mapping[str, NDArray[Any]],
    layers: LayerNames,
    *,
    threads: int = 0,
    runs: int = RUNS,
) -> dict[str, float]:
    """Median seconds that each group of layers takes in a run of a graph."""
    import onnxruntime  # noqa: PLC0415  (a third of a second)

    with tempfile.TemporaryDirectory() as folder:
        optimised = Path(folder) / "optimised.onnx"
        options = session_options(threads)
        options.optimized_model_filepath = str(optimised)
        options.enable_profiling = True
        options.profile_file_prefix = str(Path(folder) / "profile")
        with stoppable_opening(options):
            # The form that the runtime gives to the library: what is timed is what is run.
            options.add_session_config_entry(DATA_FOLDER, str(graph.parent))
            content = for_cpus(read_file(graph, most=LARGEST))
            session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        for _ in range(WARMUPS + runs):
            with stoppable_run() as how:
                session.run(None, dict(feeds), how)
        events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
        nodes = _nodes(optimised)
    seconds = seconds_of_nodes(events, nodes)[-runs:]
    return _medians(seconds, groups_of(nodes, layers))


def _nodes(optimised: Path) -> list[Node]:
    return [
        Node(
            node.op_type,
            node.name or "",
            weights=[v.name or "" for v in node.inputs if v is not None and v.is_initializer()],
            inputs=[v.name or "" for v in node.inputs if v is not None],
            outputs=[v.name or "" for v in node.outputs],
        )
        for node in read_graph(optimised).graph
        if node.op_type != "Constant"
    ]


def seconds_of_nodes(events: list[dict[str, Any]], nodes: Sequence[Node]) -> NDArray[np.float64]:
    """Seconds from a profile: a row for each run, a column for each node."""
    timed = [event for event in events if event.get("cat") == "Node" and "_kernel_time" in event["name"]]
    runs = len(timed) // max(len(nodes), 1)
    if [event["args"]["op_name"] for event in timed] != [node.operator for node in nodes] * runs:
        raise IncompatibleError("this ONNX Runtime's profile does not follow its graph")
    return np.array([event["dur"] / 1e6 for event in timed]).reshape(runs, len(nodes))


def _medians(seconds: NDArray[np.float64], groups: Sequence[str]) -> dict[str, float]:
    """Seconds of each group: summed over its nodes in each run, and the median over runs."""
    sums: defaultdict[str, NDArray[np.float64]] = defaultdict(lambda: np.zeros(len(seconds)))
    for column, group in zip(seconds.T, groups, strict=True):
        sums[group] += column
    return {group: float(np.median(values)) for group, values in sums.items()}
