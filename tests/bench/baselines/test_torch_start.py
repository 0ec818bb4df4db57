"""The cold start in torch: which of its pictures are the FP32 result."""

from __future__ import annotations

import hashlib
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from support.bench_subject import toy_picture

from dit4sr.bench.baselines.torch_start import TorchStart


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
        SimpleNamespace(bundle=bundle, picture=toy_picture(4)),
        tmp_path,
        notes,
    )
    rows = start.compared_pictures()
    assert [(row.against, row.max_error) for row in rows] == ([("FP32, torch", 2)] if is_origin else [])
    assert any("holds other weights" in note for note in notes) is not is_origin
