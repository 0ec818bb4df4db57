"""PyIQA's metrics: asked for what they can answer, and missed in one line."""

from __future__ import annotations

import sys
import types

import numpy as np
import pytest

from dit4sr.bench.accuracy.iqa import iqa_scores
from dit4sr.runtime.errors import MissingDependencyError


def grey(value: int, side: int = 24) -> np.ndarray:
    return np.full((side, side, 3), value, dtype=np.uint8)


def photo(seed: int = 0, side: int = 24) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)


def test_metrics_of_pyiqa_need_pyiqa(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyiqa", None)
    assert iqa_scores([], photo(), None) == {}
    with pytest.raises(MissingDependencyError, match="pyiqa"):
        iqa_scores(["musiq"], photo(), None)


def test_metrics_of_pyiqa_get_what_they_compare(monkeypatch):
    """Against a stand-in that records what it is asked: PyIQA itself downloads weights."""
    asked: list[tuple[str, list[tuple[int, ...]], float]] = []

    def create_metric(name: str):
        def metric(*pictures):
            asked.append((name, [tuple(p.shape) for p in pictures], float(pictures[0].max())))
            return 0.5

        metric.metric_mode = "FR" if name == "lpips" else "NR"
        return metric

    monkeypatch.setitem(sys.modules, "pyiqa", types.SimpleNamespace(create_metric=create_metric))
    scores = iqa_scores(["maniqa", "lpips"], grey(255), grey(0))
    assert scores == {"maniqa": 0.5, "lpips": 0.5}
    assert asked == [("maniqa-pipal", [(1, 3, 24, 24)], 1.0), ("lpips", [(1, 3, 24, 24)] * 2, 1.0)]
    assert iqa_scores(["lpips"], grey(255), None) == {}
