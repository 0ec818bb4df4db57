"""Systems that were trained side by side, compared."""

from __future__ import annotations

import json

import pytest
import torch
from PIL import Image

from dit4sr.bench import side_by_side
from dit4sr.bench.measure.stopwatch import StopRule
from dit4sr.export.tiny import CHECKPOINT
from dit4sr.export.tiny.data import held_out
from dit4sr.export.tiny.system import TinySystem, read_checkpoint
from dit4sr.export.tiny.systems import NAMES
from dit4sr.export.tiny.systems.checkpoint import write_system
from dit4sr.export.tiny.systems.networks import new_system
from dit4sr.runtime.console.command import run_command
from dit4sr.runtime.errors import BadInputError

PAIRS = held_out.held_out_pairs()[:2]


@pytest.fixture
def output(tmp_path, monkeypatch):
    """Every system before training, as if it had been trained, and little to do with it."""
    box, generator = read_checkpoint(CHECKPOINT), torch.Generator().manual_seed(0)
    for name in NAMES:
        restorer = new_system(name, 0)
        with torch.no_grad():
            for parameter in restorer.parameters():  # shut gates would make constants, which no export has
                parameter.add_(0.02 * torch.randn(parameter.shape, generator=generator))
        write_system(name, TinySystem(box.vae, restorer, box.scale), tmp_path / name)
        lines = [{"iteration": done, "loss": 1 / done, "seconds": 0.5} for done in (10, 20, 20, 30)]
        (tmp_path / f"{name}.log.jsonl").write_text("\n".join(map(json.dumps, lines)))
    monkeypatch.setattr(side_by_side, "SETTINGS", ((1, 1.0),))
    monkeypatch.setattr(side_by_side, "SHOWN", (0, 1))
    monkeypatch.setattr(side_by_side, "RULE", StopRule(0, 3, 0.0, 1.0))
    monkeypatch.setattr(side_by_side, "EXPORTED", ("sd3-controlnet",))
    monkeypatch.setattr(held_out, "held_out_pairs", lambda: PAIRS)
    threads = torch.get_num_threads()
    yield tmp_path
    torch.set_num_threads(threads)


def test_what_was_trained_is_scored_timed_and_drawn(output, capsys):
    record, picture = output / "record.json", output / "picture.jpg"
    arguments = [str(output), "--record", str(record), "--picture", str(picture), "--commit", "abc1234"]
    assert run_command(side_by_side.command, [*arguments, "--no-plans", "--threads", "1"]) == 0

    found = json.loads(record.read_text())
    assert found["commit"] == "abc1234"
    assert list(found["systems"]) == list(NAMES)
    assert [score["name"] for score in found["without a system"]] == ["bicubic", "VAE of the truth"]
    for system in found["systems"].values():
        assert system["parameters"] == pytest.approx(4.28e6, rel=0.02)
        assert system["checkpoint bytes"] > 2 * system["parameters"]
        assert system["training"]["iterations"] == 30
        assert system["training"]["seconds"] == 15  # what was done twice counts once
        [score] = system["scores"]
        assert 0 < score["psnr"] < found["without a system"][0]["psnr"]  # before training
    times = found["one step of a tile"]
    assert list(times["torch, 2 rows"]["systems"]) == list(NAMES)
    assert list(times["ONNX Runtime, 2 rows"]["systems"]) == ["sd3-controlnet"]
    first = times["torch, 1 rows"]["systems"]["dit4sr"]
    assert first["to the first"]["value"] == 1
    assert len(first["seconds"]) >= 3

    columns, rows = 2 + len(NAMES), len(PAIRS)
    assert Image.open(picture).size == (256 * columns, 256 * rows + side_by_side.CAPTION)
    assert "sd3-controlnet" in capsys.readouterr().out


def test_a_folder_without_systems_is_refused(tmp_path, capsys):
    assert run_command(side_by_side.command, [str(tmp_path)]) == BadInputError.exit_code
    [line] = capsys.readouterr().err.splitlines()
    assert "holds none of dit4sr" in line
