"""The script that measures a GPU runs on a CPU at small size: a GPU's minutes are not for finding typos."""

from __future__ import annotations

import json

import pytest
import torch
from click.testing import CliRunner

from dit4sr.bench.gpu import contenders, full_size_step
from dit4sr.bench.gpu.contenders import CONTENDERS
from dit4sr.kernels.timing import Machine
from dit4sr.runtime.backends.inductor.backend import Inductor
from dit4sr.runtime.console.command import run_command

SMALL = ["--size", "small", "--device", "cpu", "--dtype", "bfloat16"]
EAGER = "released,simplified,prepare,vae"


def run(*arguments):
    return CliRunner().invoke(full_size_step.command, [*SMALL, *arguments], catch_exceptions=False)


@pytest.fixture(autouse=True)
def in_this_process(monkeypatch):
    """A process for each contender would import torch anew."""

    def measured_here(name, arguments, _limit):
        assert arguments == SMALL
        return json.loads(run("--only", name).stdout)

    monkeypatch.setattr(full_size_step, "in_own_process", measured_here)


def test_every_formulation_is_on_one_table(tmp_path):
    result = run("--contenders", EAGER, "--record", str(tmp_path / "record.json"))
    assert result.exit_code == 0, result.output
    for name in EAGER.split(","):
        assert CONTENDERS[name].name in result.stdout
    rows = json.loads((tmp_path / "record.json").read_text())["rows"]
    released, simplified, prepare, vae = rows
    assert all(row["seconds"] > 0 for row in rows)
    assert released["speed_up"] == 1
    assert simplified["flops"] < released["flops"], "AdaLN is multiplied once per picture, not in every step"
    assert "share" not in prepare
    assert simplified["steps_seconds"] == 40 * simplified["seconds"]
    assert released["picture_seconds"] == released["steps_seconds"] + vae["seconds"]
    assert simplified["picture_seconds"] == pytest.approx(
        simplified["steps_seconds"] + vae["seconds"] + prepare["seconds"]
    )


def test_what_does_not_finish_costs_no_other_its_turn(monkeypatch):
    def measured_here(name, _arguments, limit):
        if name == "released":
            return full_size_step.failure(name, f"not done after {limit:.0f} s")
        return {"name": name, "contender": CONTENDERS[name].name, "seconds": 0.5, "flops": 1e12}

    monkeypatch.setattr(full_size_step, "in_own_process", measured_here)
    result = run("--contenders", "released,simplified", "--limit", "7")
    assert "released, eager                               not done after 7 s" in result.stdout
    assert "20.00 s" in result.stdout
    assert '"picture_seconds": null' in run("--contenders", "simplified", "--json").stdout
    assert "no time left" in run("--contenders", "released", "--budget", "0").stdout


def test_a_process_that_fails_is_one_line(monkeypatch):
    monkeypatch.undo()
    found = full_size_step.in_own_process("released", ["--size", "no such size"], 60)
    assert found["contender"] == "released, eager"
    assert "no such size" in found["failure"]


def test_without_a_gpu_it_says_so(monkeypatch, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert run_command(full_size_step.command, ["--device", "cuda"]) == 3
    assert "no CUDA device here" in capsys.readouterr().err
    assert run_command(full_size_step.command, [*SMALL, "--contenders", "fastest"]) == 2


def test_shares_are_of_what_this_machine_reached():
    machine = Machine("cuda", "a GPU", "float16", copy_bandwidth=4e12, matmul_rate=8e14)
    rows = [
        {"name": "released", "contender": "released, eager", "seconds": 0.05, "flops": 1e13},
        {"name": "engine", "contender": "engine", "seconds": 0.0125, "flops": 5e12},
    ]
    released, engine = full_size_step.with_shares(rows, machine)
    assert released["share"] == pytest.approx(0.25)
    assert (engine["share"], engine["speed_up"]) == (pytest.approx(0.5), pytest.approx(4))
    assert "a GPU, float16: matmul 800 TFLOP/s, copy 4 TB/s" in full_size_step.table(rows, machine)


def test_the_engine_is_measured_as_the_runtime_runs_it(monkeypatch):
    """All but the compiler, which the engines' own tests pay for: its place is taken by the module itself."""
    compiled = []

    def compile_package(module, _inputs, path, *, max_autotune):
        compiled.append((module, max_autotune))
        path.write_bytes(b"code")
        return dict(module.state_dict())

    monkeypatch.setattr(contenders, "compile_package", compile_package)

    def loaded(*_):
        module, _ = compiled[-1]

        def call(inputs):
            answers = module(*inputs)
            return answers if isinstance(answers, tuple) else (answers,)

        return call

    monkeypatch.setattr(Inductor, "loaded", loaded)
    for name in ("engine-autotuned", "vae-engine"):
        assert json.loads(run("--only", name).stdout)["seconds"] > 0
    assert [autotuned for _, autotuned in compiled] == [True, False, False]


def test_everything_that_makes_a_picture_is_measured():
    """Every formulation of the step, and what each needs once besides."""
    steps = {name for name, contender in CONTENDERS.items() if contender.once}
    assert steps == {
        "released",
        "released-compiled",
        "released-autotuned",
        "simplified",
        "simplified-compiled",
        "engine",
        "engine-autotuned",
    }
    assert {part for name in steps for part in CONTENDERS[name].once} == CONTENDERS.keys() - steps
