"""The benchmark's code, tried on a CPU, where it measures nothing."""

import json

import pytest
import torch
from click.testing import CliRunner

from dit4sr.kernels import timing
from dit4sr.kernels.depthwise_inject import benchmark


def run(*arguments):
    return CliRunner().invoke(benchmark.main, arguments)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_the_contenders_agree_and_the_rows_say_that_nothing_was_measured(dtype):
    report = json.loads(run("--smoke", "--json", "--dtype", dtype).output)
    assert report["machine"]["name"] == "CPU, smoke test: not a measurement"
    assert report["limit"] == "copy bandwidth"
    eager, *others = report["rows"]
    assert [row["contender"] for row in others] == ["torch.compile", "cuDNN, channels last", "dit4sr"]
    assert eager["speed_up"] == 1
    for row in report["rows"]:
        assert row["bytes"] == (3 * 2 * 5 * 4 * 16 + 10 * 16) * 2
        assert row["flops"] == 2 * 9 * 2 * 5 * 4 * 16
        assert row["error"] <= 2 * eager["error"]
        assert row["timing"]["low"] <= row["timing"]["median"] <= row["timing"]["high"]


def test_the_table_holds_every_row():
    lines = run("--smoke").output.splitlines()
    assert "not a measurement" in lines[0]
    assert [line[22:44].strip() for line in lines[4:]] == [
        "eager, as released",
        "torch.compile",
        "cuDNN, channels last",
        "dit4sr",
    ]


def test_shares_and_speed_ups_follow_from_the_times(monkeypatch):
    seconds = iter([4e-6, 2e-6])
    monkeypatch.setattr(timing, "time_call", lambda *_: timing.Timing(*[next(seconds)] * 3))
    machine = timing.Machine("cpu", "a machine", "float16", copy_bandwidth=1e12, matmul_rate=1e14)
    rows = timing.compare(
        "a shape",
        {"first": lambda: 0.5, "second": lambda: 0.25},
        machine=machine,
        limit="copy bandwidth",
        bytes_moved=10**6,
        flops=10**7,
        error=lambda found: found,
    )
    assert [row.speed_up for row in rows] == [1, 2]
    assert [row.share for row in rows] == [0.25, 0.5]
    assert [row.error for row in rows] == [0.5, 0.25]
    assert "50.0%     2.00×  2.5e-01" in timing.table(machine, "copy bandwidth", rows)


def test_without_a_gpu_it_says_so(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    result = run()
    assert result.exit_code == 3
    assert result.stderr == "expected a CUDA device, found none; --smoke tries the code on the CPU\n"
