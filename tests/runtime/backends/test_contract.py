"""The contract of a component: arrays that its manifest does not describe go neither in nor out."""

from __future__ import annotations

import time

import numpy as np
import pytest

from dit4sr.runtime.backends.contract import ANY, CheckedContext, Contract, refuse_another_graph, shown
from dit4sr.runtime.backends.onnxruntime.backend import host_array
from dit4sr.runtime.backends.protocol import Array
from dit4sr.runtime.bundles.manifest import Component, FileRecord, TensorSpec
from dit4sr.runtime.errors import IncompatibleError

INPUTS = {
    "latent": ("images", 4, "h", "w"),
    "tokens": ("rows", "(h//2)*(w//2)", 16),
    "guidance": ("branches",),
}
OUTPUTS = {"image": ("images", 3, "8*h", "8*w"), "rows": ("branches*images", "h")}
SHAPES = {"latent": (1, 4, 6, 10), "tokens": (2, 15, 16), "guidance": (2,)}


def component(inputs=INPUTS, outputs=OUTPUTS, dtype="float32"):
    made, read = (
        tuple(TensorSpec(name, kind, shape) for name, shape in specs.items())
        for specs, kind in ((outputs, dtype), (inputs, "float32"))
    )
    return Component((FileRecord("onnx/x.onnx", 1, "0" * 64),), "fp32", read, made)


def zeros(shapes, dtype=np.float32):
    return {name: host_array(np.zeros(shape, dtype)) for name, shape in shapes.items()}


def test_symbols_become_sizes():
    contract = Contract("x", component())
    assert contract.shapes(SHAPES) == {"image": (1, 3, 48, 80), "rows": (2, 6)}


@pytest.mark.parametrize(
    ("name", "shape", "said"),
    [
        (
            "latent",
            (1, 5, 6, 10),
            "x reads latent, and is given 1×5×6×10; expected 1×4×6×10, for images×4×h×w",
        ),
        ("latent", (1, 4, 6), "is given 1×4×6; expected images×4×h×w"),
        ("tokens", (2, 16, 16), r"is given 2×16×16; expected 2×15×16, for rows×\(h//2\)\*\(w//2\)×16"),
    ],
)
def test_inputs_that_contradict_the_manifest_or_each_other(name, shape, said):
    with pytest.raises(IncompatibleError, match=said):
        Contract("x", component()).shapes(SHAPES | {name: shape})


@pytest.mark.parametrize("axis", ["unheard", "h*unheard", "8*h*heights"])
def test_an_axis_that_no_input_tells_may_have_any_size_and_nothing_else_may(axis):
    contract = Contract("x", component(outputs={"image": ("images", axis)}))
    assert contract.shapes(SHAPES) == {"image": (1, ANY)}
    for size in (1, 7):
        CheckedContext(Answering(zeros({"image": (1, size)})), contract).run(zeros(SHAPES))
    for shape in ((2, 7), (1,), (1, 7, 7)):
        with pytest.raises(IncompatibleError, match=r"expected float32 of 1×\?"):
            CheckedContext(Answering(zeros({"image": shape})), contract).run(zeros(SHAPES))


@pytest.mark.parametrize("axis", ["h//0", "h**2", "h.real", "(", "-h", ""])
def test_an_axis_that_is_no_arithmetic(axis):
    with pytest.raises(IncompatibleError, match="image has no shape, an axis is"):
        Contract("x", component(outputs={"image": (axis,)})).shapes(SHAPES)


def test_an_output_of_which_no_shape_is_known_may_have_any():
    contract = Contract("x", component(outputs={"inner": ()}))
    CheckedContext(Answering(zeros({"inner": (2, 7)})), contract).run(zeros(SHAPES))
    refuse_another_graph("x", contract.outputs, [TensorSpec("inner", "float32", (2, "", 7))])
    with pytest.raises(IncompatibleError, match="float64"):
        refuse_another_graph("x", contract.outputs, [TensorSpec("inner", "float64", (2, "", 7))])


def test_a_size_below_zero_is_not_any_size():
    with pytest.raises(IncompatibleError, match="image would be"):
        Contract("x", component(outputs={"image": ("h-7", 3)})).shapes(SHAPES)


@pytest.mark.parametrize("dtype", ["float64", "bfloat16", "int64", "object", "string", "seq(tensor(float))"])
def test_answers_are_floats(dtype):
    with pytest.raises(IncompatibleError, match=r"x has image as .*; expected float32 or float16"):
        Contract("x", component(dtype=dtype))


class Answering:
    """A context that answers what it was made with, and remembers whether it was asked."""

    def __init__(self, answers):
        self.answers, self.runs = answers, 0

    def run(self, _, outputs=None):
        self.runs += 1
        return {**self.answers, **(outputs or {})}


GOOD = {"image": (1, 3, 48, 80), "rows": (2, 6)}


def test_what_fits_passes():
    context = CheckedContext(Answering(zeros(GOOD)), Contract("x", component()))
    results = context.run(zeros(SHAPES))
    assert {name: array.shape for name, array in results.items()} == GOOD
    places = zeros(GOOD)
    assert context.run(zeros(SHAPES), places)["image"] is places["image"]


@pytest.mark.parametrize(
    "lie", [{"image": (1, 3, 48, 79)}, {"rows": (1, 6)}, {"rows": (12,)}, {"rows": ()}, {"more": (1,)}]
)
def test_answers_that_do_not_fit_are_not_given_out(lie):
    with pytest.raises(IncompatibleError, match=r"^x"):
        CheckedContext(Answering(zeros(GOOD | lie)), Contract("x", component())).run(zeros(SHAPES))


def test_an_answer_that_is_missing_or_of_another_type():
    contract = Contract("x", component())
    with pytest.raises(IncompatibleError, match="has the tensors rows; expected image, rows"):
        CheckedContext(Answering(zeros({"rows": (2, 6)})), contract).run(zeros(SHAPES))
    with pytest.raises(IncompatibleError, match="makes image as float64 of 1×3×48×80; expected float32"):
        CheckedContext(Answering(zeros(GOOD, np.float64)), contract).run(zeros(SHAPES))


@pytest.mark.parametrize(
    ("inputs", "places"),
    [
        (zeros(SHAPES, np.float64), None),
        ({"latent": zeros(SHAPES)["latent"]}, None),
        (zeros(SHAPES), zeros({"image": (1, 3, 48, 79)})),
        (zeros(SHAPES), zeros({"image": (1, 3, 48, 80)}, np.float16)),
        (zeros(SHAPES), zeros({"unheard": (1,)})),
    ],
    ids=["type", "missing", "small place", "narrow place", "place of nobody"],
)
def test_what_is_given_is_refused_before_anything_runs(inputs, places):
    context = Answering(zeros(GOOD))
    with pytest.raises(IncompatibleError):
        CheckedContext(context, Contract("x", component())).run(inputs, places)
    assert context.runs == 0


@pytest.mark.parametrize(
    "graph",
    [
        {"image": ("float64", ("a", 3, "b", "c"))},
        {"image": ("float32", ("a", 4, "b", "c"))},
        {"image": ("float32", ("a", 3, "b"))},
        {"picture": ("float32", ("a", 3, "b", "c"))},
        {},
    ],
)
def test_a_graph_that_is_not_the_manifests(graph):
    found = [TensorSpec(name, dtype, shape) for name, (dtype, shape) in graph.items()]
    promised = component(outputs={"image": ("images", 3, "8*h", "8*w")}).outputs
    refuse_another_graph("x", promised, promised)
    refuse_another_graph("x", promised, [TensorSpec("image", "float32", ())])
    with pytest.raises(IncompatibleError, match="as the manifest says; export the bundle anew"):
        refuse_another_graph("x", promised, found)


@pytest.mark.parametrize("rows", [4, -5, slice(0, 5), slice(-5, None), slice(3, 1), slice(0, 4, 2)])
def test_rows_that_are_not_there(rows):
    values = np.zeros((4, 3), np.float32)
    for owner in (values, object()):
        with pytest.raises(IncompatibleError, match="of a tensor that has 4"):
            Array(values.ctypes.data, values.shape, values.dtype, owner)[rows]
    with pytest.raises(IncompatibleError, match="of a tensor that has 0"):
        host_array(np.zeros((), np.float32))[0]


def test_a_check_takes_microseconds():
    """Of the loop's own 25 a step; the bound is far above, for machines that are busy."""
    given, places = zeros(SHAPES), zeros(GOOD)
    contexts = Answering({}), CheckedContext(Answering({}), Contract("x", component()))
    shortest = []
    for context in contexts:
        times = []
        for _ in range(300):
            start = time.perf_counter()
            context.run(given, places)
            times.append(time.perf_counter() - start)
        shortest.append(min(times))
    assert shortest[1] - shortest[0] < 50e-6


def test_shapes_for_people():
    assert shown((1, "h", "")) == "1×h×?"
    assert shown(()) == "no axes"
