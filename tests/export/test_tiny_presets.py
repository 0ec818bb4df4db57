"""Presets of dit4sr-tiny: from a bundle that was searched to the checkpoint beside the weights."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import pytest
from support.runtime_system import CARD, write_toy_bundle

from dit4sr.export.pipeline import checkpoint_pipeline
from dit4sr.export.tiny import CHECKPOINT
from dit4sr.export.tiny.presets import keep_presets
from dit4sr.runtime.bundles.bundle import Bundle
from dit4sr.runtime.bundles.presets import Loss, Preset
from dit4sr.runtime.errors import BadInputError

FAST = Preset("fast", 4, "ab2", 1.1, "guhx", Loss(11, 45.5, 44.0, -0.01))


def test_presets_go_beside_the_weights_and_from_there_into_the_card(tmp_path):
    checkpoint = shutil.copytree(CHECKPOINT, tmp_path / "checkpoint")
    bundle = Bundle.open(write_toy_bundle(tmp_path / "bundle", card=replace(CARD, presets=(FAST,))))
    before = json.loads((checkpoint / "dit4sr.json").read_text())
    keep_presets(bundle, checkpoint)
    after = json.loads((checkpoint / "dit4sr.json").read_text())
    assert {**after, "presets": None} == {**before, "presets": None}
    assert checkpoint_pipeline(checkpoint).card("fp16").presets == (FAST,)


def test_a_bundle_without_presets_has_none_to_keep(tmp_path):
    bundle = Bundle.open(write_toy_bundle(tmp_path / "bundle"))
    with pytest.raises(BadInputError, match="has no presets; find them with"):
        keep_presets(bundle, tmp_path)
