"""From statistics and a recipe to a treatment for every product."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from dit4sr.calibrate.config import Recipe
from dit4sr.calibrate.graph.matmuls import Product
from dit4sr.calibrate.graph.qdq import Treatment
from dit4sr.calibrate.observe.statistics import Statistics, TensorStatistics
from dit4sr.calibrate.scales.methods import activation_scale, weight_scale
from dit4sr.calibrate.scales.smoothing import smoothing
from dit4sr.runtime.errors import BadInputError, IntegrityError

Floats = NDArray[np.float32]


def derive_treatments(
    products: Mapping[str, Product], statistics: Statistics, recipe: Recipe
) -> dict[str, Treatment]:
    """What each product's scales are to be; nothing is run for it."""
    if recipe.switch_at is not None and recipe.switch_at >= statistics.steps:
        raise BadInputError(
            f"late scales from step {recipe.switch_at}", expected=f"1 to {statistics.steps - 1}"
        )
    divisors = _divisors(products, statistics) if recipe.smooth else {}
    return {
        name: _treatment(
            product, _seen(statistics, product), recipe, divisors.get(str(product.activation.name))
        )
        for name, product in products.items()
    }


def _treatment(
    product: Product, seen: TensorStatistics, recipe: Recipe, divisors: Floats | None
) -> Treatment:
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
    if product.weight is None:
        return Treatment(recipe.format, scale, None, late)
    weight = _weight_of(product)
    if divisors is not None:
        weight = weight * divisors[:, None]
    of_weight = weight_scale(recipe.method, recipe.format, weight, per_channel=recipe.per_channel)
    return Treatment(recipe.format, scale, of_weight, late, divisors)


def _divisors(products: Mapping[str, Product], statistics: Statistics) -> dict[str, Floats]:
    """One vector for each activation, however many products read it; none for an attention's operands."""
    return {
        name: smoothing(_seen(statistics, readers[0]).channels, [_weight_of(reader) for reader in readers])
        for name, readers in _by_activation(products)
        if all(reader.weight is not None for reader in readers)
    }


def _by_activation(products: Mapping[str, Product]) -> Iterator[tuple[str, list[Product]]]:
    groups: dict[str, list[Product]] = {}
    for product in products.values():
        groups.setdefault(str(product.activation.name), []).append(product)
    yield from groups.items()


def _weight_of(product: Product) -> Floats:
    assert product.weight is not None
    assert product.weight.const_value is not None
    return product.weight.const_value.numpy().astype(np.float32)


def _seen(statistics: Statistics, product: Product) -> TensorStatistics:
    name = str(product.activation.name)
    if name not in statistics.tensors:
        raise IntegrityError(
            f"the calibration has nothing on {product.name} ({name})", fix="remove it to calibrate anew"
        )
    return statistics.tensors[name]
