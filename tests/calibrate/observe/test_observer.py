"""Observing sees what the runtime computes, and can be stopped and gone on with."""

from __future__ import annotations

import numpy as np
import pytest
from support.quantised_system import CARD, HIDDEN, MATMULS, WIDTH

from dit4sr.calibrate.graph.bundle_rewriting import load_graph
from dit4sr.calibrate.graph.matmuls import find_matmuls
from dit4sr.calibrate.graph.step_graph import STEP
from dit4sr.calibrate.observe import observer
from dit4sr.calibrate.observe.observer import observe, observing_cost
from dit4sr.calibrate.observe.photos import folder_cases, sample_cases
from dit4sr.calibrate.search.evaluator import Evaluator
from dit4sr.export.architectures.dit4sr.layers import LAYERS
from dit4sr.runtime.bundles.built_in import tiny_bundle
from dit4sr.runtime.bundles.bundle import Bundle
from dit4sr.runtime.errors import BadInputError
from dit4sr.runtime.settings import Settings
from dit4sr.runtime.upscaler import Upscaler

TOKENS = (CARD.training_tile // CARD.patch_size) ** 2


def test_every_matmul_is_seen_at_every_step_with_both_branches(half_bundle, statistics):
    matmuls = find_matmuls(load_graph(half_bundle, STEP), LAYERS)
    assert list(matmuls) == MATMULS
    for name, matmul in matmuls.items():
        seen = statistics.tensors[matmul.activation_names[0]]
        width = HIDDEN if name.endswith("contract") else WIDTH
        assert seen.channels.shape == (width,)
        assert seen.counts.sum(axis=1).tolist() == [2 * 2 * TOKENS * width] * CARD.default_steps
        assert (seen.amax > 0).all()
        assert seen.channels.max() == seen.amax.max()


def test_steps_are_told_apart(half_bundle, statistics):
    """The toy's modulation grows with the noise level, so what the first MatMul reads shrinks."""
    matmul = find_matmuls(load_graph(half_bundle, STEP), LAYERS)[MATMULS[0]]
    amax = statistics.tensors[matmul.activation_names[0]].amax
    assert amax[0] > amax[-1]


def test_observing_changes_no_picture(half_bundle, photos):
    [case, *_] = folder_cases(photos, half_bundle.card)
    with Upscaler(half_bundle, threads=1, use_cache=False) as upscaler:
        plain = upscaler.upscale(case.photo).picture
    evaluator = Evaluator(half_bundle, [case], Settings(), threads=1)
    assert np.array_equal(evaluator.originals[0].picture, plain)
    assert len(evaluator.originals[0].velocities) == CARD.default_steps


def test_a_killed_observation_goes_on_where_it_was(half_bundle, photos, observed, tmp_path, monkeypatch):
    complete, _ = observed
    cases, file = folder_cases(photos, half_bundle.card), tmp_path / "seen.npz"

    class Killed(observer.Observer):
        def begin(self, photo):
            if photo.startswith("photo1"):
                raise KeyboardInterrupt
            super().begin(photo)

    with monkeypatch.context() as patch:
        patch.setattr(observer, "Observer", Killed)
        with pytest.raises(KeyboardInterrupt):
            observe(half_bundle, cases, Settings(), file, threads=1)
    # As a process leaves it that had no time to tidy up.
    (tmp_path / ".seen.npz.0123456789abcdef.partial").mkdir()
    shown: list[str] = []
    statistics = observe(half_bundle, cases, Settings(), file, threads=1, show=shown.append)
    assert shown == [f"observing photo1.png (2 of 2): step {step} of 4" for step in (1, 2, 3, 4)]
    for name, tensor in complete.tensors.items():
        assert np.array_equal(statistics.tensors[name].counts, tensor.counts)
    assert [path.name for path in tmp_path.iterdir()] == ["seen.npz"]


def test_nothing_is_run_again_for_other_scales(half_bundle, photos, observed, monkeypatch):
    statistics, file = observed
    monkeypatch.setattr(observer, "tapped_upscaler", None)
    again = observe(half_bundle, folder_cases(photos, half_bundle.card), Settings(), file, threads=1)
    assert again.seen == statistics.seen
    with pytest.raises(BadInputError, match="other settings"):
        observe(half_bundle, folder_cases(photos, half_bundle.card), Settings(steps=2), file)


def test_observing_takes_less_than_twice_the_time(tmp_path):
    tiny = Bundle.open(tiny_bundle())
    [case, *_] = sample_cases(tiny.card)
    assert observing_cost(tiny, case, Settings(), tmp_path / "seen.npz", threads=1) < 2
    assert not list(tmp_path.iterdir())
