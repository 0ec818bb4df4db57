"""Does with a registered plugin what TensorRT's builder does, and prints what the plugin answers.

A script for a process that can import the real bindings (`tensorrt_stubs.run`). It reads JSON: a list of
cases, each with the plugin's `module` and `name`, its integer `attributes`, one `type` for all tensors, the
`inputs`' shapes and a `tactic`. For each it writes what the builder would learn. The vendor's own code is at
work throughout; only the builder's symbolic dimensions are replaced, by plain numbers.
"""

import importlib
import json
import operator
import sys
import types

import numpy as np
import tensorrt as trt
import tensorrt.plugin._tensor


class Number:
    """A dimension whose value is known."""

    def __init__(self, value):
        self.value = value

    def is_constant(self):
        return True

    def get_constant_value(self):
        return self.value


OPERATIONS = {
    trt.DimensionOperation.SUM: operator.add,
    trt.DimensionOperation.SUB: operator.sub,
    trt.DimensionOperation.PROD: operator.mul,
    trt.DimensionOperation.FLOOR_DIV: operator.floordiv,
    trt.DimensionOperation.CEIL_DIV: lambda a, b: -(-a // b),
    trt.DimensionOperation.MAX: max,
    trt.DimensionOperation.MIN: min,
    trt.DimensionOperation.EQUAL: operator.eq,
    trt.DimensionOperation.LESS: operator.lt,
}


class Calculator:
    """In place of `IExprBuilder`, which makes expressions out of dimensions."""

    def constant(self, value):
        return Number(value)

    def operation(self, kind, first, second):
        return Number(int(OPERATIONS[kind](first.value, second.value)))


class Scalars(dict):
    """In place of `ISymExprs`, which takes the kernel's scalar arguments."""

    nbSymExprs = 0  # noqa: N815  (the builder's name)


trt.IDimensionExpr = Number
trt.DimsExprs = lambda length: [None] * length
tensorrt.plugin._tensor.SymExprImpl = lambda expression: expression._expr.value


def described(shape, kind):
    description = trt.PluginTensorDesc()
    description.dims = trt.Dims(shape)
    description.type = kind
    description.format = trt.TensorFormat.LINEAR
    dynamic = trt.DynamicPluginTensorDesc()
    dynamic.desc = description
    dynamic.min = dynamic.max = trt.Dims(shape)
    return dynamic


def evaluate(module, name, attributes, type, inputs, tactic):  # noqa: A002
    importlib.import_module(module)
    creator = trt.get_plugin_registry().get_creator(name, "1", "dit4sr")
    fields = [
        trt.PluginField(key, np.array([value], np.int32), trt.PluginFieldType.INT32)
        for key, value in attributes.items()
    ]
    assert [field.name for field in creator.field_names] == list(attributes)
    plugin = creator.create_plugin(
        name,
        "dit4sr",
        trt.PluginFieldCollection(fields),
        trt.TensorRTPhase.BUILD,
        trt.QuickPluginCreationRequest.STRICT_AOT,
    )
    kind = getattr(trt.DataType, type)
    output_types = plugin.get_output_data_types([kind] * len(inputs), [len(shape) for shape in inputs])
    dimensions = [[Number(size) for size in shape] for shape in inputs]
    output_shapes = [
        [dimension.value for dimension in shape]
        for shape in plugin.get_output_shapes(dimensions, [], Calculator())
    ]
    tensors = [described(shape, kind) for shape in [*inputs, *output_shapes]]
    combinations = plugin.get_supported_format_combinations(tensors, len(inputs))
    plugin.configure_plugin(tensors[: len(inputs)], tensors[len(inputs) :])
    tactics = plugin.get_valid_tactics()
    plugin.set_tactic(tactic)

    launch, scalars = types.SimpleNamespace(), Scalars()
    plugin.get_launch_params(dimensions, tensors, len(inputs), launch, scalars, Calculator())
    descriptions = [tensor.desc for tensor in tensors]
    entry, ptx = plugin.get_kernel(descriptions[: len(inputs)], descriptions[len(inputs) :])
    assert len(scalars) == scalars.nbSymExprs
    assert all(0 <= value < 2**31 for value in scalars.values()), f"not an int32: {scalars}"
    return {
        "output_types": [str(kind) for kind in output_types],
        "output_shapes": output_shapes,
        "combinations": sorted({str(combination.type) for combination in combinations}),
        "tactics": sorted(tactics),
        "grid": [launch.grid_x, launch.grid_y, launch.grid_z],
        "block": [launch.block_x, launch.block_y, launch.block_z],
        "shared": launch.shared_mem,
        "scalars": [scalars[position] for position in range(scalars.nbSymExprs)],
        "entry": entry,
        "ptx": ptx.decode(),
    }


if __name__ == "__main__":
    answers = [evaluate(**case) for case in json.load(sys.stdin)]
    sys.stdout.write("\n" + json.dumps(answers))
