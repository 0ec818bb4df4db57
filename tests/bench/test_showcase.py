"""The sample photographs beside what was made of them."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from dit4sr.bench.showcase import FRONT, SEAM, command
from dit4sr.runtime.bundles.built_in import sample_photographs
from dit4sr.runtime.console.command import run_command


@pytest.fixture
def demo(tmp_path):
    """A demonstration whose network is perfect."""
    (tmp_path / "restored").mkdir()
    for sample in sample_photographs():
        Image.open(sample.truth).save(tmp_path / "restored" / f"{sample.name}.png")
    lines = [{"input": str(sample.photo), "seconds": {"step": 1.5}} for sample in sample_photographs()]
    (tmp_path / "records.jsonl").write_text("\n".join(map(json.dumps, lines)))
    return tmp_path


def test_every_photograph_is_drawn_in_all_its_states_and_has_its_line(demo, capsys):
    assert run_command(command, [str(demo)]) == 0
    out = capsys.readouterr().out
    for sample in sample_photographs():
        width, _ = Image.open(sample.truth).size
        assert Image.open(demo / f"{sample.name}.png").size[0] == 4 * width
        [line] = [line for line in out.splitlines() if line.startswith(f"{sample.name} ")]
        assert "100.00" in line
        assert "1.5 s" in line


def test_one_photograph_is_drawn_before_and_after(demo):
    picture = demo / "front.png"
    assert run_command(command, [str(demo), "--before-and-after", str(picture)]) == 0
    [front] = [sample for sample in sample_photographs() if sample.name == FRONT]
    truth, drawn = np.asarray(Image.open(front.truth).convert("RGB")), np.asarray(Image.open(picture))
    assert drawn.shape == (truth.shape[0], 2 * truth.shape[1] + SEAM, 3)
    assert (drawn[:, truth.shape[1] + SEAM :] == truth).all()
    assert (drawn[:, : truth.shape[1]] != truth).any()
    assert not (demo / f"{FRONT}.png").exists()
