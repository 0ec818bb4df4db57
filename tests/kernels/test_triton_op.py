"""The operators' twins that compilers see through: the same numbers, and nothing of ours left behind."""

from __future__ import annotations

import contextlib

import pytest
import torch
from support import attention, injection
from torch._functorch.aot_autograd import aot_function
from torch._subclasses import FakeTensorMode
from torch.fx.experimental.proxy_tensor import make_fx

from dit4sr.kernels.depthwise_inject import kernel as injection_kernel
from dit4sr.kernels.depthwise_inject import triton_op as inlined_injection
from dit4sr.kernels.joint_attention import kernel as attention_kernel
from dit4sr.kernels.joint_attention import triton_op as inlined_attention

SIZES = {"rows": 2, "heads": 2, "tokens": 7, "words": 5, "copied": True}
CASES = [
    (inlined_injection.depthwise_inject, "depthwise_inject", injection.inputs(2, 3, 4, 8)),
    *(
        (getattr(inlined_attention, name), name, attention.inputs(name, **SIZES))
        for name in attention.OPERATORS
    ),
]
each_twin = pytest.mark.parametrize(("twin", "name", "tensors"), CASES, ids=[name for _, name, _ in CASES])


def flat(answers):
    return answers if isinstance(answers, (tuple, list)) else (answers,)


@each_twin
def test_a_twin_answers_as_its_operator(twin, name, tensors):
    expected = getattr(torch.ops.dit4sr, name)(*tensors)
    for answer, truth in zip(flat(twin(*tensors)), flat(expected), strict=True):
        assert torch.equal(answer, truth)


@each_twin
def test_a_compiler_finds_only_torchs_operators_in_it(twin, name, tensors):
    graphs = []

    def backend(graph, _examples):
        graphs.append(graph)
        return graph.forward

    with torch.no_grad():
        answers = aot_function(twin, fw_compiler=backend)(*tensors)
    expected = getattr(torch.ops.dit4sr, name)(*tensors)
    for answer, truth in zip(flat(answers), flat(expected), strict=True):
        torch.testing.assert_close(answer, truth)
    calls = [str(node.target) for graph in graphs for node in graph.graph.nodes if node.op == "call_function"]
    assert calls
    assert not [call for call in calls if "dit4sr" in call]


def test_the_kernels_launches_can_be_traced(monkeypatch):
    """What a compiler sees on a GPU: our kernel, its grid and its arguments, in place of the operator."""
    monkeypatch.setattr(torch.cuda, "device_of", lambda _: contextlib.nullcontext())
    through = torch.library.wrap_triton
    qkv, words = (2, 64, 3 * 128), (2, 16, 3 * 128)
    shapes = {
        "injection": [(2, 8, 8, 256), (2, 8, 8, 256), (3, 3, 256), (256,)],
        "joint": [qkv, qkv, words, (64,), (64,), (64,), (64,)],
        "dual": [qkv, qkv, None, (64,), (64,), None, None],
    }
    for name, given in shapes.items():
        launch = injection_kernel.launch if name == "injection" else attention_kernel.launch
        with FakeTensorMode():
            tensors = [shape and torch.empty(shape, dtype=torch.float16, device="cuda") for shape in given]
            graph = make_fx(lambda *given, launch=launch: launch(*given, through=through))(*tensors)
        calls = [str(node.target) for node in graph.graph.nodes if node.op == "call_function"]
        assert sum("triton_kernel_wrapper" in call for call in calls) == 1, calls
        assert not [call for call in calls if "dit4sr" in call]
