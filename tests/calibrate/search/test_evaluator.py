"""What an evaluation says of pictures before and after a change."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from dit4sr.calibrate.observe.photos import Case
from dit4sr.calibrate.search.evaluator import Evaluator, Outcome


def test_a_verdict_takes_the_worst_photo_and_names_the_worst_step():
    truth = np.full((8, 8, 3), 100, np.uint8)
    one, other = np.ones((1, 2), np.float32), np.full((1, 2), 2, np.float32)
    before = [Outcome(truth + 2, (one, one)), Outcome(truth + 4, (one, one))]
    after = [Outcome(truth + 2, (one, one)), Outcome(truth + 5, (one, other))]
    evaluator = Evaluator.__new__(Evaluator)
    evaluator.originals = before
    evaluator._cases = [Case("known", truth, truth), Case("unknown", truth)]
    verdict = evaluator.compare(after)
    assert verdict.psnr == pytest.approx(20 * np.log10(255))
    assert verdict.drop == 0
    assert verdict.velocity == pytest.approx((0, 1))
    assert verdict.worst_step == 2
    evaluator._cases = [SimpleNamespace(truth=None)] * 2
    assert evaluator.compare(after).drop is None
