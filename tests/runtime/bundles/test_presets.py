"""Presets in a manifest: they come back as they were, and what is none is refused."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from support.runtime_system import CARD, write_toy_bundle

from dit4sr.runtime.bundles.bundle import Bundle
from dit4sr.runtime.bundles.manifest import MANIFEST
from dit4sr.runtime.bundles.presets import Loss, Preset
from dit4sr.runtime.errors import IntegrityError

EXACT = Preset("exact", 3, "euler", 3.0, "ggg", Loss(4, None, None, 0.0))
FAST = Preset("fast", 3, "ab2", 3.0, "guh", Loss(4, 44.5, 42.0, -0.01))


@pytest.fixture
def bundle(tmp_path):
    return write_toy_bundle(tmp_path / "bundle", card=replace(CARD, presets=(EXACT, FAST)))


def change(bundle, edit) -> None:
    values = json.loads((bundle / MANIFEST).read_text())
    edit(values["model"])
    (bundle / MANIFEST).write_text(json.dumps(values))


def test_presets_come_back_with_what_they_lose(bundle):
    assert Bundle.open(bundle).card.presets == (EXACT, FAST)
    assert (EXACT.rows, FAST.rows) == (6, 3)


def test_a_bundle_of_before_there_were_presets_has_none(bundle):
    change(bundle, lambda card: card.pop("presets"))
    assert Bundle.open(bundle).card.presets == ()


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("velocities", "gg", "not a velocity for each of 3 steps"),
        ("velocities", "hgg", "g or u first"),
        ("velocities", "gqg", "a letter for each step"),
        ("steps", 10**6, "not a velocity for each"),
        ("steps", "3", "not int"),
        ("solver", "heun", "has the solver 'heun'"),
        ("guidance", 0.5, "guidance scale 0.5"),
        ("name", "", "0 characters"),
        ("name", "exact", "two presets have one name"),
        ("colour", "red", "unknown field 'colour'"),
    ],
)
def test_what_is_no_preset_is_refused_in_one_line(bundle, field, value, words):
    change(bundle, lambda card: card["presets"][1].update({field: value}))
    with pytest.raises(IntegrityError, match=words) as caught:
        Bundle.open(bundle)
    assert "\n" not in str(caught.value)
