"""JointAttention as torch operators, against the reference and against torch's own checks."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from support.attention import OPERATORS, eager, error, inputs, sizes, truth
from torch.utils.flop_counter import FlopCounterMode

from dit4sr.kernels.joint_attention import torch_op as operator

SIZES = {"rows": 2, "heads": 2, "tokens": 7, "words": 5}
DYNAMIC = {
    "rows": torch.export.Dim("rows"),
    "tokens": torch.export.Dim("tokens"),
    "words": torch.export.Dim("words"),
}


def test_the_reference_is_the_definition():
    """One row, one head, spelled out: [noise | LR | text] keys, `copied` ones normalised twice."""
    tensors = inputs("joint_attention", rows=1, heads=1, tokens=3, words=2, copied=True)
    noise_qkv, lr_qv, text_qkv, *norms = (tensor.double().numpy() for tensor in tensors)
    norm_q, norm_k, text_norm_q, text_norm_k = norms

    def rms(x, weight):
        return np.stack([weight * token / np.sqrt((token**2).mean() + 1e-6) for token in x])

    noise_q, noise_k, noise_v = np.split(noise_qkv[0], 3, axis=1)
    lr_q, lr_v = np.split(lr_qv[0], 2, axis=1)
    text_q, text_k, text_v = np.split(text_qkv[0], 3, axis=1)
    query = np.concatenate([rms(noise_q, norm_q), rms(lr_q, norm_q), rms(text_q, text_norm_q)])
    noise_k = rms(noise_k, norm_k)
    key = np.concatenate([noise_k, rms(noise_k, norm_k), rms(text_k, text_norm_k)])
    weights = np.exp(query @ key.T / 8)
    weights /= weights.sum(axis=1, keepdims=True)
    expected = weights @ np.concatenate([noise_v, lr_v, text_v])
    np.testing.assert_allclose(truth("joint_attention", tensors)[0], expected, rtol=1e-12)


@pytest.mark.parametrize("name", OPERATORS)
@settings(deadline=None, max_examples=20)
@given(case=sizes, head_dim=st.sampled_from([8, 64]))
def test_the_operator_equals_the_reference(name, case, head_dim):
    tensors = [tensor.double() for tensor in inputs(name, **case, head_dim=head_dim)]
    assert error(eager(name, tensors), truth(name, tensors)) < 1e-12


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("copied", [True, False])
def test_it_errs_no_more_than_twice_the_formula_by_the_book(copied, dtype):
    tensors = inputs("joint_attention_dual", rows=3, heads=3, tokens=31, words=0, copied=copied, dtype=dtype)
    noise_qkv, lr_qkv, norm_q, norm_k = tensors
    noise_q, noise_k, noise_v = noise_qkv.unflatten(-1, (3, 3, 64)).permute(2, 0, 3, 1, 4)
    lr_q, *lr_k, lr_v = lr_qkv.unflatten(-1, (-1, 3, 64)).permute(2, 0, 3, 1, 4)
    noise_k = F.rms_norm(noise_k, (64,), norm_k, 1e-6)
    lr_k = F.rms_norm(noise_k if copied else lr_k[0], (64,), norm_k, 1e-6)
    query = F.rms_norm(torch.cat([noise_q, lr_q], dim=2), (64,), norm_q, 1e-6)
    weights = (query @ torch.cat([noise_k, lr_k], dim=2).mT / 8).softmax(-1)
    by_the_book = (weights @ torch.cat([noise_v, lr_v], dim=2)).transpose(1, 2).flatten(2)

    found, expected = eager("joint_attention_dual", tensors), truth("joint_attention_dual", tensors)
    assert found.dtype is dtype
    assert error(found, expected) <= 2 * error(by_the_book, expected)


@pytest.mark.parametrize("copied", [True, False])
@pytest.mark.parametrize("name", OPERATORS)
def test_torch_finds_nothing_wrong_with_it(name, copied):
    torch.library.opcheck(getattr(torch.ops.dit4sr, name).default, inputs(name, **SIZES, copied=copied))


@pytest.mark.parametrize("name", OPERATORS)
def test_it_stays_one_node_through_export_and_compile(name):
    class Net(torch.nn.Module):
        def forward(self, *tensors):
            return tuple(2 * answer for answer in getattr(operator, name)(*tensors))

    tensors = inputs(name, **SIZES, copied=True)
    image, text = {0: DYNAMIC["rows"], 1: DYNAMIC["tokens"]}, {0: DYNAMIC["rows"], 1: DYNAMIC["words"]}
    shapes = [image, image] + [text if tensor.ndim == 3 else None for tensor in tensors[2:]]
    program = torch.export.export(Net(), tensors, dynamic_shapes=(tuple(shapes),))
    calls = [node.target for node in program.graph.nodes if node.op == "call_function"]
    assert calls.count(getattr(torch.ops.dit4sr, name).default) == 1
    assert not any("scaled_dot_product" in str(call) for call in calls)

    graphs = []

    def backend(graph, _examples):
        graphs.append(graph)
        return graph.forward

    compiled = torch.compile(Net(), backend=backend, fullgraph=True)
    torch.testing.assert_close(compiled(*tensors), Net()(*tensors))
    assert len(graphs) == 1


@pytest.mark.parametrize(
    ("name", "asking", "read"),
    [("joint_attention", 19, 19), ("joint_attention_final", 14, 19), ("joint_attention_dual", 14, 14)],
)
@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_its_products_are_counted(name, asking, read, device):
    tensors = [tensor.to(device) for tensor in inputs(name, **SIZES, copied=False)]
    with FlopCounterMode(display=False) as counter:
        answers = getattr(operator, name)(*tensors)
    assert counter.get_total_flops() == 2 * 2 * 2 * asking * read * 128
    assert sum(answer.shape[1] for answer in answers) == asking


def test_wrong_shapes_are_named():
    noise, lr, text, *norms = (t.to("meta") for t in inputs("joint_attention", **SIZES, copied=False))
    with pytest.raises(RuntimeError, match="LR must have 7 tokens, found 6"):
        operator.joint_attention(noise, lr[:, :6], text, *norms)
    with pytest.raises(RuntimeError, match=r"LR must be 384 wide \(q\|k\|v\) or 256 \(q\|v\), found 128"):
        operator.joint_attention(noise, lr[..., :128], text, *norms)
    with pytest.raises(RuntimeError, match=r"text q\|k\|v must be 384 wide, found 256"):
        operator.joint_attention(noise, lr, text[..., :256], *norms)
    with pytest.raises(RuntimeError, match=r"text k\|v must be 256 wide, found 384"):
        operator.joint_attention_final(noise, lr, text, *norms[:2], norms[3])
