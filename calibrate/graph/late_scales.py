"""Two sets of activation scales, changed at a noise level: early steps see other numbers than late ones.

`prepare` knows the times of all steps, so it tells every step which set to take, by a tensor that the runtime
passes on by its name like any other. Scales that are chosen while running are for ONNX Runtime alone:
TensorRT wants them constant.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

LATE = "late"
"""Name of the output of `prepare` and input of `step` that is 1 where the late set of scales holds."""


def announce_late_steps(prepare: ir.Model, level: float) -> None:
    """Let `prepare` say of every step whether its time lies below a level, in a row for each branch."""
    graph = prepare.graph
    given = {value.name: value for value in graph.inputs}
    tape = ir.tape.Tape()
    threshold = tape.op("Constant", [], {"value_float": float(level)})
    is_late = tape.op("Cast", [tape.op("Less", [given["timesteps"], threshold])], {"to": ir.DataType.FLOAT})
    standing = tape.op("Reshape", [is_late, _ints(tape, -1, 1, 1)])
    rows = tape.op("Shape", [given["condition"]], {"start": 0, "end": 1})
    shape = tape.op("Concat", [_ints(tape, 1), rows, _ints(tape, 1)], {"axis": 0})
    answer = tape.op("Expand", [standing, shape])
    answer.name, answer.dtype = LATE, ir.DataType.FLOAT
    steps, conditions = given["timesteps"].shape, given["condition"].shape
    assert steps is not None
    assert conditions is not None
    answer.shape = ir.Shape([steps[0], conditions[0], 1])
    graph.extend(tape.nodes)
    graph.outputs.append(answer)


def late_flag(step: ir.Graph) -> ir.Value:
    """Give the graph of a step a truth value that says if the late scales hold."""
    given = ir.Value(name=LATE, shape=ir.Shape([_rows(step), 1]), type=ir.TensorType(ir.DataType.FLOAT))
    step.inputs.append(given)
    tape = ir.tape.Tape()
    highest = tape.op("ReduceMax", [given], {"keepdims": 0})
    flag = tape.op("Greater", [highest, tape.op("Constant", [], {"value_float": 0.5})])
    flag.name, flag.dtype, flag.shape = "is_late", ir.DataType.BOOL, ir.Shape([])
    step.insert_before(step[0], list(tape.nodes))
    return flag


def _rows(step: ir.Graph) -> int | ir.SymbolicDim:
    """The axis of what the network sees at once: a row for each branch of guidance and image."""
    axes = {value.name: value.shape[0] for value in step.inputs if value.shape}
    branches, images = axes["guidance"], axes["latent"]
    if isinstance(branches, int) and isinstance(images, int):
        return branches * images
    return ir.SymbolicDim("rows")


def level_between(timesteps: np.ndarray[tuple[int], np.dtype[np.float32]], step: int) -> float:
    """The noise level half-way between a step and the one before it."""
    return float((timesteps[step - 1] + timesteps[step]) / 2)


def _ints(tape: ir.tape.Tape, *values: int) -> ir.Value:
    return tape.op("Constant", [], {"value_ints": values})
