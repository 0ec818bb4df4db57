"""Feature alignment in torch against the formula in NumPy, and what the formula cannot see."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dit4sr.export.architectures.dpir.alignment import aligned_in_numpy, given_statistics_of, standardised
from dit4sr.export.architectures.dpir.config import Statistics

EPSILON = 1e-6


@pytest.fixture(params=Statistics)
def statistics(request) -> Statistics:
    return request.param


@pytest.fixture
def branches():
    noise = np.random.default_rng(3)
    features = 4 * noise.standard_normal((2, 7, 10)) + noise.standard_normal((2, 7, 1))
    return features, 0.3 * noise.standard_normal((2, 7, 10)) - 2


def test_both_halves_are_the_formula(statistics, branches):
    features, main = map(torch.from_numpy, branches)
    found = given_statistics_of(main, standardised(features, statistics, EPSILON), statistics)
    np.testing.assert_allclose(
        found.numpy(), aligned_in_numpy(*branches, statistics, EPSILON), rtol=0, atol=1e-13
    )


def test_a_shift_of_the_features_is_lost(statistics, branches):
    features, main = branches
    wanted = aligned_in_numpy(features, main, statistics, EPSILON)
    np.testing.assert_allclose(aligned_in_numpy(features + 9, main, statistics, EPSILON), wanted, atol=1e-12)


def test_a_positive_scale_of_the_features_is_lost_as_far_as_epsilon_is_small(statistics, branches):
    features, main = branches
    for scale in (0.5, 3.0):
        wanted = aligned_in_numpy(features, main, statistics, 0)
        np.testing.assert_allclose(
            aligned_in_numpy(scale * features, main, statistics, 0), wanted, atol=1e-12
        )
        near = aligned_in_numpy(scale * features, main, statistics, EPSILON)
        np.testing.assert_allclose(near, wanted, atol=1e-5)
    mirrored = aligned_in_numpy(-features, main, statistics, 0)
    assert not np.allclose(mirrored, wanted, atol=1e-2)


def test_what_comes_out_has_the_main_branchs_mean_and_spread(statistics, branches):
    features, main = branches
    found, axes = aligned_in_numpy(features, main, statistics, 0), statistics.axes
    np.testing.assert_allclose(found.mean(axes), main.mean(axes), atol=1e-12)
    np.testing.assert_allclose(found.std(axes), main.std(axes), atol=1e-12)


def test_features_without_any_spread_become_the_mean(statistics, branches):
    _, main = branches
    found = aligned_in_numpy(np.full_like(main, 5.0), main, statistics, EPSILON)
    np.testing.assert_allclose(found, np.broadcast_to(main.mean(statistics.axes, keepdims=True), main.shape))


def test_statistics_of_half_tokens_are_taken_in_single(statistics):
    """In half the squares of large tokens would overflow."""
    tokens = torch.full((1, 4, 6), 400.0, dtype=torch.float16)
    tokens[:, ::2, ::2] = -400.0
    standard = standardised(tokens, statistics, EPSILON)
    assert standard.dtype == torch.float16
    assert given_statistics_of(tokens, standard, statistics).isfinite().all()
