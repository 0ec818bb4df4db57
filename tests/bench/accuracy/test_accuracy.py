"""Which pictures are compared with which: whole ones, middles, and torch's."""

from __future__ import annotations

import hashlib
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from support.runtime_system import CARD, write_toy_bundle

from dit4sr.bench.accuracy.comparison import accuracies
from dit4sr.bench.baselines.torch_start import TorchStart
from dit4sr.bench.subject import Specimen, Subject, drawn_specimen
from dit4sr.runtime import Settings

TILE, PIXELS = CARD.training_tile, CARD.training_tile * CARD.vae_factor
SIDE = PIXELS // 4
"""Of a low-resolution picture that makes one tile."""


def specimen(side: int) -> Specimen:
    truth = drawn_specimen(4 * side, 4 * side).picture
    return Specimen(f"drawn-{side}", drawn_specimen(side, side).picture, truth)


def subject(folder, fixed=None) -> Subject:
    return Subject(
        write_toy_bundle(folder / "toy", fixed=fixed),
        specimen(SIDE),
        Settings(steps=2),
        backend="onnxruntime",
        device="cpu",
        threads=1,
    )


def test_engines_of_one_size_are_judged_by_the_middle_of_larger_pictures(tmp_path):
    notes: list[str] = []
    specimens = [specimen(SIDE), specimen(2 * SIDE), specimen(SIDE // 2)]
    with subject(tmp_path, {"h": TILE, "w": TILE, "H": PIXELS, "W": PIXELS}) as fixed:
        rows = accuracies(fixed, specimens, None, (), notes)
        middle = fixed.restore(specimen=specimens[1].fitted(SIDE, SIDE))
    assert [row.picture for row in rows] == [f"drawn-{SIDE}", f"drawn-{2 * SIDE}"]
    expected = specimens[1].truth[SIDE * 2 : SIDE * 6, SIDE * 2 : SIDE * 6]
    assert rows[1].max_error == np.abs(middle.astype(int) - expected).max()
    assert any("middles were compared" in note for note in notes)
    assert any(f"drawn-{SIDE // 2} against its truth: smaller" in note for note in notes)


def test_engines_of_any_size_are_judged_by_whole_pictures(tmp_path):
    notes: list[str] = []
    large = specimen(2 * SIDE)
    with subject(tmp_path) as dynamic:
        [row] = accuracies(dynamic, [large], None, (), notes)
        whole = dynamic.restore(specimen=large)
    assert row.max_error == np.abs(whole.astype(int) - large.truth).max()
    assert not any("middles" in note for note in notes)


@pytest.mark.parametrize("is_origin", [True, False])
def test_torchs_picture_is_the_fp32_result_of_the_same_weights_only(tmp_path, is_origin):
    weights = tmp_path / "checkpoint" / "transformer" / "weights.safetensors"
    weights.parent.mkdir(parents=True)
    weights.write_bytes(b"weights")
    for name, value in (("dit4sr", 10), ("eager", 12)):
        Image.fromarray(np.full((16, 16, 3), value, np.uint8)).save(tmp_path / f"{name}.png")
    known = hashlib.sha256(b"weights" if is_origin else b"others").hexdigest()
    provenance = SimpleNamespace(checkpoint={"weights.safetensors": known})
    bundle = SimpleNamespace(manifest=SimpleNamespace(provenance=provenance))
    notes: list[str] = []
    start = TorchStart(
        SimpleNamespace(checkpoint=tmp_path / "checkpoint", metrics=()),
        SimpleNamespace(bundle=bundle, specimen=specimen(4)),
        tmp_path,
        notes,
    )
    rows = start.compared_pictures()
    assert [(row.against, row.max_error) for row in rows] == ([("FP32, torch", 2)] if is_origin else [])
    assert any("holds other weights" in note for note in notes) is not is_origin
