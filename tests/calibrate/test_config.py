"""Recipes: which contradict themselves."""

from __future__ import annotations

import pytest

from dit4sr.calibrate.config import Recipe
from dit4sr.runtime.errors import BadInputError


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"method": "entropy"}, "method 'entropy'"),
        ({"method": "mse", "smooth": True}, "add --no-smooth"),
        ({"switch_at": 2}, "add --form onnxruntime"),
        ({"form": "onnxruntime", "switch_at": 2, "smooth": True}, "add --no-smooth"),
    ],
)
def test_recipes_that_contradict_themselves_are_refused(arguments, message):
    with pytest.raises(BadInputError, match=message):
        Recipe.default("int8", **arguments)
