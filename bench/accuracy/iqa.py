"""PyIQA's metrics of a picture, with or without another to compare it with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dit4sr.runtime.errors import MissingDependencyError
from dit4sr.runtime.image.photo import Picture

PYIQA_NAMES = {"clipiqa+": "clipiqa+_vitL14_512", "maniqa": "maniqa-pipal"}
"""Short names of the metrics whose published figures were made with one particular model."""


def iqa_scores(names: Sequence[str], found: Picture, wanted: Picture | None) -> Mapping[str, float]:
    """Scores of PyIQA's metrics by name; those that compare need a truth. PyIQA downloads their weights."""
    if not names:
        return {}
    try:
        import pyiqa  # noqa: PLC0415  (torch and more, only on request)
        import torch  # noqa: PLC0415
    except ImportError:
        raise MissingDependencyError(
            "not installed: pyiqa, which --iqa asks for", fix="pip install pyiqa, or leave out --iqa"
        ) from None

    def tensor(picture: Picture) -> torch.Tensor:
        return torch.from_numpy(picture).permute(2, 0, 1)[None].float() / 255

    scores = {}
    for name in names:
        metric = pyiqa.create_metric(PYIQA_NAMES.get(name, name))
        if metric.metric_mode == "FR" and wanted is None:
            continue
        pictures = [found] if metric.metric_mode == "NR" or wanted is None else [found, wanted]
        scores[name] = float(metric(*map(tensor, pictures)))
    return scores
