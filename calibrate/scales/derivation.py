"""From statistics and a recipe to quantisation parameters for every MatMul."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from dit4sr.calibrate.config import Recipe
from dit4sr.calibrate.graph.matmuls import MatMul
from dit4sr.calibrate.observe.statistics import Statistics, TensorStatistics
from dit4sr.calibrate.scales.qparams import QuantParams
from dit4sr.calibrate.scales.range_estimation import activation_scale, weight_scale
from dit4sr.calibrate.scales.smoothing import smoothing
from dit4sr.runtime.errors import BadInputError, IntegrityError

Floats = NDArray[np.float32]


def derive_qparams(
    matmuls: Mapping[str, MatMul], statistics: Statistics, recipe: Recipe
) -> dict[str, QuantParams]:
    """Derive each MatMul's quantisation parameters from what was observed; nothing is run for it."""
    if recipe.switch_at is not None and recipe.switch_at >= statistics.steps:
        raise BadInputError(
            f"late scales from step {recipe.switch_at}", expected=f"1 to {statistics.steps - 1}"
        )
    divisors = _divisors(matmuls, statistics) if recipe.smooth else {}
    return {
        name: _qparams(matmul, _seen(statistics, matmul), recipe, divisors.get(matmul.activation_names))
        for name, matmul in matmuls.items()
    }


def _qparams(matmul: MatMul, seen: TensorStatistics, recipe: Recipe, divisors: Floats | None) -> QuantParams:
    def scale_over(steps: slice) -> float:
        amax, counts = seen.over(steps)
        if divisors is not None:
            amax = float((seen.channels / divisors).max())
        return activation_scale(recipe.method, recipe.format, amax, counts)

    late = None
    if recipe.switch_at is None:
        scale = scale_over(recipe.steps)
    else:
        scale, late = scale_over(slice(recipe.switch_at)), scale_over(slice(recipe.switch_at, None))
    if matmul.weight is None:
        return QuantParams(recipe.format, scale, None, late)
    weight = weight_of(matmul)
    if divisors is not None:
        weight = weight * divisors[:, None]
    of_weight = weight_scale(recipe.method, recipe.format, weight, per_channel=recipe.per_channel)
    return QuantParams(recipe.format, scale, of_weight, late, divisors)


def _divisors(matmuls: Mapping[str, MatMul], statistics: Statistics) -> dict[tuple[str, ...], Floats]:
    """Smoothing's divisors for activations, however many MatMuls read them; none for an attention's.

    Activations that share a weight are divided alike, for the weight is multiplied once.
    """
    return {
        names: smoothing(_seen(statistics, readers[0]).channels, [weight_of(reader) for reader in readers])
        for names, readers in _by_activations(matmuls)
        if all(reader.weight is not None for reader in readers)
    }


def _by_activations(matmuls: Mapping[str, MatMul]) -> Iterator[tuple[tuple[str, ...], list[MatMul]]]:
    groups: dict[tuple[str, ...], list[MatMul]] = {}
    for matmul in matmuls.values():
        groups.setdefault(matmul.activation_names, []).append(matmul)
    yield from groups.items()


def weight_of(matmul: MatMul) -> Floats:
    """The numbers of a MatMul's weight, read from where they lie."""
    assert matmul.weight is not None
    assert matmul.weight.const_value is not None
    return matmul.weight.const_value.numpy().astype(np.float32)


def _seen(statistics: Statistics, matmul: MatMul) -> TensorStatistics:
    for name in matmul.activation_names:
        if name not in statistics.tensors:
            raise IntegrityError(
                f"the calibration has nothing on {matmul.name} ({name})", fix="remove it to calibrate anew"
            )
    first, *others = (statistics.tensors[name] for name in matmul.activation_names)
    return functools.reduce(TensorStatistics.together, others, first)
