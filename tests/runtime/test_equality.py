"""The runtime makes the picture that the released loop makes in torch."""

from __future__ import annotations

import numpy as np
import pytest
from support.photos import make_photo
from support.runtime_loop import restore_with_torch
from support.runtime_system import TorchSystem, toy_prompts, toy_weights, write_toy_bundle

from dit4sr.runtime import Settings, Upscaler
from dit4sr.runtime.sampling.guidance import Guidance
from dit4sr.runtime.sampling.schedule import SamplingSchedule
from dit4sr.runtime.sampling.solver import Solver

SIZES = {"one tile": (8, 8), "lifted to one tile": (7, 5), "tiled": (13, 21), "tiled and odd": (9, 17)}


@pytest.mark.parametrize("guidance", [1.0, 3.0])
@pytest.mark.parametrize("steps", [1, 4, 40])
@pytest.mark.parametrize("size", SIZES)
def test_same_seed_same_picture(upscaler, size, steps, guidance):
    photo, toy = make_photo(*SIZES[size]), TorchSystem.of(toy_weights())
    settings = Settings(steps=steps, guidance=guidance, cuts_off=True)
    ours = upscaler.upscale(photo, seed=7, settings=settings).picture
    theirs = restore_with_torch(photo, toy, toy_prompts(), steps=steps, guidance=guidance, seed=7)
    assert ours.shape == theirs.shape
    assert np.abs(ours.astype(int) - theirs).max() <= 1
    assert (ours != theirs).mean() < 0.01
    assert ours.std() > 10  # a picture, not a flat field


@pytest.mark.parametrize("velocities", ["gggguuuu", "ghgugxxu", "uxxxghhx", "gguhxuhx", "gxhxhxhh"])
@pytest.mark.parametrize("size", SIZES)
def test_velocities_that_are_used_again_make_torchs_picture(upscaler, size, velocities):
    photo, toy = make_photo(*SIZES[size]), TorchSystem.of(toy_weights())
    settings = Settings(velocities=velocities, guidance=3.0, cuts_off=True)
    ours = upscaler.upscale(photo, seed=7, settings=settings).picture
    theirs = restore_with_torch(
        photo, toy, toy_prompts(), steps=8, guidance=3.0, seed=7, velocities=velocities
    )
    assert np.abs(ours.astype(int) - theirs).max() <= 1
    assert (ours != theirs).mean() < 0.01
    full = upscaler.upscale(photo, seed=7, settings=Settings(steps=8, guidance=3.0, cuts_off=True)).picture
    assert (ours != full).mean() > 0.02


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("solver", Solver)
def test_a_network_that_runs_at_every_step_makes_the_same_bytes_however_it_is_said(upscaler, size, solver):
    photo = make_photo(*SIZES[size])
    plain, said = (
        upscaler.upscale(photo, settings=Settings(solver=solver, **choices)).picture
        for choices in ({"steps": 6, "guidance_interval": (0.2, 0.95)}, {"velocities": "uggggu"})
    )
    assert (plain == said).all()


def test_rounded_it_stays_within_a_level_of_the_released_picture(upscaler):
    photo = make_photo(13, 21)
    ours = upscaler.upscale(photo, seed=7, settings=Settings(steps=4, guidance=3.0)).picture
    toy = TorchSystem.of(toy_weights())
    theirs = restore_with_torch(photo, toy, toy_prompts(), steps=4, guidance=3.0, seed=7)
    brighter = ours.astype(int) - theirs
    assert (np.abs(brighter) <= 1).mean() > 0.99
    assert 0.4 < brighter.mean() < 0.6


def test_the_comparison_would_notice(upscaler):
    photo, toy = make_photo(13, 21), TorchSystem.of(toy_weights())
    theirs = restore_with_torch(photo, toy, toy_prompts(), steps=4, guidance=3.0, seed=7)
    for change in ({"steps": 5}, {"guidance": 3.1}, {"solver": Solver.AB2}, {"overlap": 8}):
        settings = Settings(**{"steps": 4, "guidance": 3.0, "cuts_off": True, **change})
        ours = upscaler.upscale(photo, seed=7, settings=settings).picture
        assert (ours != theirs).mean() > 0.02, change
    assert (upscaler.upscale(photo, seed=8).picture != theirs).mean() > 0.5


@pytest.mark.parametrize("solver", Solver)
@pytest.mark.parametrize("interval", [(0.0, 1.0), (0.2, 0.9)])
def test_tiles_in_batches_are_tiles_one_by_one(upscaler, solver, interval):
    photo = make_photo(13, 21)
    pictures = [
        upscaler.upscale(
            photo,
            settings=Settings(steps=5, solver=solver, guidance_interval=interval, tile_batch=batch),
        ).picture
        for batch in (1, 4, 100)
    ]
    for picture in pictures[1:]:
        assert np.abs(picture.astype(int) - pictures[0]).max() <= 1


@pytest.mark.parametrize("solver", Solver)
def test_the_loop_on_the_device_is_the_loop_over_tiles(upscaler, solver, monkeypatch):
    """One tile through both loops: the engine's update against the one made in NumPy."""
    photo = make_photo(8, 8)
    settings = Settings(steps=6, solver=solver, guidance_interval=(0.1, 0.8))
    whole = upscaler.upscale(photo, settings=settings).picture
    monkeypatch.setattr("dit4sr.runtime.sampling.tiles.Tiling.is_whole", False)
    tiled = upscaler.upscale(photo, settings=settings).picture
    assert np.abs(whole.astype(int) - tiled).max() <= 1


def test_better_solvers_come_closer_to_the_limit(upscaler):
    """The picture of very many steps is what every solver aims at."""
    photo = make_photo(8, 8)
    fine = upscaler.upscale(photo, settings=Settings(steps=400)).picture.astype(int)
    errors = {
        solver: np.abs(
            upscaler.upscale(photo, settings=Settings(steps=12, solver=solver)).picture - fine
        ).mean()
        for solver in Solver
    }
    assert errors[Solver.AB2] < errors[Solver.EULER]
    assert errors[Solver.DPMPP_2M] < errors[Solver.EULER]


def test_limited_guidance_runs_half_the_rows(upscaler):
    schedule = SamplingSchedule.of(4, 3.0, Solver.EULER, Guidance(3.0, (0.2, 0.95)))
    with upscaler._components.use("step") as engine:
        assert [len(weights) for weights in schedule.weights(engine)] == [1, 2, 2, 1]


def test_tiles_leave_no_seam(tmp_path):
    """The step across tiles' edges against the step elsewhere, where the picture itself has none."""
    bundle = write_toy_bundle(tmp_path / "b", toy_weights(3))
    flat = np.full((40, 40, 3), 120, dtype=np.uint8)
    with Upscaler(bundle, use_cache=False) as upscaler:
        picture = upscaler.upscale(
            flat, settings=Settings(steps=8, sample_posterior=False, cuts_off=True)
        ).picture
    steps = np.abs(np.diff(picture.astype(float), axis=1)).mean((0, 2))
    edges = [left * 4 for left in range(5, 40 - 8, 5)]
    elsewhere = np.delete(steps, [edge - 1 for edge in edges])
    assert max(steps[edge - 1] for edge in edges) < elsewhere.max()
    assert np.mean([steps[edge - 1] for edge in edges]) < 1.25 * np.mean(elsewhere[3::4])
