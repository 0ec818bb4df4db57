"""The benchmark's code, tried on a CPU, where it measures nothing."""

import json

import pytest
import torch
from click.testing import CliRunner
from support.attention import error, inputs, truth

from dit4sr.kernels.joint_attention import benchmark

NAMES = ("joint_attention", "joint_attention_dual")
CONTENDERS = ["norm+cat+SDPA+split", "the same, compiled", "SDPA math alone", "dit4sr"]


def run(*arguments):
    return CliRunner().invoke(benchmark.main, arguments)


def test_the_contenders_agree_and_the_rows_say_that_nothing_was_measured():
    torch.manual_seed(0)
    report = json.loads(run("--smoke", "--json").output)
    assert report["machine"]["name"] == "CPU, smoke test: not a measurement"
    assert report["limit"] == "matmul rate"
    shapes = [row["shape"] for row in report["rows"][:: len(CONTENDERS)]]
    assert shapes == ["joint copied 2×17", "joint own 2×17", "dual copied 2×12", "dual own 2×12"]
    for first in range(0, len(report["rows"]), len(CONTENDERS)):
        rows = report["rows"][first : first + len(CONTENDERS)]
        assert [row["contender"] for row in rows] == CONTENDERS
        read = 17 if "joint" in rows[0]["shape"] else 12
        assert all(row["flops"] == 2 * 2 * 2 * read * read * 128 for row in rows)
        assert all(row["error"] <= 2 * rows[0]["error"] for row in rows)


@pytest.mark.parametrize("copied", [True, False])
@pytest.mark.parametrize("name", NAMES)
def test_what_it_is_compared_with_computes_the_same(name, copied):
    tensors = inputs(name, rows=2, heads=3, tokens=7, words=5, copied=copied, dtype=torch.float64)
    assert error(torch.cat(benchmark.spelled_out(*tensors), dim=1), truth(name, tensors)) < 1e-12
    alone = benchmark.attend(*benchmark.concatenated(*tensors), benchmark.SDPBackend.MATH)
    assert error(alone, truth(name, tensors)) < 1e-12


def test_without_a_gpu_it_says_so(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    result = run()
    assert result.exit_code == 3
    assert result.stderr == "expected a CUDA device, found none; --smoke tries the code on the CPU\n"
